# SPDX-License-Identifier: MIT
"""QEMU's own execution log (-d exec,nochain -singlestep -dfilter …): the truth that paths are held against.

The log knows nothing of clockscope's probes, invocations or gaps. From it come, for each function, the blocks
that each invocation went through, by simulating calls and returns of the traced functions alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

# accel/tcg/cpu-exec.c, log_cpu_exec() and cpu_tb_exec(): [cs_base/pc/flags/cflags].
_TRACE = re.compile(r"^(Trace|Stopped execution of TB chain before) (?:\d+: )?0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
_MASK = (1 << 64) - 1


def options(log: Path, ranges: Iterable[tuple[int, int]]) -> list[str]:
    """QEMU options that log each instruction executed in these address ranges."""
    wanted = ",".join(f"{low:#x}..{high - 1:#x}" for low, high in ranges)
    return ["-d", "exec,nochain", "-singlestep", "-dfilter", wanted, "-D", str(log)]


def addresses(log: Path) -> Iterator[int]:
    """Each instruction that was executed, in order. One that was announced but put off is not told twice."""
    pending: int | None = None
    with log.open(errors="replace") as lines:
        for line in lines:
            match = _TRACE.match(line)
            if not match:
                continue
            address = int(match[2], 16)
            if match[1] == "Trace":
                if pending is not None:
                    yield pending
                pending = address
            elif pending == address:
                pending = None  # an interrupt came first: it will be announced again
    if pending is not None:
        yield pending


@dataclass
class Invocation:
    function: str
    blocks: list[int] = field(default_factory=list)  # their first addresses
    returned: bool = False


class Simulator:
    """Splits a stream of addresses of one processor into invocations.

    An address belongs to the latest invocation of its function that can go there next; a function's entry
    begins a new one. Tasks that sleep in a traced function resume where they were.
    """

    def __init__(self, functions: Sequence[Row]) -> None:
        """`functions`: rows of the trace with their `instructions` and `blocks` (see read_functions)."""
        self.finished: list[Invocation] = []
        self._open: list[tuple[Invocation, int]] = []  # with the address executed last
        self._owner: dict[int, Row] = {}
        self._insn: dict[int, Row] = {}
        self._starts: set[int] = set()
        self._next: dict[int, set[int]] = {}
        for function in functions:
            self._take(function)

    def _take(self, function: Row) -> None:
        instructions = sorted(function["instructions"], key=lambda row: row["address"])
        blocks = {row["number"]: row for row in function["blocks"]}
        last = {row["block"]: row["address"] for row in instructions}
        self._starts |= {row["from_address"] & _MASK for row in function["blocks"]}
        for row, after in zip(instructions, [*instructions[1:], None], strict=True):
            address = row["address"] & _MASK
            self._owner[address] = function
            self._insn[address] = row
            inside = after is not None and after["block"] == row["block"]
            self._next[address] = {after["address"] & _MASK} if inside and after is not None else set()
        for edge in function["edges"]:
            self._next[last[edge["source"]] & _MASK].add(blocks[edge["target"]]["from_address"] & _MASK)

    def feed(self, address: int) -> None:
        function = self._owner.get(address)
        if function is None:
            return
        current = self._continuing(function, address)
        if current is None:
            current = Invocation(function["name"])
            if address != function["entry"] & _MASK:
                raise AssertionError(f"{address:#x} of {function['name']} follows nothing that ran")
        if address in self._starts:
            current.blocks.append(address)
        if self._next[address]:
            self._open.append((current, address))
        else:
            current.returned = True
            self.finished.append(current)

    def _continuing(self, function: Row, address: int) -> Invocation | None:
        """The latest open invocation that can be at this address next; it is taken off the list. An instruction that
        repeats (rep, or a fault that was mended) stays where it is."""
        for index in range(len(self._open) - 1, -1, -1):
            invocation, at = self._open[index]
            if self._owner[at] is not function:
                continue
            if address in self._next[at]:
                del self._open[index]
                return invocation
            if address == at:
                del self._open[index]
                if address in self._starts:
                    invocation.blocks.pop()  # it will be counted again
                return invocation
        return None

    def close(self) -> list[Invocation]:
        """All invocations, those that did not end last."""
        return self.finished + [invocation for invocation, _ in self._open]


def read_functions(trace: Any) -> list[dict[str, Any]]:
    """The traced functions of a trace as Simulator wants them."""
    functions = trace.rows("SELECT * FROM function")
    for function in functions:
        for table in ("instruction", "block", "edge"):
            function[table + "s"] = trace.rows(f"SELECT * FROM {table} WHERE function = ?", [function["id"]])
    return functions


def ranges(functions: Sequence[Row]) -> list[tuple[int, int]]:
    """The text of the functions, hot and cold, joined where blocks adjoin."""
    pieces = sorted(
        (block["from_address"] & _MASK, block["to_address"] & _MASK)
        for function in functions
        for block in function["blocks"]
    )
    joined: list[tuple[int, int]] = []
    for low, high in pieces:
        if joined and low <= joined[-1][1] + 16:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def recorded_blocks(trace: Any, function: Row) -> list[dict[str, Any]]:
    """Each invocation's row with its path: `steps`, block addresses, None for a gap with its blocks in `gaps`."""
    starts = {row["number"]: row["from_address"] & _MASK for row in function["blocks"]}
    invocations = trace.rows("SELECT * FROM invocation WHERE function = ? ORDER BY seq", [function["id"]])
    for invocation in invocations:
        steps = trace.rows("SELECT * FROM step WHERE invocation = ? ORDER BY ordinal", [invocation["id"]])
        invocation["steps"] = [None if step["block"] is None else starts[step["block"]] for step in steps]
        invocation["gaps"] = {
            step["ordinal"]: {
                starts[row["block"]]: bool(row["certain"])
                for row in trace.rows(
                    "SELECT * FROM gap_block WHERE invocation = ? AND ordinal = ?",
                    [invocation["id"], step["ordinal"]],
                )
            }
            for step in steps
            if step["block"] is None
        }
    return invocations


def lies_within(blocks: Sequence[int], invocation: Row) -> bool:
    """Whether a true path is one of those that a recorded one with gaps allows: what is known appears in order, and
    between it nothing but the gap's blocks, with each of its certain ones."""
    places = {0}  # how far the true path can have come
    for ordinal, wanted in enumerate(invocation["steps"]):
        if wanted is None:
            places = _through_gap(blocks, places, invocation["gaps"][ordinal])
        else:
            places = {place + 1 for place in places if place < len(blocks) and blocks[place] == wanted}
    return len(blocks) in places


def _through_gap(blocks: Sequence[int], places: set[int], gap: Mapping[int, bool]) -> set[int]:
    reached: set[int] = set()
    last = -1
    for place in sorted(places):
        if place <= last:
            continue  # an earlier start in the same run comes to all that this one does
        missing = {block for block, certain in gap.items() if certain}
        end = place
        if not missing:
            reached.add(end)
        while end < len(blocks) and blocks[end] in gap:
            missing.discard(blocks[end])
            end += 1
            if not missing:
                reached.add(end)
        last = end
    return reached
