# SPDX-License-Identifier: MIT
"""What the program costs before it has done anything, against a Python that does nothing: processor time."""

import os
import resource
import subprocess
from pathlib import Path

from bench.measure import paired, show
from guest import ROOT

PAIRS = 15
PROGRAM = str(ROOT / "build" / "clockscope")
NOTHING = ["/usr/bin/python3", "-c", "pass"]


def _milliseconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run(_directory: Path) -> None:
    small = min((ROOT / "traces").glob("*.trace"), key=os.path.getsize)
    for arguments in (["--version"], ["timeline", str(small)]):
        pairs = paired(PAIRS, lambda: _milliseconds([PROGRAM, *arguments]), lambda: _milliseconds(NOTHING))
        show(f"clockscope {arguments[0]}", pairs, ("the program", "python3 -c pass"), "ms", "processor time")
