# SPDX-License-Identifier: MIT
"""Stack slots get the right names, whatever a compiler counts them from: the canonical frame address, or a frame pointer."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from scripted_machine import FULL, Machine
from scripted_stub import FakeStub

from clockscope._core import BranchRecorder, Relay, Trace, TraceWriter

SOURCE = """
extern void bad(int);
extern void fill(int *, int *, int *, int *, int *);
__attribute__((noinline)) int compared(int a)
{
	int one[1] = {a}, two[1] = {a}, three[1] = {a}, four[1] = {a}, five[1] = {a};
	fill(one, two, three, four, five);
	if (one[0] == 3) /* one */
		bad(1);
	if (two[0] == 7) /* two */
		bad(2);
	if (three[0] == 9) /* three */
		bad(3);
	return one[0] + two[0] + three[0] + four[0] + five[0];
}
"""
REST = """
volatile int sink;
void bad(int x) { sink += x; }
void fill(int *a, int *b, int *c, int *d, int *e) { *a = *b = *c = *d = *e = 1; }
int compared(int);
void _start(void) { compared(1); for (;;); }
"""
COMPILERS = ["gcc -O2", "gcc -O2 -fno-omit-frame-pointer", "gcc -O0", "gcc -O2 -fno-asynchronous-unwind-tables"] + [
    f"clang {options}" for options in ("-O2", "-O2 -fno-omit-frame-pointer", "-O0", "-O1 -gdwarf-4")
]
EXPECTED = {SOURCE[: SOURCE.index(f"/* {name} */")].count("\n") + 1: name for name in ("one", "two", "three")}


def build(compiler: str, folder: Path) -> Path:
    (folder / "f.c").write_text(SOURCE)
    (folder / "g.c").write_text(REST)
    options = "-g -ffreestanding -fno-stack-protector -nostdlib -static -o program f.c g.c"
    subprocess.run(f"{compiler} {options}", shell=True, check=True, cwd=folder)
    return folder / "program"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_slots(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path)
    file = tmp_path / "a.trace"
    with FakeStub(Machine([0x1000], layout=FULL)) as stub, closing(Relay(stub.address)) as relay:
        writer = TraceWriter(str(file))
        recorder = BranchRecorder(relay, writer, str(program))
        recorder.add("compared")
        recorder.stop()
        writer.close(complete=True, reason="done")
    with Trace(str(file)) as trace:
        rows = trace.rows(
            "SELECT i.line, v.name FROM variable v JOIN instruction i ON i.function = v.function AND i.address = v.address"
        )
    named = {row["line"]: row["name"] for row in rows}
    assert {line: EXPECTED.get(line) for line in named} == named
    if "frame-pointer" in compiler or compiler == "clang -O0":  # others load what they compare into a register
        assert {"one", "two"} <= set(named.values())
