# SPDX-License-Identifier: MIT
"""Writers, readers and callers against `objdump -d` of Debian's 6.1: no miss, and every extra explained."""

import random
import re
import subprocess
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from clockscope._core import Xref
from disassembly import Access, Findings, Ranges, listen, relocations
from guest import Machine

VARIABLES = 200
FUNCTIONS = 200
SEED = 4
WIDEST_OPERAND = 576  # of xsave
LONGEST_INSTRUCTION = 15


@dataclass(frozen=True)
class Symbol:
    address: int
    size: int
    kind: str
    name: str


@dataclass(frozen=True)
class Sample:
    """What was chosen, what objdump says of it, and the kernel to ask."""

    xref: Xref
    variables: dict[int, int]  # address: size
    functions: dict[int, str]
    truth: Findings
    relocated: list[int]

    def accesses(self, low: int) -> list[Access]:
        """What names a byte of the variable."""
        return [access for access in self.truth.accesses[margin(low)] if access.target >= low]

    def before(self, low: int) -> set[int]:
        """The instructions whose operand begins so little before the variable that it may reach into it."""
        return {access.address for access in self.truth.accesses[margin(low)] if access.target < low}

    def is_relocated(self, address: int) -> bool:
        """The linker put an address into this instruction: a number that objdump shows is one."""
        at = bisect_right(self.relocated, address)
        return at < len(self.relocated) and self.relocated[at] < address + LONGEST_INSTRUCTION - 3


def margin(low: int) -> int:
    return max(low - WIDEST_OPERAND, 0)


def read_symbols(vmlinux: Path) -> list[Symbol]:
    lines = subprocess.run(["nm", "-S", vmlinux], check=True, capture_output=True, text=True).stdout.splitlines()
    found = (re.fullmatch(r"(\w+) (\w+) (\w) (\S+)", line) for line in lines)
    return [Symbol(int(line[1], 16), int(line[2], 16), line[3], line[4]) for line in found if line]


def split_off(name: str) -> bool:
    """Parts count as the function they were split off from: objdump knows them apart."""
    return re.search(r"\.(cold|part|isra|constprop)\b", name) is not None


def choose_functions(symbols: list[Symbol]) -> dict[int, str]:
    text = [symbol for symbol in symbols if symbol.kind in "tT"]
    parted = {symbol.name.split(".")[0] for symbol in text if split_off(symbol.name)}
    whole = [symbol for symbol in text if not split_off(symbol.name) and symbol.name not in parted]
    return {symbol.address: symbol.name for symbol in random.Random(SEED).sample(whole, FUNCTIONS)}


def choose_variables(symbols: list[Symbol]) -> dict[int, int]:
    """A fifth of them per-CPU. Names that begin with _ are macros' (initcalls, lock classes): no code uses those."""
    pool = [symbol for symbol in symbols if symbol.kind in "bBdDrR" and symbol.name[0].isalpha()]
    per_cpu = [symbol for symbol in pool if symbol.address < 2**31]
    chosen = random.Random(SEED).sample(pool, VARIABLES * 4 // 5) + random.Random(SEED).sample(per_cpu, VARIABLES // 5)
    sizes = {symbol.address: 0 for symbol in chosen}
    for symbol in pool:
        if symbol.address in sizes:
            sizes[symbol.address] = max(sizes[symbol.address], symbol.size)
    return sizes


def choose() -> Sample:
    vmlinux = Machine().vmlinux
    symbols = read_symbols(vmlinux)
    variables, functions = choose_variables(symbols), choose_functions(symbols)
    ranges = Ranges((margin(address), address + size) for address, size in variables.items())
    truth = listen(vmlinux, ranges, set(functions))
    return Sample(Xref(str(vmlinux)), variables, functions, truth, sorted(relocations(vmlinux)))


def explained(sample: Sample, address: int, low: int) -> bool:
    """Why we find more than a search of objdump's text for the variable's addresses.

    A per-CPU variable's small number without %gs, which only a relocation tells from a struct's field; or an operand
    that begins before the variable and reaches into it.
    """
    return address in sample.before(low) or (low < 2**31 and sample.is_relocated(address))


def compare(sample: Sample, ours: dict[int, set[int]], kind: str) -> int:
    """Asserts that nothing is missed and every extra is explained; how many sites were compared."""
    compared = 0
    for low, found in ours.items():
        theirs = {access.address for access in sample.accesses(low) if kind in access.kind}
        assert theirs <= found, f"{low:#x}: missed {[hex(address) for address in theirs - found]}"
        extra = [hex(address) for address in found - theirs if not explained(sample, address, low)]
        assert not extra, f"{low:#x}: {extra}"
        compared += len(theirs)
    return compared


def instructions(sites: list[dict[str, str]]) -> set[int]:
    return {int(site["address"], 16) for site in sites if "instruction" in site}


def check_writers_and_addresses_taken(sample: Sample) -> None:
    answers = {low: sample.xref.writers(f"{low:#x}") for low in sample.variables}
    assert compare(sample, {low: instructions(answer["writers"]) for low, answer in answers.items()}, "w") > 50
    assert compare(sample, {low: instructions(answer["address_taken"]) for low, answer in answers.items()}, "a") > 200


def check_readers(sample: Sample) -> None:
    answers = {low: instructions(sample.xref.readers(f"{low:#x}")["readers"]) for low in sample.variables}
    assert compare(sample, answers, "r") > 200


def check_callers(sample: Sample) -> None:
    compared = 0
    for address, name in sample.functions.items():
        # A branch of a function to its own entry is a loop, not a call.
        theirs = {site for site, label in sample.truth.branches[address] if label != name}
        assert instructions(sample.xref.callers(f"{address:#x}")["callers"]) == theirs, name
        compared += len(theirs)
    assert compared > 200


def test_answers_agree_with_objdump() -> None:
    """One test, for one disassembly: pytest's worker processes share no fixture."""
    sample = choose()
    check_writers_and_addresses_taken(sample)
    check_readers(sample)
    check_callers(sample)
