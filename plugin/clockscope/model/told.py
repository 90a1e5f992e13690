# SPDX-License-Identifier: MIT
"""What the guest is told about its clocks: CPUID leaves and MSRs, read by instructions of its own kernel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clockscope.model import changes_made
from clockscope._core import Error, RefusedError, Trace, TraceWriter
from clockscope.arch import cpuid_leaves
from clockscope.arch.known import PROCESSOR
from clockscope.kernel.elffile import ElfFile

Record = dict[str, Any]
Borrow = Callable[[str, int, int, int], cpuid_leaves.Registers]
"""(instruction, address, EAX, ECX) -> EAX, EBX, ECX, EDX: Relay.borrow"""

BEGIN, END = "begin", "end"

# The bytes may lie within a longer instruction, which does not matter; but the kernel may have patched or unmapped
# what the file has, so a few places are tried.
_PLACES = 8


@dataclass(frozen=True)
class Places:
    """Where a kernel's text holds instructions to borrow, as the ELF file has them."""

    cpuid: tuple[int, ...] = ()
    rdtsc: tuple[int, ...] = ()
    rdmsr: tuple[int, ...] = ()


@dataclass
class Told:
    """One reading. What is refused is left out, and why is kept."""

    leaves: dict[tuple[int, int], cpuid_leaves.Registers] = field(default_factory=dict)
    msrs: dict[int, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    interventions: list[Record] = field(default_factory=list)  # of the recording that it is from


def find(elf: ElfFile) -> Places:
    """The first places in the text that stays mapped (.text: the init sections are freed)."""
    return Places(**{name: tuple(_find(elf, pattern)) for name, pattern in PROCESSOR.loans.items()})


def _find(elf: ElfFile, pattern: bytes) -> Iterator[int]:
    found = 0
    for section in elf.sections:
        if not (section.executable and section.address and section.name == ".text"):
            continue
        content = elf.content(section)
        at = content.find(pattern)
        while at >= 0 and found < _PLACES:
            yield section.address + at
            found += 1
            at = content.find(pattern, at + 1)


def read(borrower: "Borrower") -> Told:
    """Read all that a trace keeps. The guest must stand, outside of any timing window; it is put back as it was.
    Raises nothing but what ends the connection."""
    result = Told()
    try:
        _read_leaves(borrower, result)
        _read_msrs(borrower, result)
    except RefusedError as error:
        result.refused.append(str(error))
    return result


class Borrower:
    """Borrows an instruction where the guest lets it: the last place that was good is tried first."""

    def __init__(self, borrow: Borrow, places: Places, offset: int = 0) -> None:
        """`offset`: by how much the kernel was relocated."""
        self._borrow = borrow
        self._addresses = {
            name: [(place + offset) % (1 << 64) for place in getattr(places, name)] for name in PROCESSOR.loans
        }

    def addresses(self, instruction: str) -> Sequence[int]:
        """Where it may be found."""
        return self._addresses[instruction]

    def __call__(self, instruction: str, eax: int, ecx: int) -> cpuid_leaves.Registers:
        refusal: Error | None = None
        addresses = self._addresses[instruction]
        for index, address in enumerate(addresses):
            try:
                registers = self._borrow(instruction, address, eax, ecx)
            except RefusedError as error:
                refusal = error
                continue
            addresses.insert(0, addresses.pop(index))
            return registers
        raise refusal or RefusedError(f"the kernel's text holds no {instruction} to borrow")


def _read_leaves(borrower: Borrower, result: Told) -> None:
    for leaf, subleaf in cpuid_leaves.LEAVES:
        first = leaf & 0xC0000000
        if leaf != first and leaf > cpuid_leaves.highest(leaf, result.leaves):
            continue
        if leaf == cpuid_leaves.HYPERVISOR and not result.leaves.get((1, 0), (0, 0, 0, 0))[2] >> 31:
            continue  # no hypervisor shows itself: the leaf then repeats another
        result.leaves[leaf, subleaf] = borrower("cpuid", leaf, subleaf)


def _read_msrs(borrower: Borrower, result: Told) -> None:
    for number in cpuid_leaves.MSRS:
        if _has(number, result.leaves):
            eax, _, _, edx = borrower("rdmsr", 0, number)
            result.msrs[number] = edx << 32 | eax


def _has(number: int, leaves: cpuid_leaves.Leaves) -> bool:
    """Whether the processor says that it has an MSR; reading another raises an exception in the guest."""
    features, extended = leaves.get((1, 0), (0, 0, 0, 0)), leaves.get((7, 0), (0, 0, 0, 0))
    present = {0x1B: features[3] >> 9, 0x3B: extended[1] >> 1, 0x6E0: features[2] >> 24}
    return bool(present[number] & 1)


def write(writer: TraceWriter, moment: str, told: Told) -> None:
    """Keep a reading in a trace; `moment` is BEGIN or END."""
    for (leaf, subleaf), registers in told.leaves.items():
        writer.cpuid(moment, leaf, subleaf, registers)
    for number, value in told.msrs.items():
        writer.msr(moment, number, value)
    if told.refused:
        writer.meta(f"told.{moment}", told.refused[0])


# ---------------------------------------------------------------- reading it again


def of_trace(trace: Trace, moment: str) -> Told:
    """What a trace holds of one moment."""
    leaves = trace.rows(
        "SELECT leaf, subleaf, eax, ebx, ecx, edx FROM cpuid WHERE moment = ? ORDER BY leaf, subleaf", [moment]
    )
    msrs = trace.rows("SELECT number, value FROM msr WHERE moment = ? ORDER BY number", [moment])
    refused = trace.meta().get(f"told.{moment}")
    return Told(
        {(row["leaf"], row["subleaf"]): cpuid_leaves.of_row(row) for row in leaves},
        {row["number"]: row["value"] % (1 << 64) for row in msrs},
        [refused] if refused else [],
        changes_made.of(trace),
    )


def differences(a: Trace, b: Trace) -> Iterator[Record]:
    """How what two guests were told at first differs, field by field where the manual names fields."""
    here, there = of_trace(a, BEGIN), of_trace(b, BEGIN)
    for leaf, subleaf in sorted(here.leaves.keys() & there.leaves.keys()):
        yield from _leaf(leaf, subleaf, here.leaves, there.leaves)
    for title, one, other in (
        ("CPUID", _names(here.leaves), _names(there.leaves)),
        ("MSR", [f"{number:#x}" for number in here.msrs], [f"{number:#x}" for number in there.msrs]),
    ):
        if one and other and one != other:
            yield {"what": f"{title}s that exist", "a": _without(one, other), "b": _without(other, one)}
    for number in sorted(here.msrs.keys() & there.msrs.keys() - cpuid_leaves.VOLATILE_MSRS):
        if here.msrs[number] != there.msrs[number]:
            name = f"MSR {number:#x} {cpuid_leaves.MSRS.get(number, '')}".rstrip()
            yield {"what": name, "a": f"{here.msrs[number]:#x}", "b": f"{there.msrs[number]:#x}"}


def _names(leaves: Mapping[tuple[int, int], object]) -> list[str]:
    return [f"{leaf:#x}" + (f".{subleaf}" if subleaf else "") for leaf, subleaf in leaves]


def _without(one: Sequence[str], other: Sequence[str]) -> str:
    return ", ".join(name for name in one if name not in other) or "no others"


def _leaf(leaf: int, subleaf: int, a: cpuid_leaves.Leaves, b: cpuid_leaves.Leaves) -> Iterator[Record]:
    name = f"CPUID {leaf:#x}" + (f".{subleaf}" if subleaf else "")
    if a[leaf, subleaf] == b[leaf, subleaf]:
        return
    here = {(place, title): value for place, title, value in cpuid_leaves.describe(leaf, subleaf, a)}
    there = {(place, title): value for place, title, value in cpuid_leaves.describe(leaf, subleaf, b)}
    different = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    for place, title in different:
        yield {
            "what": f"{name} {place} {title}".replace("  ", " "),
            "a": here.get((place, title)),
            "b": there.get((place, title)),
        }
    if not different:
        yield {"what": name, "a": raw(a[leaf, subleaf]), "b": raw(b[leaf, subleaf])}


def raw(registers: cpuid_leaves.Registers) -> str:
    return " ".join(f"{value:08x}" for value in registers)
