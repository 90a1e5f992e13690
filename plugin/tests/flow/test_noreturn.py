# SPDX-License-Identifier: MIT
"""Functions that never return: as DWARF says, or else a profile."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from clockscope._core import Analyser
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.hints import of_kernel
from clockscope.profiles import profile
from guest import Machine

# Compilers put the calls that do not return behind all else, one after the other: what stands behind the first is no way
# on from it.
SOURCE = """
int sink;
__attribute__((noreturn, noinline)) void dies(int why)
{
    if (__builtin_expect(why > 100, 0)) { sink = 7; __asm__ volatile("nop; nop; nop"); }
    for (;;) sink = why;
}
__attribute__((noreturn, noinline)) void halts(void) { for (;;) sink = 5; }
__attribute__((noinline)) void comes_back(int why) { sink = why; }
int caller(int value)
{
    if (value == 3) { dies(value); }
    if (value == 5) { halts(); }
    comes_back(value);
    return 9;
}
int _start(void) { return caller(sink); }
"""


@pytest.fixture(scope="module", params=["gcc", "clang"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "code.c").write_text(SOURCE)
    command = f"{request.param} -g -O2 -fno-pie -no-pie -nostdlib -static -o code code.c"
    subprocess.run(command.split(), cwd=folder, check=True)
    return folder / "code"


def dead_ends(analyser: Analyser, **known: Any) -> list[int]:
    """What is called by the blocks that never return."""
    (function,) = analyser.analyse("caller", **known)
    last = [block["instructions"][-1] for block in function["blocks"] if "never returns" in block["exits"]]
    return [instruction["target"] for instruction in last]


def test_by_dwarf(compiled: Path) -> None:
    analyser = Analyser(str(compiled))
    assert set(dead_ends(analyser)) == {*analyser.find("dies"), *analyser.find("halts")}


def test_without_dwarf(compiled: Path, tmp_path: Path) -> None:
    """What is not known is taken to return, but for a call that is the last of its function: there is nothing behind."""
    stripped = tmp_path / "stripped"
    subprocess.run(["objcopy", "--strip-debug", compiled, stripped], check=True)
    analyser = Analyser(str(stripped))
    both = {*analyser.find("dies"), *analyser.find("halts")}
    (last,) = dead_ends(analyser)
    assert last in both
    assert set(dead_ends(analyser, noreturn=sorted(both))) == both
    assert set(dead_ends(analyser, noreturn=analyser.find("comes_back"))) == {last, *analyser.find("comes_back")}


def test_of_a_kernel() -> None:
    """Linux: what the profile names has names in the kernel, and the kernel's own DWARF says it of others beside."""
    elf = ElfFile(str(Machine().vmlinux))
    known = of_kernel(elf, profile.load("linux").branches)
    panic, thread = elf.find("panic"), elf.find("kthread_exit")
    assert panic in known.noreturn and thread in known.noreturn
    (alone,) = elf.analyser.analyse("do_exit")
    (told,) = elf.analyser.analyse("do_exit", noreturn=known.noreturn)
    ends = [block["start"] for block in alone["blocks"] if "never returns" in block["exits"]]
    assert ends and ends == [block["start"] for block in told["blocks"] if "never returns" in block["exits"]]
