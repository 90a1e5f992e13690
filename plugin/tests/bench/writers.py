# SPDX-License-Identifier: MIT
"""The whole kernel's `writers` against `objdump -d | grep` of the same kernel, and the memory they need."""

import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clockscope._core import Xref
from guest import ROOT, Machine

from bench.measure import paired, show

PAIRS = 3
VARIABLES = ["tsc_khz", "jiffies_64", "current_task"]  # a few sites, some hundred, some thousand

# Anonymous memory: what is mapped of the file is the file's. The libraries' and Python's own is counted in.
MEMORY = """
import sys
from clockscope._core import Xref
Xref(sys.argv[1]).readers(sys.argv[2])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("RssAnon")))
"""


def library(vmlinux: Path, variable: str) -> float:
    """Seconds to open the kernel and answer, source lines and disassembly of the sites included: as in GDB."""
    began = time.monotonic()
    Xref(str(vmlinux)).writers(variable)
    return time.monotonic() - began


def program(vmlinux: Path, variable: str) -> float:
    """The same from the command line to the last line: Python's own start is some half of it."""
    began = time.monotonic()
    command: list[str | Path] = [ROOT / "build" / "clockscope", "writers", vmlinux, variable]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def objdump(vmlinux: Path, variable: str) -> float:
    """The same question asked by hand."""
    began = time.monotonic()
    with subprocess.Popen(["objdump", "-d", vmlinux], stdout=subprocess.PIPE) as disassembly:
        subprocess.run(["grep", "-c", variable], check=False, stdin=disassembly.stdout, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def faults(command: Sequence[str | Path]) -> int:
    """Page faults of a command. objdump has few for its seconds; where they are dear, in a guest of a guest, or the file
    is not in memory, ours is slowed by more."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt


def memory(vmlinux: Path, variable: str) -> float:
    """Megabytes of anonymous memory after the question."""
    command = [sys.executable, "-c", MEMORY, str(vmlinux), variable]
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "plugin")}
    )
    return int(re.findall(r"\d+", result.stdout)[0]) / 1024


def run(directory: Path) -> None:
    vmlinux = Machine().vmlinux
    for variable in VARIABLES:
        for name, ours in {"library": library, "program": program}.items():
            pairs = paired(PAIRS, lambda: objdump(vmlinux, variable), lambda: ours(vmlinux, variable))
            show(f"writers {variable}", pairs, ("objdump -d | grep", name), "s")
    program_faults = faults([ROOT / "build" / "clockscope", "writers", vmlinux, VARIABLES[0]])
    print(f"page faults: {program_faults} of the program, {faults(['objdump', '-d', vmlinux])} of objdump", flush=True)
    for variable in VARIABLES:
        print(f"readers {variable}: {memory(vmlinux, variable):.0f} MB beside the mapped file", flush=True)
