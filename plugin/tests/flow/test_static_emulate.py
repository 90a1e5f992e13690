# SPDX-License-Identifier: MIT
"""Emulated instructions against the processor: a small program is stepped under gdbserver."""

import json
import subprocess
from pathlib import Path

import pytest
from clockscope._core import emulate

CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split()
CF, PF, ZF, SF, OF = 0x001, 0x004, 0x040, 0x080, 0x800
FLAGS = [0, CF, PF, ZF, SF, OF, SF | OF, ZF | SF, ZF | OF, CF | ZF, CF | PF | ZF | SF | OF]
COUNTS = [0, 1, 2, 1 << 32, (1 << 32) + 1]
REGISTERS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip eflags".split()
ARITHMETIC = CF | PF | 0x10 | ZF | SF | OF

STEPPER = f"""
import json
gdb.execute("set confirm off")
gdb.execute("target remote | gdbserver --once - PROGRAM")
names = {REGISTERS!r}
def state():
    return [int(gdb.selected_frame().read_register(name)) & (1 << 64) - 1 for name in names]
inferior = gdb.selected_inferior()
with open("STEPS", "w") as file:
    while True:
        before = state()
        code = bytes(inferior.read_memory(before[16], 15)).hex()
        if code.startswith("0f05"):
            break
        top = int.from_bytes(bytes(inferior.read_memory(before[4], 8)), "little")
        gdb.execute("stepi", to_string=True)
        print(json.dumps([code, before, top, state()]), file=file)
gdb.execute("kill")
"""


def conditional_jumps() -> list[str]:
    """Each condition with each combination of flags, as a short and as a near jump."""
    lines = []
    for condition in CONDITIONS:
        for flags in FLAGS:
            for form in ("{disp8}", "{disp32}"):
                lines += [f"pushq ${flags | 2:#x}", "popfq", f"{form} j{condition} 1f", "nop", "1:"]
    return lines


def counting_jumps() -> list[str]:
    lines = []
    for jump in ("jrcxz", "jecxz", "loop", "loope", "loopne", "addr32 loop", "addr32 loopne"):
        for count in COUNTS:
            for flags in (0, ZF):
                lines += [f"pushq ${flags | 2:#x}", "popfq", f"movabs ${count:#x}, %rcx", f"{jump} 1f", "nop", "1:"]
    return lines


def the_rest() -> list[str]:
    return """
        endbr64
        nopl 0(%rax,%rax,1)
        movq $-1, %rax
        movl $0x20000, %ebx
        movq %rax, %r13
        movl %eax, %r14d
        xorl %r15d, %r15d
        pushq %r13
        call 1f
        {disp8} jmp 2f
        1: ret
        2: {disp32} jmp 3f
        nop
        3: nop
    """.splitlines()


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, list[int], int, list[int]]]:
    """(instruction bytes, registers before, what RSP points to, registers after) of each step."""
    directory: Path = tmp_path_factory.mktemp("steps")
    program, source, script, out = (directory / name for name in ("program", "program.s", "step.py", "steps"))
    lines = [".globl _start", "_start:", *conditional_jumps(), *counting_jumps(), *the_rest()]
    source.write_text("\n".join([*lines, "movl $60, %eax", "xorl %edi, %edi", "syscall", ""]))
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", program, source], check=True)
    script.write_text(STEPPER.replace("PROGRAM", str(program)).replace("STEPS", str(out)))
    done = subprocess.run(
        ["gdb", "-nx", "-q", "-batch", "-x", script, program], capture_output=True, text=True, timeout=120, check=False
    )
    assert out.exists(), done.stdout + done.stderr
    rows = map(json.loads, out.read_text().splitlines())
    return [(code, before, top, after) for code, before, top, after in rows]


def test_against_the_processor(steps: list[tuple[str, list[int], int, list[int]]]) -> None:
    branches = emulated = 0
    for code, before, top, after in steps:
        mine = emulate(bytes.fromhex(code), before, top)
        if mine is None:
            continue
        emulated += 1
        branches += code[:1] == "7" or code[:3] == "0f8" or code[:2] in ("e0", "e1", "e2", "e3", "67")
        assert mine[:17] == after[:17], code
        assert mine[17] & ARITHMETIC == after[17] & ARITHMETIC, code
    assert branches == len(CONDITIONS) * len(FLAGS) * 2 + 7 * len(COUNTS) * 2
    assert emulated >= branches + 12


def test_each_condition_went_both_ways(steps: list[tuple[str, list[int], int, list[int]]]) -> None:
    ways: dict[int, set[bool]] = {}
    for code, before, _, after in steps:
        raw = bytes.fromhex(code)
        if raw[0] & 0xF0 == 0x70:
            ways.setdefault(raw[0] & 15, set()).add(after[16] != before[16] + 2)
        elif raw[0] == 0x0F and raw[1] & 0xF0 == 0x80:
            ways.setdefault(16 + (raw[1] & 15), set()).add(after[16] != before[16] + 6)
    assert set(ways) == set(range(32))
    assert all(seen == {True, False} for seen in ways.values())


def test_what_must_be_stepped() -> None:
    registers = [0] * 16 + [0x1000, 2]
    for code in ("0f31", "ffe0", "8b04250000000000", "6650", "c20800", "ea"):
        assert emulate(bytes.fromhex(code), registers) is None
    with pytest.raises(ValueError, match="16 general"):
        emulate(b"\x90", [0] * 3)
