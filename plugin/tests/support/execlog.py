# SPDX-License-Identifier: MIT
"""QEMU's own execution log (-d exec,nochain -dfilter …): the truth that paths are held against.

The log knows nothing of clockscope's probes, invocations or gaps. From it come, for each function, the blocks
that each invocation went through, by simulating calls and returns of the traced functions alone.
"""

import re
import subprocess
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clockscope._core import Analyser

Row = Mapping[str, Any]

# accel/tcg/cpu-exec.c, log_cpu_exec() and cpu_tb_exec(): [cs_base/pc/flags/cflags], and [pc].
_TRACE = re.compile(r"^Trace (\d+): 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
_PUT_OFF = re.compile(r"^Stopped execution of TB chain before 0x[0-9a-f]+ \[([0-9a-f]+)\]")
_STACK = re.compile(r"\bRSP=([0-9a-f]{16})\b")
_MASK = (1 << 64) - 1
_BEHIND = 10000  # lines that other processors may write between two of an execution


class Execution(NamedTuple):
    """Code that ran from this address on: one instruction, or as many as QEMU translated in one piece."""

    address: int
    cpu: int
    stack: int | None  # the stack pointer before it, where the log tells it


def options(log: Path, ranges: Iterable[tuple[int, int]], *, single: bool = False, stack: bool = False) -> list[str]:
    """QEMU options that log what is executed in these address ranges: pieces of straight code, or with `single` each
    instruction (six times as slow); with `stack` the registers too."""
    wanted = ",".join(f"{low:#x}..{high - 1:#x}" for low, high in ranges)
    what = "exec,nochain,cpu" if stack else "exec,nochain"
    return ["-d", what, *(_single_options() if single else []), "-dfilter", wanted, "-D", str(log)]


@cache
def _single_options() -> list[str]:
    """What has QEMU translate one instruction at a time: a property of the accelerator since 8.1."""
    told = subprocess.run(["qemu-system-x86_64", "-help"], capture_output=True, text=True, check=True).stdout
    return ["-accel", "tcg,one-insn-per-tb=on"] if "one-insn-per-tb" in told else ["-singlestep"]


def executions(log: Path) -> Iterator[Execution]:
    """What was executed, in order. What was announced but put off, for an interrupt came first, is not told twice.

    Which of several processors at one address was put off is not said: there it is told twice. Nor which of them the
    registers are of: log no stack then.
    """
    recent: deque[Execution] = deque()
    with log.open(errors="replace") as lines:
        for line in lines:
            if match := _TRACE.match(line):
                recent.append(Execution(int(match[2], 16), int(match[1]), None))
                if len(recent) > _BEHIND:
                    yield recent.popleft()
            elif match := _PUT_OFF.match(line):
                latest = {one.cpu: place for place, one in enumerate(recent)}
                there = [place for place in latest.values() if recent[place].address == int(match[1], 16)]
                if len(there) == 1:
                    del recent[there[0]]
            elif recent and (match := _STACK.search(line)):
                recent[-1] = recent[-1]._replace(stack=int(match[1], 16))
    yield from recent


@dataclass
class Invocation:
    function: str
    blocks: list[int] = field(default_factory=list)  # their first addresses
    returned: bool = False
    stack: int | None = None  # at its entry


@dataclass
class _Open:
    """An invocation that ran the straight code from `at` on, and may go on."""

    invocation: Invocation
    at: int
    cpu: int


@dataclass(frozen=True)
class _Straight:
    """Straight code from some address: where it can lead, and which blocks it enters on the way there. QEMU may
    break off anywhere in it."""

    leads: Mapping[int, tuple[int, ...]]
    to_return: tuple[int, ...] | None  # None: it does not end the function


class Simulator:
    """Splits a stream of executions into invocations.

    One belongs to the latest invocation of its function that can go there next; where the log tells the stack, to
    the one whose frame is the nearest. A function's entry begins a new one. So tasks that sleep in a traced
    function, or wake on another processor, resume where they were.
    """

    def __init__(self, functions: Sequence[Row], unlogged: Collection[int] = (), *, single: bool = False) -> None:
        """`functions`: rows of the trace with their `instructions` and `blocks` (see read_functions). `unlogged`:
        instructions that QEMU perhaps did not execute, for the relay did so in its stead. `single`: the log tells
        each instruction."""
        self._single = single
        self._unlogged = set(unlogged)
        self._open: dict[int, list[_Open]] = {}  # by function
        self._owner: dict[int, Row] = {}
        self._starts: set[int] = set()
        self._next: dict[int, list[int]] = {}
        self._jumps: set[int] = set()  # instructions behind which straight code ends
        self._straights: dict[int, _Straight] = {}
        for function in functions:
            self._take(function)

    def _take(self, function: Row) -> None:
        instructions = sorted(function["instructions"], key=lambda row: int(row["address"]) & _MASK)
        blocks = {row["number"]: row for row in function["blocks"]}
        last = {row["block"]: row["address"] & _MASK for row in instructions}
        behind = {}
        self._starts |= {row["from_address"] & _MASK for row in function["blocks"]}
        for row, after in zip(instructions, [*instructions[1:], None], strict=True):
            address = row["address"] & _MASK
            self._owner[address] = function
            self._next[address] = []
            if after is not None:
                behind[address] = after["address"] & _MASK
                if after["block"] == row["block"]:
                    self._next[address].append(behind[address])
        for edge in function["edges"]:
            end, to = last[edge["source"]], blocks[edge["target"]]["from_address"] & _MASK
            self._next[end].append(to)
            if edge["kind"] not in ("next", "alternate"):
                self._jumps.add(end)
            elif edge["kind"] == "alternate" and end in behind:
                self._unlogged.add(behind[end])  # what the kernel patched to be no jump ends no straight code

    def feed(self, execution: Execution) -> None:
        address, cpu, stack = execution
        function = self._owner.get(address)
        if function is None:
            return
        current = self._continuing(function, execution) or self._beginning(function, execution)
        if address in self._starts:
            current.blocks.append(address)
        self._open.setdefault(function["id"], []).append(_Open(current, address, cpu))

    def _beginning(self, function: Row, execution: Execution) -> Invocation:
        """A new invocation, up to what was executed."""
        entry = function["entry"] & _MASK
        new = Invocation(function["name"], stack=execution.stack)
        if execution.address == entry:
            return new
        if entry not in self._unlogged or execution.address not in self._straight(entry).leads:
            raise AssertionError(f"{execution.address:#x} of {function['name']} follows nothing that ran")
        new.blocks += [entry, *self._straight(entry).leads[execution.address]]
        return new

    def _continuing(self, function: Row, execution: Execution) -> Invocation | None:
        """The open invocation that this goes on with, brought up to there and taken off the list. Code that is told
        again where it was (rep, or a fault that was mended) stays there."""
        address = execution.address
        chosen = self._nearest(function, execution)
        if chosen is None:
            return None
        if address in self._straight(chosen.at).leads:
            chosen.invocation.blocks += self._straight(chosen.at).leads[address]
        elif address in self._starts:
            chosen.invocation.blocks.pop()  # it will be counted again
        self._open[function["id"]].remove(chosen)
        return chosen.invocation

    def _nearest(self, function: Row, execution: Execution) -> _Open | None:
        address, cpu, stack = execution
        begins = address == function["entry"] & _MASK and self._straight(address).to_return is not None
        best: tuple[tuple[int, bool, bool, int], _Open] | None = None
        for number, one in enumerate(self._open.get(function["id"], ())):
            goes_on = address in self._straight(one.at).leads
            again = address == one.at and not begins
            depth = 0 if stack is None or one.invocation.stack is None else one.invocation.stack - stack
            if depth < 0 or not (goes_on or again):
                continue
            rank = (-depth, one.cpu == cpu, goes_on, number)
            if best is None or rank > best[0]:
                best = (rank, one)
        return best[1] if best else None

    def _straight(self, address: int) -> _Straight:
        if address not in self._straights:
            self._straights[address] = self._walk(address, frozenset({address}))
        return self._straights[address]

    def _walk(self, at: int, walked: frozenset[int]) -> _Straight:
        """Straight code from `at` on; where it leads to an instruction that is not logged, also what comes behind."""
        leads: dict[int, tuple[int, ...]] = {}
        passed: tuple[int, ...] = ()
        to_return: tuple[int, ...] | None = None
        while True:
            for after in self._next[at]:
                # Back into the same code: it went once round, rather than that QEMU broke off just here.
                leads[after] = passed
            if self._single or at in self._jumps or len(self._next[at]) != 1:
                break
            at = self._next[at][0]
            if at in walked:
                break
            passed += (at,) if at in self._starts else ()
        if not self._next[at]:
            to_return = passed
        for after in [one for one in leads if one in self._unlogged - walked]:
            behind = self._walk(after, walked | {after})
            before = leads[after] + ((after,) if after in self._starts else ())
            for further, blocks in behind.leads.items():
                leads.setdefault(further, before + blocks)
            if to_return is None and behind.to_return is not None:
                to_return = before + behind.to_return
        return _Straight(leads, to_return)

    def close(self) -> list[Invocation]:
        """All invocations."""
        left = [one for several in self._open.values() for one in several]
        for one in left:
            end = self._straight(one.at).to_return
            one.invocation.returned = end is not None
            one.invocation.blocks += end or ()
        return [one.invocation for one in left]


def read_functions(trace: Any) -> list[dict[str, Any]]:
    """The traced functions of a trace as Simulator wants them."""
    functions: list[dict[str, Any]] = trace.rows("SELECT * FROM function")
    for function in functions:
        for table in ("instruction", "block", "edge"):
            function[table + "s"] = trace.rows(f"SELECT * FROM {table} WHERE function = ?", [function["id"]])
    return functions


def ranges(functions: Sequence[Row]) -> list[tuple[int, int]]:
    """The text of the functions of a trace, hot and cold."""
    blocks = [block for function in functions for block in function["blocks"]]
    return _joined((block["from_address"] & _MASK, block["to_address"] & _MASK) for block in blocks)


def ranges_of(analyser: Analyser, names: Iterable[str]) -> list[tuple[int, int]]:
    """The same for functions of a kernel that is yet to be traced."""
    blocks = [block for name in names for part in analyser.analyse(name) for block in part["blocks"]]
    return _joined((block["start"], block["end"]) for block in blocks)


def _joined(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Few ranges, for QEMU holds each execution against all of them."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(pieces):
        if joined and low <= joined[-1][1] + 64:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def recorded_blocks(trace: Any, function: Row) -> list[dict[str, Any]]:
    """Each invocation's row with its path: `steps`, block addresses, None for a gap with its blocks in `gaps`."""
    starts = {row["number"]: row["from_address"] & _MASK for row in function["blocks"]}
    invocations: list[dict[str, Any]] = trace.rows(
        "SELECT * FROM invocation WHERE function = ? ORDER BY seq", [function["id"]]
    )
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


@dataclass(frozen=True)
class Comparison:
    """One traced function against the log."""

    function: str
    determined: bool
    invocations: int
    complete: int
    wrong: list[str]


def compare(trace: Any, log: Path, unlogged: Collection[int] = (), *, single: bool = False) -> list[Comparison]:
    """Each invocation that was recorded against one of the log's: the same blocks where it is complete, else blocks
    that it allows; and none is left over."""
    functions = read_functions(trace)
    simulator = Simulator(functions, unlogged, single=single)
    for execution in executions(log):
        simulator.feed(execution)
    truth: dict[str, list[list[int]]] = {}
    for invocation in simulator.close():
        truth.setdefault(invocation.function, []).append(invocation.blocks)
    return [_compare(trace, function, truth.get(function["name"], []), unlogged) for function in functions]


def _compare(trace: Any, function: Row, truth: list[list[int]], unlogged: Collection[int]) -> Comparison:
    hidden = _hidden(function, unlogged)
    left = [[block for block in blocks if block not in hidden] for blocks in truth]
    recorded = recorded_blocks(trace, function)
    wrong = []
    for invocation in recorded:
        _hide(invocation, hidden)
        found = next((blocks for blocks in left if lies_within(blocks, invocation)), None)
        if found is None or not invocation["consistent"]:
            wrong.append(f"recorded: {_shown(invocation['steps'])}")
        if found is not None:
            left.remove(found)
    wrong += [f"not recorded: {_shown(blocks)}" for blocks in left]
    complete = sum(invocation["complete"] for invocation in recorded)
    return Comparison(function["name"], bool(function["determined"]), len(recorded), complete, wrong)


def _hidden(function: Row, unlogged: Collection[int]) -> set[int]:
    """Blocks that the log need not tell of: all their instructions may have been executed by the relay."""
    inside: dict[int, set[int]] = {}
    for row in function["instructions"]:
        inside.setdefault(row["block"], set()).add(row["address"] & _MASK)
    return {
        row["from_address"] & _MASK for row in function["blocks"] if inside.get(row["number"], set()) <= set(unlogged)
    }


def _hide(invocation: dict[str, Any], hidden: Collection[int]) -> None:
    kept = [(ordinal, block) for ordinal, block in enumerate(invocation["steps"]) if block not in hidden]
    invocation["gaps"] = {
        place: {block: certain for block, certain in invocation["gaps"][ordinal].items() if block not in hidden}
        for place, (ordinal, block) in enumerate(kept)
        if block is None
    }
    invocation["steps"] = [block for _, block in kept]


def _shown(blocks: Sequence[int | None]) -> str:
    shown = " ".join("…" if block is None else f"{block:x}" for block in blocks[:40])
    return f"{shown} ({len(blocks)} steps)"
