# SPDX-License-Identifier: MIT
"""Which ways the calls of a traced function went, without how often: what two boots of one guest can be compared by."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from clockscope._core import Trace
from clockscope.exports.stream import stream
from clockscope.model import comparison_paths, conditions
from clockscope.model.source_text import Source

Record = dict[str, Any]
Decision = tuple[str, str, str]
"""Place, text of the line or "", which way."""
Call = list[tuple[Decision, int]]
"""The different decisions that a call made, and when (a number of the trace's sequence)."""
Way = list[Call]
"""The different calls of a function, in the order in which they first came."""

_DECISIONS_MAX = 500  # of a function; more are left out of what is kept, and of its signature
_GAPS_MAX = 1000
_STEPS = """
SELECT s.invocation, s.ordinal, s.block, d.address, d.taken, d.stop, i.seq
FROM step s JOIN invocation i ON i.id = s.invocation LEFT JOIN decision d USING (invocation, ordinal)
WHERE i.function = {function}
"""


def of_trace(trace: Trace) -> Iterator[tuple[str, Way]]:
    """Each traced function that was called; of a compiler's copies the first."""
    truths = {(one[0], one[1], one[2]): (one[3], one[4]) for one in conditions.of_trace(trace, Source(trace))}
    seen: set[str] = set()
    query = "SELECT id, name FROM function WHERE id IN (SELECT function FROM invocation) ORDER BY name, id"
    for row in trace.rows(query):
        name = comparison_paths.base_name(row["name"])
        if name not in seen:
            seen.add(name)
            yield name, _Function(trace, int(row["id"]), truths).way()


class _Function:
    def __init__(
        self, trace: Trace, number: int, truths: Mapping[tuple[int, int, bool], tuple[bool | None, str]]
    ) -> None:
        self._trace, self._number, self._truths = trace, number, truths
        rows = trace.rows(
            "SELECT address, block, file, line FROM instruction WHERE function = ? AND kind = 'branch' ORDER BY address",
            [number],
        )
        self._places: dict[int, str] = {}
        self._branches: dict[int, int] = {}
        """By block, the branch that it ends in."""
        lines: dict[tuple[str, int], int] = {}
        for row in rows:
            line = (row["file"], row["line"])
            lines[line] = lines.get(line, 0) + 1
            nth = f" ({lines[line]})" if lines[line] > 1 else ""
            self._places[row["address"]] = f"{row['file']}:{row['line']}{nth}"
            self._branches[row["block"]] = row["address"]
        self._targets: dict[int, dict[str, int]] = {}
        self._sources: dict[int, set[int]] = {}
        for row in trace.rows("SELECT source, target, kind FROM edge WHERE function = ?", [number]):
            self._targets.setdefault(row["source"], {})[row["kind"]] = row["target"]
            self._sources.setdefault(row["target"], set()).add(row["source"])
        self._gaps = 0

    def way(self) -> Way:
        calls: dict[tuple[Decision, ...], Call] = {}
        left = _DECISIONS_MAX
        rows = stream(self._trace, _STEPS.format(function=self._number), ("invocation", "ordinal"))
        for _, steps in groupby(rows, key=_invocation):
            call = self._call(steps)
            key = tuple(made for made, _ in call)
            if key not in calls and left > 0:
                calls[key] = call[:left]
                left -= len(call)
        return list(calls.values())

    def _call(self, steps: Iterable[Record]) -> Call:
        """Nobody saw a decision that was worked out: it came after what was seen last."""
        found: dict[Decision, int] = {}
        at = 0
        before: int | None = None
        gap: Record | None = None
        for step in steps:
            at = max(at, step["seq"], step["stop"] or 0)
            if gap is not None:
                self._take(self._in_gap(gap, before, step["block"]), at, found)
            gap = step if step["block"] is None else None
            if step["address"] is not None:
                self._take([(step["address"], bool(step["taken"]))], at, found)
            before = step["block"] if step["block"] is not None else before
        if gap is not None:
            self._take(self._in_gap(gap, before, None), at, found)
        return list(found.items())

    def _take(self, made: Iterable[tuple[int, bool]], at: int, found: dict[Decision, int]) -> None:
        for address, taken in made:
            if address in self._places:
                holds, text = self._truths.get((self._number, address, taken), (None, ""))
                way = ("taken" if taken else "not taken") if holds is None else ("true" if holds else "false")
                found.setdefault((self._places[address], text, way), at)

    def _in_gap(self, gap: Record, before: int | None, after: int | None) -> Iterator[tuple[int, bool]]:
        """What is certain of a gap: branches that surely ran and could go one way alone, or surely went one at some time."""
        self._gaps += 1
        if self._gaps > _GAPS_MAX:
            return
        rows = self._trace.rows(
            "SELECT block, certain FROM gap_block WHERE invocation = ? AND ordinal = ?",
            [gap["invocation"], gap["ordinal"]],
        )
        reached = {after} if after is not None else set()
        may = {row["block"] for row in rows} | reached
        surely = {row["block"] for row in rows if row["certain"]}
        origins = may | ({before} if before is not None else set())
        for block in sorted(surely & self._branches.keys()):
            ways = {
                kind == "taken": target
                for kind, target in self._targets.get(block, {}).items()
                if kind in ("taken", "next")
            }
            open_ways = [taken for taken, target in ways.items() if target in may]
            went = [
                taken
                for taken, target in ways.items()
                if target in surely | reached and not (self._sources[target] & origins) - {block}
            ]
            chosen = went if went else open_ways if len(open_ways) == 1 else []
            yield from ((self._branches[block], taken) for taken in sorted(chosen))


def _invocation(row: Record) -> int:
    return int(row["invocation"])
