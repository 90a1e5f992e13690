# SPDX-License-Identifier: MIT
"""Where a kernel runs, by what the guest's memory holds; QEMU's command line says whether it may move."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from clockscope.kernel import placement
from clockscope.kernel.elffile import ElfFile
from clockscope.live import qemu

LINK = 0xFFFFFFFF81000000
BANNER = b"Linux version 6.1.0-x (who@where) (gcc) #1 SMP\n"
SOURCE = """
.text
.globl asm_exc_divide_error, kaslr_get_random_long
.type asm_exc_divide_error, @function
asm_exc_divide_error: nop
.type kaslr_get_random_long, @function
kaslr_get_random_long: ret
.section .rodata, "a"
.globl linux_banner
.type linux_banner, @object
linux_banner: .asciz "Linux version 6.1.0-x (who@where) (gcc) #1 SMP\\n"
.size linux_banner, . - linux_banner
.section .data..percpu, "aw"
.quad 0
.globl tick_cpu_device
.type tick_cpu_device, @object
tick_cpu_device: .quad 0
"""

# As arch/x86/kernel/vmlinux.lds.S.
LAYOUT = f"""
SECTIONS {{
    .data..percpu 0 : {{ *(.data..percpu) }}
    . = {LINK:#x};
    .text : {{ *(.text) }}
    .rodata : {{ *(.rodata) }}
}}
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> ElfFile:
    directory = tmp_path_factory.mktemp("kernel")
    (directory / "a.s").write_text(SOURCE)
    (directory / "layout").write_text(LAYOUT)
    command = ["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-T", "layout", "-o", "vmlinux", "a.s"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    subprocess.run(
        ["objcopy", "-R", ".note.gnu.property", "-R", ".note.gnu.build-id", "vmlinux"], cwd=directory, check=True
    )
    return ElfFile(str(directory / "vmlinux"))


def memory(pieces: Mapping[int, bytes]) -> Callable[[int, int], bytes]:
    """A guest's memory that holds nothing else."""

    def read(address: int, size: int) -> bytes:
        for start, data in pieces.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        return b""

    return read


def gate(handler: int) -> bytes:
    return struct.pack("<HHHHII", handler & 0xFFFF, 0x10, 0x8E00, handler >> 16 & 0xFFFF, handler >> 32, 0)


def banner(elf: ElfFile) -> int:
    found = elf.find("linux_banner")
    assert found is not None
    return found


@pytest.mark.parametrize("offset", [0, 0x200000, 0x10E00000, 0x3FE00000])
def test_the_banner_in_one_of_the_places(elf: ElfFile, offset: int) -> None:
    assert placement.can_move(elf)
    assert placement.find(elf, memory({banner(elf) + offset: BANNER + bytes(64)})) == offset


def test_in_user_mode_the_interrupt_table_tells(elf: ElfFile) -> None:
    offset = 0x1A000000
    assert placement.find(elf, memory({0xFFFFFE0000000000: gate(LINK + offset)})) == offset


def test_another_kernel_is_in_none(elf: ElfFile) -> None:
    offset = 0x1A000000
    other = BANNER.replace(b"6.1.0-x", b"6.1.0-y") + bytes(64)
    assert placement.find(elf, memory({})) is None
    for handler in (LINK + offset, LINK + offset + 0x1230, LINK - 0x200000, 0xFFFF800000001000):
        there = {0xFFFFFE0000000000: gate(handler), banner(elf) + offset: other, banner(elf): other}
        assert placement.find(elf, memory(there)) is None


def test_a_foreign_kernel_is_named(elf: ElfFile) -> None:
    page = bytes(256) + b"Linux version 9.9 (x@y) #1" + bytes(4096)
    assert placement.foreign(memory({0xFFFFFFFF83400000: page}), 0xFFFFFFFF81001234) == "Linux version 9.9"
    assert placement.foreign(memory({}), 0xFFFFFFFF81001234) == ""


def test_another_kernel_that_is_up(elf: ElfFile) -> None:
    """Told by where its interrupts go, so that nobody waits for this one to come."""
    handler = LINK + 0x1A001230
    page = b"Linux version 9.9 (x@y) #1" + bytes(4096)
    there = {0xFFFFFE0000000000: gate(handler), LINK + 0x1B000000: page}
    assert placement.find(elf, memory(there)) is None
    assert placement.another(elf, memory(there)) == "Linux version 9.9"
    assert placement.another(elf, memory({0xFFFFFE0000000000: gate(handler)})).endswith(f"goes to {handler:#x}")
    assert placement.another(elf, memory({})) == "" == placement.another(elf, memory({0xFFFFFE0000000000: bytes(16)}))


def test_per_cpu_variables_do_not_move(elf: ElfFile) -> None:
    """GDB, whose symbols were moved as a whole, takes them to."""
    text = "*(int *)((long)&tick_cpu_device + *(long *)((long)&linux_banner + 8 * $item))"
    moved = placement.expression(elf, placement.of_image(elf, 0x1A000000), text)
    assert moved == text.replace("(long)&tick_cpu_device", "((long)&tick_cpu_device - 0x1a000000)")
    assert placement.expression(elf, placement.of_image(elf, 0), text) == text


def test_what_is_outside_of_the_image_is_not_moved(elf: ElfFile) -> None:
    place = placement.of_image(elf, 0x1A000000)
    start = elf.find("kaslr_get_random_long")
    assert start is not None and place.low >= LINK
    assert place.run(start) == start + 0x1A000000 and place.link(place.run(start)) == start
    for address in (0, 0x401000, 0xFFFFFFFFC0123456, LINK):
        assert place.link(address) == address


@pytest.mark.parametrize(
    ("words", "moves"),
    [
        (["-kernel", "image"], True),
        (["-kernel", "image", "-append", "quiet nokaslr panic=1"], False),
        (["-kernel", "image", "-append", "nokaslrx"], True),
        (["-kernel", "vmlinux"], False),
        (["-hda", "disk"], True),
        (["-kernel", "none"], True),
    ],
)
def test_which_command_lines_let_it_move(
    words: list[str], moves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("image").write_bytes(b"MZ")
    Path("vmlinux").write_bytes(b"\x7fELF")
    assert qemu.may_move_its_kernel(["qemu-system-x86_64", *words]) is moves
