# SPDX-License-Identifier: MIT
"""What was changed in a recorded guest, read from its trace: for all reports."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from clockscope._core import FormatError, Trace
from clockscope.base.ui import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict

_ALL = """SELECT i.kind, i.option, i.function, i.file, i.line, i.address, count(u.seq) AS times,
                 coalesce(sum(u.was <> u.became), 0) AS changed, min(u.seq) AS first_seq, max(u.seq) AS last_seq
          FROM intervention i LEFT JOIN intervention_use u ON u.intervention = i.number
          GROUP BY i.number ORDER BY i.number"""

_USES = """SELECT u.seq, u.cpu, u.was, u.became, i.kind, i.option, i.file, i.line, i.address
           FROM intervention_use u JOIN intervention i ON i.number = u.intervention
           WHERE i.address IN (SELECT address FROM instruction WHERE function = ?) ORDER BY u.seq"""


def of(trace: Trace) -> list[Record]:
    """The interventions of a recording, in the order in which they were asked for; each report's schema has them."""
    return [
        {
            "kind": row["kind"],
            "option": row["option"],
            "function": row["function"],
            "source": f"{row['file']}:{row['line']}" if row["line"] else row["file"],
            "address": f"{row['address'] % (1 << 64):#x}",
            "times": row["times"],
            "changed": row["changed"],
            "first_seq": row["first_seq"],
            "last_seq": row["last_seq"],
        }
        for row in trace.rows(_ALL)
    ]


def timeline(trace: Trace) -> Record:
    """What `timeline --format json` prints: of a damaged trace, all that can be read, and under "damage" what cannot."""
    content = trace.timeline()
    try:
        return {**content, "interventions": of(trace)}
    except FormatError as error:
        return {**content, "complete": False, "damage": content["damage"] or str(error), "interventions": []}


def moments(trace: Trace, limit: int) -> list[Record]:
    """Each time that something was changed, in order: seq, run_ns, cpu, kind, option, function, source, was, became."""
    rows = trace.rows(
        "SELECT u.seq, u.run_ns, u.cpu, i.kind, i.option, i.function, i.file, i.line, u.was, u.became"
        " FROM intervention_use u JOIN intervention i ON i.number = u.intervention ORDER BY u.seq LIMIT ?",
        [limit],
    )
    for row in rows:
        file, line = row.pop("file"), row.pop("line")
        row["source"] = f"{file}:{line}" if line else file
    return rows


class Uses:
    """Each time that something was changed in one function, in order."""

    def __init__(self, trace: Trace, function: int) -> None:
        """`function`: its number in the trace."""
        self._all = trace.rows(_USES, [function])
        # A use takes its number just before the stop that it changes.
        self._at_stop = {(use["address"], use["seq"] + 1) for use in self._all if use["kind"] == "force"}

    def at_stop(self, address: int, stop: int | None) -> bool:
        """Whether the branch was forced that a stop saw."""
        return (address, stop) in self._at_stop

    def mark(self, invocation: Record, decisions: Sequence[Record]) -> None:
        """Set `forced` in those that nobody saw: of one branch, the first ones of an invocation are forced."""
        left = Counter(f"{use['address'] % (1 << 64):#x}" for use in self._within(invocation) if use["kind"] == "force")
        for decision in decisions:
            forced = left[decision["address"]] > 0
            left[decision["address"]] -= forced
            decision["forced"] = decision["forced"] or (forced and not decision["seen"])

    def _within(self, invocation: Record) -> Iterator[Record]:
        end = invocation["end_seq"]
        for use in self._all:
            begun = use["seq"] + 1 >= invocation["seq"]
            if begun and (end is None or use["seq"] < end) and use["cpu"] == invocation["cpu"]:
                yield use

    def count(self, invocation: Record, low: int, high: int) -> int:
        """The stops for interventions from `low` up to `high`."""
        return sum(low <= use["address"] < high for use in self._within(invocation))

    def grouped(self, invocation: Record) -> Iterator[Record]:
        """Those of one invocation; what was repeated alike in one piece, with `times`."""
        alike = itertools.groupby(self._within(invocation), lambda use: (use["option"], use["was"], use["became"]))
        for _, group in alike:
            first, *more = group
            yield {**first, "times": 1 + len(more)}


def lines(found: Sequence[Record], lead: str = "") -> Iterator[str]:
    """One plain line that names all; none where nothing was changed."""
    if found:
        yield f"{lead}interventions: " + "; ".join(f"{name(one)}, {how_often(one)}" for one in found)


def name(one: Record) -> str:
    """An intervention as it was asked for."""
    return f"--{one_line(one['kind'])} {one_line(one['option'])}"


def how_often(one: Record) -> str:
    if not one["times"]:
        return "never reached"
    made = "made once" if one["times"] == 1 else f"made {one['times']} times"
    if not one["changed"]:
        return f"{made}, which changed nothing"
    return made if one["changed"] == one["times"] else f"{made}, {one['changed']} of them a change"
