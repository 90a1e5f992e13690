# SPDX-License-Identifier: MIT
"""Where a kernel runs. Link addresses are those of its ELF file, run addresses those of the guest; with KASLR they differ by
one offset for the whole image. Found by what the guest's memory holds.

Facts of Linux on x86-64: the image moves within 1 GiB, by steps of CONFIG_PHYSICAL_ALIGN (at least 2 MiB); the IDT lies at
the start of the CPU entry area, wherever the kernel does (since 4.15), and is mapped in user mode too.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from clockscope.kernel.elffile import ElfFile

STEP = 2 << 20
RANGE = 1 << 30
_MASK64 = (1 << 64) - 1
_PER_CPU = ".data..percpu"
_IDT = 0xFFFFFE0000000000
_FIRST_HANDLERS = ("asm_exc_divide_error", "divide_error")
_PIECE = 32  # of the banner, by which a place is looked at first
_BANNER = "linux_banner"
_MOVES = "kaslr_get_random_long"  # arch/x86/lib/kaslr.c: with CONFIG_RANDOMIZE_BASE alone

Read = Callable[[int, int], bytes]
"""Guest memory, read(address, size); empty where it cannot be read."""


@dataclass(frozen=True)
class Placement:
    """How far the image lies from where its ELF file says. What is outside of the image lies where it lies."""

    offset: int = 0
    low: int = 0  # the image's first link address, and the one behind its last
    high: int = 1 << 64

    def run(self, link: int) -> int:
        return (link + self.offset) & _MASK64 if self.low <= link < self.high else link

    def link(self, run: int) -> int:
        found = (run - self.offset) & _MASK64
        return found if self.low <= found < self.high else run

    @property
    def core(self) -> tuple[int, int, int]:
        """For the core (_core.Placement)."""
        return self.offset & _MASK64, self.low, self.high - 1


def of_image(elf: ElfFile, offset: int) -> Placement:
    own = [section for section in elf.sections if section.address and section.name != _PER_CPU]
    low = min((section.address for section in own), default=0)
    high = max((section.address + section.size for section in own), default=1 << 64)
    return Placement(offset, low, high)


def expression(elf: ElfFile, place: Placement, text: str) -> str:
    """An expression for GDB whose symbols were moved: it takes the per-CPU variables to have moved with the image, which lie
    where they lay (before Linux 6.15: in an area that begins at 0)."""

    def told(match: re.Match[str]) -> str:
        at = elf.find(match[1])
        stays = at is not None and place.run(at) == at
        return f"({match[0]} - {place.offset:#x})" if stays else match[0]

    return re.sub(r"\(long\)&(\w+)\b(?![.\[])", told, text) if place.offset else text


def can_move(elf: ElfFile) -> bool:
    """Whether a kernel chooses its place while it boots."""
    return elf.find(_MOVES) is not None and bool(_banner(elf)[1])


def find(elf: ElfFile, read: Read) -> int | None:
    """The offset at which the guest's memory holds this very kernel; None where it holds none, or another one."""
    if holds(elf, read, 0):
        return 0
    told = _by_interrupts(elf, read)
    if told is not None and (holds(elf, read, told) or not _shows(elf, read, told)):
        return told
    return next((offset for offset in range(STEP, RANGE, STEP) if holds(elf, read, offset)), None)


def holds(elf: ElfFile, read: Read, offset: int) -> bool:
    address, text = _banner(elf)
    place = (address + offset) & _MASK64
    return read(place, _PIECE) == text[:_PIECE] and read(place, len(text)) == text


def _shows(elf: ElfFile, read: Read, offset: int) -> bool:
    """Whether memory can be read there: not in user mode, where only the entries are mapped."""
    return bool(read((_banner(elf)[0] + offset) & _MASK64, 1))


def _banner(elf: ElfFile) -> tuple[int, bytes]:
    address = elf.find(_BANNER)
    return (address, elf.string(address).encode()) if address is not None else (0, b"")


def _by_interrupts(elf: ElfFile, read: Read) -> int | None:
    """The offset by the handler of interrupt 0."""
    link, handler = _first_handler(elf), _handler(read)
    if link is None or not handler:
        return None
    offset = handler - link
    return offset if 0 <= offset < RANGE and offset % STEP == 0 else None


def _first_handler(elf: ElfFile) -> int | None:
    return next(filter(None, map(elf.find, _FIRST_HANDLERS)), None)


def _handler(read: Read) -> int:
    """Where interrupt 0 goes; 0 where that cannot be read: no Linux of 4.15 or newer is up."""
    gate = read(_IDT, 16)
    # Intel SDM vol. 3, "64-Bit IDT Gate Descriptors".
    return int.from_bytes(gate[0:2] + gate[6:8] + gate[8:12], "little") if len(gate) == 16 else 0


def another(elf: ElfFile, read: Read) -> str:
    """Of a guest in whose memory this kernel was not found: which other one is up there; empty where none is."""
    handler = _handler(read)
    if not handler or _first_handler(elf) is None:
        return ""
    return foreign(read, handler) or f"its first interrupt goes to {handler:#x}"


def foreign(read: Read, near: int) -> str:
    """The version of the Linux whose code holds a run address, as far as it is found without long search; empty else."""
    for offset in range(0, 48 << 20, STEP):
        place = (near - near % STEP + offset) & _MASK64
        at = read(place, 1024).find(b"Linux version ")
        if at >= 0:
            return read(place + at, 200).split(b" (", 1)[0].decode("utf-8", "replace")
    return ""
