# SPDX-License-Identifier: MIT
"""What the branch traces of a trace say of callers: where in a traced function another one is called or inlined, whether
that code ran, and the decisions that led past it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clockscope._core import Trace
from clockscope.model import paths
from clockscope.model.calls import base_name
from clockscope.model.source_text import Source

Record = dict[str, Any]

_UNSIGNED = 1 << 64

# Calls and jumps to another function, and code of others that was inlined.
_CALLS = """SELECT n.function AS id, n.address, n.block, n.kind, n.target, n.inlined FROM instruction n
            WHERE n.target IS NOT NULL OR n.inlined <> ''"""

_ADDRESSES = "SELECT name AS function, entry AS address FROM function UNION SELECT function, address FROM counter"

_EXECUTED = """SELECT s.block AS block, 1 AS certain, count(*) AS times FROM step s JOIN invocation i ON i.id = s.invocation
               WHERE i.function = ?1 AND s.block IS NOT NULL GROUP BY s.block
               UNION ALL SELECT g.block, g.certain, 0 FROM gap_block g JOIN invocation i ON i.id = g.invocation
               WHERE i.function = ?1"""

_ENDS = """SELECT s.block FROM invocation i JOIN step s ON s.invocation = i.id
           WHERE i.function = ? AND i.returned = 'not seen' AND s.block IS NOT NULL
           AND s.ordinal = (SELECT max(ordinal) FROM step WHERE invocation = i.id)"""

# By the first of each: what it was decided by can be told.
_DECISIONS = """SELECT d.address, d.taken, count(*) AS times, min(d.invocation) AS invocation, min(d.ordinal) AS ordinal
                FROM decision d JOIN invocation i ON i.id = d.invocation
                JOIN instruction n ON n.function = i.function AND n.address = d.address
                WHERE i.function = ? AND n.block = ? AND d.invocation = (
                    SELECT min(e.invocation) FROM decision e JOIN invocation o ON o.id = e.invocation
                    WHERE o.function = i.function AND e.address = d.address AND e.taken = d.taken)
                GROUP BY d.address, d.taken"""

_TIMES = """SELECT count(*) AS times FROM decision d JOIN invocation i ON i.id = d.invocation
            WHERE i.function = ? AND d.address = ? AND d.taken = ?"""


class _Function:
    """A traced function, with what ran of it."""

    def __init__(self, trace: Trace, row: Record) -> None:
        self.row = row
        self.id = int(row["id"])
        self.certain: dict[int, int] = {}  # how often each block ran, of those that did
        self.perhaps: set[int] = set()
        for one in trace.rows(_EXECUTED, [self.id]):
            if one["certain"]:
                self.certain[one["block"]] = max(self.certain.get(one["block"], 0), one["times"])
            else:
                self.perhaps.add(one["block"])
        self.edges = trace.rows("SELECT source, target FROM edge WHERE function = ?", [self.id])
        calls = trace.rows("SELECT count(*) AS n FROM invocation WHERE function = ?", [self.id])
        self.called = bool(calls[0]["n"])
        self._ends = {row["block"] for row in trace.rows(_ENDS, [self.id])}

    def is_last(self, block: int) -> bool:
        """Whether an invocation was last seen in a block: it may not have come to the block's end."""
        return block in self._ends


@dataclass(frozen=True)
class _Place:
    """Where another function is called, or inlined."""

    block: int
    branch: int | None  # the conditional branch that jumps there


_Places = dict[str, dict[int, set[_Place]]]
"""By a function's name: the traced functions, by id, and their places."""


class Callers:
    """Names are those of functions without what compilers add to them; several traced functions may have one."""

    def __init__(self, trace: Trace, source: Source, symbol_at: Callable[[int], str] | None = None) -> None:
        """`symbol_at`: the kernel's symbol at an address, for functions that the trace does not know."""
        self._trace = trace
        self._symbol_at = symbol_at
        self._source = source
        self._rows = {row["id"]: row for row in trace.rows("SELECT * FROM function ORDER BY id")}
        self._functions: dict[int, _Function] = {}
        self._readers: dict[int, paths.Function] = {}
        self._called, self._inlined = self._places()

    def _places(self) -> tuple[_Places, _Places]:
        """Where functions are called, and where their code is inlined."""
        names = {row["address"]: base_name(row["function"]) for row in self._trace.rows(_ADDRESSES)}
        called: _Places = {}
        inlined: _Places = {}
        for row in self._trace.rows(_CALLS):
            target = row["target"]
            if target is not None and target not in names and self._symbol_at is not None:
                names[target] = base_name(self._symbol_at(target % _UNSIGNED))
            name = names.get(target, "")
            place = _Place(row["block"], row["address"] if row["kind"] == "branch" else None)
            # A jump that stays in its function is none to another.
            if name and (row["kind"] == "call" or name != self._name(row["id"])):
                called.setdefault(name, {}).setdefault(row["id"], set()).add(place)
            if row["inlined"]:
                inlined.setdefault(row["inlined"], {}).setdefault(row["id"], set()).add(_Place(row["block"], None))
        return called, inlined

    def inlined_names(self) -> Iterable[str]:
        """The functions of which traced ones have copies."""
        return self._inlined.keys()

    def was_called(self, name: str) -> bool:
        """Whether a call of a traced function was seen: of itself, not of a copy in another."""
        return any(
            base_name(row["name"]) == name and self._function(number).called for number, row in self._rows.items()
        )

    def is_traced(self, name: str) -> bool:
        return any(base_name(row["name"]) == name for row in self._rows.values())

    def callers(self, name: str) -> set[str]:
        """The traced functions that call a function."""
        return {self._name(number) for number in self._called.get(name, ())}

    def containers(self, name: str) -> set[str]:
        """The traced functions that it is inlined into."""
        return {self._name(number) for number in self._inlined.get(name, ())}

    def copies_ran(self, name: str, within: str) -> int:
        """How often a function's code was seen to run as a copy in another, by the block that ran most; 0: not seen."""
        return max(
            (self._function(number).certain.get(block, 0) for number, block in self._copies(name, within)), default=0
        )

    def copies_surely_skipped(self, name: str, within: str) -> bool:
        """Whether nothing of a copy can have run: each of its blocks was in the trace's sight, and did not."""
        found = list(self._copies(name, within))
        return bool(found) and all(
            block not in self._function(number).certain and block not in self._function(number).perhaps
            for number, block in found
        )

    def calls_ran(self, name: str) -> tuple[str, int] | None:
        """A traced function whose call of another was seen to run, and how often; the one where it ran most."""
        ran = [
            (self._function(number).certain.get(place.block, 0), self._name(number))
            for number, places in self._called.get(name, {}).items()
            for place in places
            if place.branch is None and not self._function(number).is_last(place.block)
        ]
        times, caller = max(ran, default=(0, ""))
        return (caller, times) if times else None

    def decisions(self, caller: str, name: str) -> Iterator[Record]:
        """The branches of a traced function that led past its calls of another, or past that one's code in it."""
        for kind in (self._called, self._inlined):
            for number, places in kind.get(name, {}).items():
                if self._name(number) == caller and self._function(number).called:
                    yield from self._led_past(self._function(number), places)

    def _name(self, number: int) -> str:
        return base_name(self._rows[number]["name"])

    def _copies(self, name: str, within: str) -> Iterator[tuple[int, int]]:
        for number, places in self._inlined.get(name, {}).items():
            if self._name(number) == within:
                yield from ((number, place.block) for place in places)

    def _function(self, number: int) -> _Function:
        if number not in self._functions:
            self._functions[number] = _Function(self._trace, self._rows[number])
        return self._functions[number]

    def _led_past(self, function: _Function, places: Iterable[_Place]) -> Iterator[Record]:
        told: dict[tuple[str, bool | None], Record] = {}
        for place in sorted(places, key=lambda one: one.block):
            for one in self._past(function, place):
                told.setdefault((one["address"], one["taken"]), one)
        yield from told.values()

    def _past(self, function: _Function, place: _Place) -> Iterable[Record]:
        """A gap may hide where the way parted: then what surely ran tells."""
        if place.block in function.certain:
            return (
                [one for one in self._decided(function, place.block, place.branch)] if place.branch is not None else []
            )
        for ran in ({*function.certain, *function.perhaps} - {place.block}, {*function.certain}):
            points = turning_points(place.block, function.edges, ran)
            if found := [one for point in points for one in self._decided(function, point)]:
                return found
        return []

    def _decided(self, function: _Function, block: int, branch: int | None = None) -> Iterator[Record]:
        """What a block decided that ran, and from which the way did not go there. `branch`: of it, that one alone."""
        reader = self._reader(function)
        rows = self._trace.rows(_DECISIONS, [function.id, block])
        for row in rows:
            if branch in (None, row["address"]):
                (made,) = reader.decisions(row["invocation"], row["ordinal"], 1)
                times = self._trace.rows(_TIMES, [function.id, row["address"], row["taken"]])[0]["times"]
                yield self._record(function, made, times)
        if not rows and branch is None and block in function.certain:
            # A table's jump, a place that the kernel patches, or a call that did not return.
            last = reader.last_of(block)
            if last is not None:
                yield self._record(function, {**last, "taken": None, "condition": None}, function.certain[block])

    def _record(self, function: _Function, made: Mapping[str, Any], times: int) -> Record:
        kept = ("address", "source", "text", "instruction", "taken", "condition", "values", "variables")
        return {"caller": function.row["name"], **{key: made[key] for key in kept}, "times": max(times, 1)}

    def _reader(self, function: _Function) -> paths.Function:
        if function.id not in self._readers:
            self._readers[function.id] = paths.Function(self._trace, function.row, source=self._source)
        return self._readers[function.id]


def turning_points(block: int, edges: Iterable[Mapping[str, Any]], ran: set[int]) -> list[int]:
    """The blocks that ran, from which a way leads to `block` through none that ran."""
    sources: dict[int, set[int]] = {}
    for edge in edges:
        sources.setdefault(edge["target"], set()).add(edge["source"])
    found, seen, pending = set(), {block}, [block]
    while pending:
        for source in sources.get(pending.pop(), set()) - seen:
            seen.add(source)
            if source in ran:
                found.add(source)
            else:
                pending.append(source)
    return sorted(found)
