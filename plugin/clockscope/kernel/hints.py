# SPDX-License-Identifier: MIT
"""What the static analysis is told of a kernel's functions beforehand: which read a clock, which measure one, and which
never return."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clockscope._core import Error
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.placement import Placement
from clockscope.profiles.profile import Branches

Read = Callable[[int, int], bytes]
"""Memory of the guest, or of its file: read(address, size)."""


@dataclass(frozen=True)
class Hints:
    """Addresses of functions, those of the ELF file."""

    references: Sequence[int] = ()  # they read a reference clock
    measuring: Sequence[int] = ()  # what may be a read of a clock is one in these
    pointees: Sequence[int] = ()  # these are what measuring functions call through pointers
    noreturn: Sequence[int] = ()  # they never return, beside those of which DWARF says so

    @property
    def known(self) -> dict[str, Any]:
        """As the analysis takes them."""
        return asdict(self)

    def __or__(self, other: "Hints") -> "Hints":
        return Hints(
            (*self.references, *other.references),
            (*self.measuring, *other.measuring),
            (*self.pointees, *other.pointees),
            (*self.noreturn, *other.noreturn),
        )


def of_kernel(elf: ElfFile, branches: Branches, read: Read | None = None, place: Placement = Placement()) -> Hints:
    """What a profile says, and what the pointers of its measuring functions hold: in the file, and by `read` in the
    guest, if it stands, whose kernel has that place. What they hold reads a clock, whoever calls it."""
    known = Hints(
        tuple(symbol.address for name in branches.references for symbol in elf.functions(name)),
        tuple(symbol.address for name in branches.measuring for symbol in elf.functions(name, parts=True)),
        noreturn=tuple(symbol.address for name in branches.noreturn for symbol in elf.functions(name)),
    )
    pointers = {pointer for name in branches.measuring for pointer in _pointers(elf, name, known)}
    found = tuple(sorted({held for pointer in pointers for held in _held(elf, pointer, read, place)}))
    return known | Hints(references=found, pointees=found)


def _pointers(elf: ElfFile, pattern: str, known: Hints) -> Iterator[int]:
    """Where the pointers may lie through which a function calls."""
    for name in dict.fromkeys(symbol.base_name for symbol in elf.functions(pattern)):
        for part in elf.analyser.analyse(name, measuring=known.measuring, noreturn=known.noreturn):
            yield from part["window_pointers"]


def _held(elf: ElfFile, pointer: int, read: Read | None, place: Placement) -> Iterator[int]:
    """The functions that a pointer holds."""
    held = [int.from_bytes(elf.read(pointer, 8), "little")]
    try:
        if read is not None:
            held.append(place.link(int.from_bytes(read(place.run(pointer), 8), "little")))
    except Error:
        pass  # not mapped yet
    yield from (address for address in held if address and elf.function_start(address) == address)
