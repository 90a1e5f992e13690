# SPDX-License-Identifier: MIT
"""A kernel's log lines: where they are printed, and what they say."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from clockscope.kernel import messages
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.messages import Arguments, format_line, sample

# As the kernel is compiled: absolute addresses in the top 2 GB, cold parts apart, printk's first argument in rdi.
SOURCE = r"""
__attribute__((noipa)) int _printk(const char *format, ...) { __asm__ volatile("" : : "r"(format) : "memory"); return 0; }
__attribute__((noipa)) int other(int x) { return x; }
void plain(int mhz) { _printk("\0016tsc: Detected %d MHz\n", mhz); other(mhz); }
void tail(const char *why) { _printk("\0016tsc: Marking TSC unstable due to %s\n", why); }
void either(int bad) { if (bad) _printk("\0014tsc: bad\n"); else _printk("\0016tsc: good\n"); other(bad); }
void between(int x) { const char *f = "\0016tsc: after a call %d\n"; x = other(x); _printk(f, x); other(x); }
void level(int x) { _printk("tsc: no level\n"); other(x); }
void unlike(int x) { _printk("\0016hpet: not asked for\n"); other(x); }
__attribute__((cold, noinline)) void cold(int x) { _printk("\0014tsc: cold %d\n", x); other(x); }
void _start(int x) { if (x > 5) cold(x); }
__attribute__((section(".text.apart"))) int parted(int x) { return x + 1; }
__asm__(".pushsection .text.unlikely,\"ax\"\n.type parted.cold, @function\nparted.cold:\nret\n.size parted.cold, .-parted.cold\n"
        ".popsection");
"""


def objdump(elf: Path) -> messages.Disassembler:
    """A disassembler that knows the whole file."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", elf], capture_output=True, text=True, check=True
    ).stdout
    lines = [(int(match[1], 16), match[2]) for match in re.finditer(r"^ *([0-9a-f]+):\t(.*)$", text, re.MULTILINE)]
    lengths = [after[0] - before[0] for before, after in zip(lines, lines[1:])] + [1]
    all_of_it = [(at, length, re.sub(r"\b(?=ffff)", "0x", line)) for (at, line), length in zip(lines, lengths)]

    def disassemble(address: int, count: int) -> Sequence[messages.Instruction]:
        return [instruction for instruction in all_of_it if instruction[0] >= address][:count]

    return disassemble


@pytest.fixture(scope="module", params=["-O0", "-O2", "-Os"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("messages")
    (directory / "a.c").write_text(SOURCE)
    flags = ["-nostdlib", "-static", "-no-pie", "-fno-pic", "-mcmodel=kernel", "-fno-asynchronous-unwind-tables"]
    path = directory / "a.elf"
    subprocess.run(
        ["gcc", request.param, *flags, "-Wl,-Ttext=0xffffffff81000000", "-o", path, directory / "a.c"], check=True
    )
    return path


def test_calls_are_found(program: Path) -> None:
    elf = ElfFile(str(program))
    found = messages.find_calls(elf, ["tsc: "], ["_printk", "printk"], objdump(program))
    formats = {text for call in found for text in call.formats.values()}
    # A format that waits in memory for its call, as -O0 has it, is not followed.
    assert formats | {"tsc: after a call %d"} == {
        "tsc: Detected %d MHz",
        "tsc: Marking TSC unstable due to %s",
        "tsc: bad",
        "tsc: good",
        "tsc: after a call %d",
        "tsc: cold %d",
    }
    disassemble = objdump(program)
    printer = elf.find("_printk")
    for call in found:
        _, _, text = disassemble(call.address, 1)[0]
        assert text.startswith("jmp" if call.tail else "call") and f"{printer:#x}" in text


def test_a_cold_part_belongs_to_its_function_and_is_told_from_it(program: Path) -> None:
    elf = ElfFile(str(program))
    (whole,), (cold,) = elf.analyser.find("parted"), elf.analyser.find("parted.cold")
    assert elf.function_at(whole) == elf.function_at(cold) == "parted"
    assert elf.in_cold_part(cold) and not elf.in_cold_part(whole)


def test_a_tail_call_is_told(program: Path) -> None:
    elf = ElfFile(str(program))
    tails = {
        text
        for call in messages.find_calls(elf, ["tsc: "], ["_printk"], objdump(program))
        for text in call.formats.values()
        if call.tail
    }
    start = elf.find("tail")
    assert start is not None
    ends_in_jump = any("jmp" in text for _, _, text in objdump(program)(start, 4))
    assert ("tsc: Marking TSC unstable due to %s" in tails) == ends_in_jump


class Given(Arguments):
    """Arguments from a list; strings lie at made-up addresses."""

    def __init__(self, *values: int | str) -> None:
        self.values = list(values)
        self.strings: dict[int, str] = {}

    def next(self) -> int:
        value = self.values.pop(0)
        if isinstance(value, str):
            self.strings[len(self.strings) + 0x1000] = value
            return len(self.strings) + 0xFFF
        return value & (1 << 64) - 1

    def string(self, address: int) -> str:
        return self.strings[address]

    def memory(self, address: int, size: int) -> bytes:
        return address.to_bytes(size, "little")

    def symbol(self, address: int) -> str:
        return f"symbol_{address:x}"


# What the kernel's lib/vsprintf.c makes of them.
FORMATS: list[tuple[str, tuple[int | str, ...], str]] = [
    ("plain", (), "plain"),
    ("100%%", (), "100%"),
    ("%s: mask: 0x%llx", ("tsc", 2**64 - 1), "tsc: mask: 0xffffffffffffffff"),
    ("%lu.%03lu MHz", (2099, 7), "2099.007 MHz"),
    ("%d %d", (-1, 2**32 + 5), "-1 5"),
    ("%ld %lld", (-1, -(2**40)), "-1 -1099511627776"),
    ("%u", (-1,), "4294967295"),
    ("%hhx %hx %x %zx", (0x1FF, 0x1FFFF, 2**32 + 1, 2**33), "ff ffff 1 200000000"),
    ("%#x %#X %#o", (255, 255, 8), "0xff 0XFF 010"),
    ("%5d|%-5d|%05d|%+d|% d", (42, 42, -42, 42, 42), "   42|42   |-0042|+42| 42"),
    ("%08x|%#010x", (0xBEEF, 0xBEEF), "0000beef|0x0000beef"),
    ("%.3d|%.2s|%*d|%-*d|%.*s", (7, "abc", 4, 1, 4, 1, 1, "xyz"), "007|ab|   1|1   |x"),
    ("%c%c", (ord("o"), ord("k")), "ok"),
    ("%Ld cycles", (12,), "12 cycles"),
    ("%p", (0xABC,), "0000000000000abc"),
    ("%pS %ps", (16, 17), "symbol_10 symbol_11"),
    ("CPUs %*pbl ahead", (8, 0b10001111), "CPUs 0-3,7 ahead"),
    ("'%s' (not '%s')", ("a", "b"), "'a' (not 'b')"),
]


@pytest.mark.parametrize(("text", "values", "line"), FORMATS)
def test_lines_are_formatted(text: str, values: tuple[int | str, ...], line: str) -> None:
    given = Given(*values)
    assert format_line(text, given) == line
    assert not given.values, "all arguments are used"


@pytest.mark.parametrize("text", [text for text, _, _ in FORMATS])
def test_a_sample_has_the_shape_of_the_line(text: str) -> None:
    assert "%" not in sample(text).replace("100%", "")


def test_samples_match_what_rules_look_for() -> None:
    assert sample("%s: mask: 0x%llx max_cycles: 0x%llx") == "x: mask: 0x01 max_cycles: 0x01"
    assert sample("Detected %lu.%03lu MHz") == "Detected 1.1 MHz"


def test_levels_are_taken_off() -> None:
    assert messages.strip_level("\x016tsc: x\n") == "tsc: x"
    assert messages.strip_level("\x01ccontinued") == "continued"
    assert messages.strip_level("no level\n") == "no level"
