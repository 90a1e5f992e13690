# SPDX-License-Identifier: MIT
"""Where in a kernel interventions are to be made: lines become addresses, and what cannot be is said before the boot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clockscope.kernel.elffile import ElfFile
from clockscope.base.errors import UserError
from clockscope.kernel.hints import Hints
from clockscope.kernel.wish import Wish

Record = Mapping[str, Any]

# Where a Linux kernel's functions return through one place, and a plain return may be forbidden.
_RETURN_THUNK = "__x86_return_thunk"
_NEAR_RETURN = b"\xc3"
_OR_JUMP = "; say =taken or =not for the jump itself, as `clock cfg` shows it"
_SHOWN_MAX = 24  # lines that a message lists


Ways = Callable[[int], tuple[bool | None, bool | None]]
"""Whether the condition of the branch at an address is true if that is not taken, and if it is; None: not known."""


@dataclass(frozen=True)
class Planned:
    """An intervention with its place; addresses are the ELF file's."""

    number: int
    wish: Wish
    function: str
    file: str
    line: int  # 0: a whole function's
    address: int
    in_window: bool = False
    code: bytes = b""  # of a forced branch
    taken: bool = False  # the way that it is to go
    value: int = 0  # that is returned
    ret: int = 0  # a return instruction


@dataclass(frozen=True)
class Guest:
    """What planning asks of the kernel and of the debugger."""

    elf: ElfFile
    hints: Hints
    statements: Callable[[str, int], Sequence[int]]  # where the code of a line begins, all over the kernel
    ways: Callable[[str, Sequence[Record]], Ways]  # of a function's parts: its branches, as the source has them
    number: Callable[[str], int]  # an expression's value; UserError
    check: Callable[[int, str, str], None]  # an assignment at an address; UserError says what is wrong


def plan(wishes: Sequence[Wish], guest: Guest) -> list[Planned]:
    """The interventions, numbered from 1; UserError for the first that cannot be."""
    planned = [_plan(number, wish, guest) for number, wish in enumerate(wishes, 1)]
    for before, one in ((a, b) for i, b in enumerate(planned) for a in planned[:i]):
        if (before.wish.kind, before.address) == (one.wish.kind, one.address) and one.wish.kind != "set":
            raise _wrong(one.wish, f"the same place has --{before.wish.kind} {before.wish.option} already")
    return planned


def _plan(number: int, wish: Wish, guest: Guest) -> Planned:
    return {"force": _force, "set": _set, "return": _return}[wish.kind](number, wish, _Function(wish, guest), guest)


def _wrong(wish: Wish, what: str) -> UserError:
    return UserError(f"--{wish.kind} {wish.option}: {what}")


class _Function:
    """What the compiler made of a function that an option names."""

    def __init__(self, wish: Wish, guest: Guest) -> None:
        self._analyser = guest.elf.analyser
        self.parts = guest.elf.analyser.analyse(wish.function, **guest.hints.known)
        if not self.parts:
            raise _wrong(wish, f"no function in {guest.elf.path} is called {wish.function}")
        self.entries = [part["entry"] for part in self.parts]
        self.instructions: list[Record] = [
            instruction for part in self.parts for block in part["blocks"] for instruction in block["instructions"]
        ]
        levels = self._analyser.source(self.entries[0])
        self.file, self.line = (levels[-1][1], levels[-1][2]) if levels else ("", 0)

    def branches(self) -> list[Record]:
        return [instruction for instruction in self.instructions if instruction["kind"] == "branch"]

    def line_of(self, address: int) -> int:
        """The line of the function's own file that an instruction comes from, be it by an inlined call; 0: unknown."""
        lines = (line for _, file, line in self._analyser.source(address) if file == self.file)
        return next(lines, 0)

    def inlined_line_of(self, address: int) -> int:
        """The line that `path` shows: of whatever file the innermost inlined function is in."""
        return next((line for _, _, line in self._analyser.source(address)), 0)


def _force(number: int, wish: Wish, function: _Function, guest: Guest) -> Planned:
    branch = _branch(wish, function)
    if branch["condition"].endswith("cxz") or branch["condition"].startswith("loop"):
        raise _wrong(wish, f"{branch['text']} decides by a counter in RCX, not by flags: it cannot be forced")
    address = branch["address"]
    return Planned(
        number,
        wish,
        wish.function,
        function.file,
        function.line_of(address),
        address,
        in_window=branch["in_window"],
        code=guest.elf.read(address, branch["length"]),
        taken=wish.taken if wish.condition is None else _way(wish, function, guest, address),
    )


def _way(wish: Wish, function: _Function, guest: Guest, address: int) -> bool:
    """Whether the jump is to be taken for the condition to be what is wished."""
    not_taken, taken = guest.ways(wish.function, function.parts)(address)
    if wish.condition in (taken, not_taken):
        return wish.condition == taken
    if taken is not None or not_taken is not None:
        raise _wrong(wish, f"this jump alone does not make the condition {str(wish.condition).lower()}{_OR_JUMP}")
    raise _wrong(wish, f"which way is true cannot be told: its source is not at hand, or does not tell{_OR_JUMP}")


def _branch(wish: Wish, function: _Function) -> Record:
    """The one conditional branch that is meant."""
    address = _address(wish, function)
    branches = function.branches()
    if address is not None:
        found = [branch for branch in branches if branch["address"] == address]
        if not found:
            raise _wrong(wish, f"{address:#x} is no conditional branch of {wish.function}{_places(wish, branches)}")
        return found[0]
    own = [branch for branch in branches if function.line_of(branch["address"]) == wish.line]
    found = own or [branch for branch in branches if function.inlined_line_of(branch["address"]) == wish.line]
    if not found:
        lines = sorted({function.line_of(branch["address"]) for branch in branches} - {0})
        there = f"; lines that have: {_listed(lines)}" if lines else ""
        raise _wrong(wish, f"line {wish.line} of {wish.function} has no conditional branch{there}")
    if len(found) > 1:
        raise _wrong(wish, f"line {wish.line} has {len(found)} conditional branches{_places(wish, found)}")
    return found[0]


def _places(wish: Wish, branches: Sequence[Record]) -> str:
    if not branches:
        return ""
    shown = ", ".join(f"{wish.function}:*{one['address']:#x} ({one['text']})" for one in branches[:_SHOWN_MAX])
    return f"; there are: {shown}" + (" …" if len(branches) > _SHOWN_MAX else "")


def _address(wish: Wish, function: _Function) -> int | None:
    """The address that the option names; None where it names a line."""
    if wish.offset is None:
        return wish.address
    if len(function.entries) > 1:
        entries = ", ".join(f"{entry:#x}" for entry in function.entries)
        raise _wrong(wish, f"{wish.function} is at {entries}: name the place by *0xADDRESS")
    return int(function.entries[0] + wish.offset)


def _set(number: int, wish: Wish, function: _Function, guest: Guest) -> Planned:
    address = _address(wish, function)
    if address is None:
        address = _statement(wish, function, guest)
    found = next((one for one in function.instructions if one["address"] == address), None)
    if found is None:
        raise _wrong(wish, f"{address:#x} is no instruction of {wish.function}")
    try:
        guest.check(address, wish.expression, wish.value)
    except UserError as error:
        raise _wrong(wish, str(error)) from error
    line = function.line_of(address)
    return Planned(number, wish, wish.function, function.file, line, address, in_window=found["in_window"])


def _statement(wish: Wish, function: _Function, guest: Guest) -> int:
    """Where the code of a line of the function begins."""
    own = {instruction["address"] for instruction in function.instructions}
    at: list[int] = sorted(own.intersection(guest.statements(function.file, wish.line or 0)))
    if not at:
        lines = sorted({function.line_of(address) for address in own} - {0})
        raise _wrong(
            wish, f"line {wish.line} of {wish.function} has no code of its own; lines that have: {_listed(lines)}"
        )
    if len(at) > 1:
        shown = ", ".join(f"{wish.function}:*{address:#x}" for address in at)
        raise _wrong(wish, f"the code of line {wish.line} begins at several places; name one: {shown}")
    return at[0]


def _listed(lines: Sequence[int]) -> str:
    """ "325, 330-332": consecutive lines in one piece."""
    pieces: list[list[int]] = []
    for line in lines:
        if pieces and line == pieces[-1][1] + 1:
            pieces[-1][1] = line
        else:
            pieces.append([line, line])
    texts = [f"{first}" if first == last else f"{first}-{last}" for first, last in pieces]
    return ", ".join(texts[:_SHOWN_MAX]) + (" …" if len(texts) > _SHOWN_MAX else "")


def _return(number: int, wish: Wish, function: _Function, guest: Guest) -> Planned:
    if len(function.entries) > 1:
        names = ", ".join(f"{part['function']} at {part['entry']:#x}" for part in function.parts)
        raise _wrong(wish, f"several functions are called so: {names}")
    ret = guest.elf.find(_RETURN_THUNK)
    if ret is None:
        ret = next(_returns(function, guest), None)
    if ret is None:
        raise _wrong(wish, f"no return instruction was found in {guest.elf.path}")
    try:
        value = guest.number(wish.value)
    except UserError as error:
        raise _wrong(wish, str(error)) from error
    entry = function.entries[0]
    return Planned(number, wish, wish.function, function.file, 0, entry, value=value, ret=ret)


def _returns(function: _Function, guest: Guest) -> Iterator[int]:
    """Near returns: the function's own, or else others."""
    names = dict.fromkeys(symbol.base_name for symbol in guest.elf.all_functions())
    others = (part for name in names for part in guest.elf.analyser.analyse(name))
    own = (instruction for instruction in function.instructions)
    foreign = (one for part in others for block in part["blocks"] for one in block["instructions"])
    for instructions in (own, foreign):
        for one in instructions:
            if one["kind"] == "return" and guest.elf.read(one["address"], one["length"]) == _NEAR_RETURN:
                yield one["address"]
