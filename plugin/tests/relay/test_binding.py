# SPDX-License-Identifier: MIT
"""Memory and ownership in the binding: binding_life.py, under the address sanitizer, one process a check."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from guest import ROOT

EXTENSION = ROOT / "build" / "asan" / "_core.abi3.so"
PROGRAM = ROOT / "plugin" / "tests" / "support" / "binding_life.py"
CHECKS = re.findall(r"^def (\w+)\(\) -> None:", PROGRAM.read_text(), re.MULTILINE)

ASSEMBLY = """
.globl f
.type f, @function
f:  cmp $3, %edi
    ja 1f
    nop
    ret
    .skip 4, 0x90
1:  xor %eax, %eax
    ret
.size f, . - f
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel of one function."""
    directory = tmp_path_factory.mktemp("elf")
    source, path = directory / "f.s", directory / "f.elf"
    source.write_text(ASSEMBLY)
    command: list[str | Path] = [
        "gcc",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,-Ttext=0x401000",
        "-Wl,-e,f",
        "-o",
        path,
        source,
    ]
    subprocess.run(command, check=True)
    return path


def run(check: str, elf: Path, directory: str) -> "subprocess.CompletedProcess[str]":
    if not EXTENSION.exists():
        pytest.fail("the extension with sanitizers is not built: run `make -f setup.mk tests`", pytrace=False)
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=1:handle_abort=1",
        "LSAN_OPTIONS": "exitcode=0",
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees Python's objects too
    }
    arguments: list[str | Path] = ["/usr/bin/python3", PROGRAM, check, EXTENSION, elf, directory]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=150, check=False)


def leaks(report: str) -> list[str]:
    """What the core lost, or a library for it. Python itself keeps much to its end."""
    found = []
    for block in re.split(r"\n\n", report):
        frames = re.findall(r"^    #\d+ 0x\w+ (?:in )?(.*)$", block, re.MULTILINE)
        ours = next((index for index, frame in enumerate(frames) if "c-ext/" in frame), None)
        if "leak of" in block and ours is not None and not any("python" in frame for frame in frames[:ours]):
            found.append(block)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_life(check: str, elf: Path) -> None:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # hundreds of traces, each of which is synced
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        done = run(check, elf, directory)
    assert done.returncode == 0 and f"well {check}" in done.stdout, done.stdout + done.stderr
    assert "runtime error" not in done.stderr and "ERROR: AddressSanitizer" not in done.stderr, done.stderr
    assert leaks(done.stderr) == []
    for path in re.findall(r"^socket (.*)$", done.stdout, re.MULTILINE):
        assert not os.path.exists(path)  # however late it was given up
