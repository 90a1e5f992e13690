# SPDX-License-Identifier: MIT
"""The branch traces of two traces compared: which functions one side alone reached, and where decisions parted."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clockscope.model import paths
from clockscope.model.source_text import Source
from clockscope._core import Trace, diff_function

Record = dict[str, Any]
Guest = tuple[Trace, Source]

# How much of what followed a difference is shown.
_FOLLOWING = 5
_UNSIGNED = 1 << 64
_SHOWN = ("source", "text", "inlined", "address", "instruction", "taken", "condition", "to", "values", "variables")

# When a decision was made, as a number of the trace's one sequence. Nobody saw one that was worked out: it came after
# what its invocation was last seen to do, which may be the return from a traced callee that stands earlier on its path.
_POSITION = """
WITH own AS (SELECT * FROM invocation WHERE id = ?1)
SELECT max(
    (SELECT seq FROM own),
    coalesce((SELECT max(stop) FROM decision WHERE invocation = ?1 AND ordinal <= ?2), 0),
    coalesce((
        SELECT max(callee.end_seq) FROM own JOIN invocation AS callee
            ON callee.seq > own.seq AND callee.end_seq < coalesce(own.end_seq, 9223372036854775807)
        JOIN block ON block.function = own.function
            AND callee.caller > block.from_address AND callee.caller <= block.to_address
        JOIN step ON step.invocation = own.id AND step.block = block.number AND step.ordinal <= ?2
    ), 0)
) AS position
"""


def base_name(function: str) -> str:
    """A function's name without the suffixes that compilers give to its parts."""
    return function.split(".")[0]


def compare(a: Trace, b: Trace, progress: Callable[[int, int, str], None], sources: Sequence[Source] = ()) -> Record:
    """The key "functions" of a diff, with "first_divergence"."""
    pairs, alone = _pair(_functions(a), _functions(b))
    differ = []
    guests = tuple(zip((a, b), sources or (Source(a), Source(b))))
    for done, (name, here, there) in enumerate(pairs):
        progress(done, len(pairs), f"comparing {name}")
        result = diff_function(a, here["id"], b, there["id"])
        # One that only one side called is told as such.
        if all(result["invocations"]) and (result["divergence"] or any(result["unpaired"])):
            differ.append(_difference(name, guests, (here, there), result))
    progress(len(pairs), len(pairs), "compared")
    differ.sort(key=_order)
    diverging = [item["divergence"] for item in differ if item["divergence"]]
    return {
        "first_divergence": diverging[0] if diverging else None,
        **_reached(a, b),
        "differ": differ,
        "compared": len(pairs),
        "not_compared": sorted(alone),
    }


def _order(item: Record) -> tuple[bool, int]:
    divergence = item["divergence"]
    return divergence is None, divergence["a"]["position"] if divergence else 0


def _functions(trace: Trace) -> Mapping[str, Sequence[Record]]:
    """Functions that were analysed and could be traced; several may have one name."""
    found: dict[str, list[Record]] = defaultdict(list)
    for row in trace.rows(
        "SELECT * FROM function WHERE EXISTS (SELECT 1 FROM block WHERE function = function.id) ORDER BY name, entry"
    ):
        found[base_name(row["name"])].append(row)
    return found


def _pair(
    a: Mapping[str, Sequence[Record]], b: Mapping[str, Sequence[Record]]
) -> tuple[list[tuple[str, Record, Record]], set[str]]:
    """The functions of both, in pairs, and the names of those that one side lacks."""
    pairs = [(here["name"], here, there) for name in a if name in b for here, there in zip(a[name], b[name])]
    return pairs, set(a).symmetric_difference(b)


def _reached(a: Trace, b: Trace) -> Record:
    """The functions that were looked for in both, and reached in one."""
    seen_a, seen_b = _calls(a), _calls(b)
    both = [name for name in seen_a if name in seen_b]
    return {
        "only_a": sorted(name for name in both if seen_a[name] and not seen_b[name]),
        "only_b": sorted(name for name in both if seen_b[name] and not seen_a[name]),
    }


def _calls(trace: Trace) -> Mapping[str, int]:
    """How often each function was seen to be called, of those that were looked for."""
    calls: dict[str, int] = defaultdict(int)
    for row in trace.rows(
        "SELECT function AS name, hits FROM counter UNION ALL"
        " SELECT f.name, count(i.id) FROM function f LEFT JOIN invocation i ON i.function = f.id GROUP BY f.id"
    ):
        calls[base_name(row["name"])] += row["hits"]
    return calls


def _difference(name: str, traces: Sequence[Guest], functions: Sequence[Record], result: Record) -> Record:
    return {
        "function": name,
        "same_code": result["same_code"],
        "branches": list(result["branches"]),
        "branches_paired": result["paired"],
        "invocations": list(result["invocations"]),
        "compared": result["compared"],
        "differing": result["differing"],
        "unpaired": list(result["unpaired"]),
        "cut_short": result["cut_short"],
        "divergence": _divergence(name, traces, functions, result["divergence"]) if result["divergence"] else None,
    }


def _divergence(name: str, traces: Sequence[Guest], functions: Sequence[Record], points: Sequence[Record]) -> Record:
    a, b = (_side(*arguments) for arguments in zip(traces, functions, points))
    return {
        "function": name,
        "source": a["source"],
        "text": a["text"] or b["text"],
        "inlined": a["inlined"],
        "a": a,
        "b": b,
    }


def _side(guest: Guest, function: Record, point: Record) -> Record:
    """What one side decided at a point, with what values, and what followed."""
    trace, source = guest
    reader = paths.Function(trace, function, source=source)
    ordinal = point["ordinal"]
    invocation = _invocation(trace, point["invocation"])
    later = reader.decisions(point["invocation"], ordinal, _FOLLOWING + 1)
    own = later.pop(0) if point["decided"] else reader.branch(_signed(point["address"]), point["taken"])
    position = trace.rows(_POSITION, [point["invocation"], ordinal])[0]["position"]
    return {
        "position": position,
        **{key: own[key] for key in _SHOWN},
        "condition": own["condition"] if own["condition"] is not None else _came_to(own, later),
        # A gap may have gone round the branch; it surely did not go the other side's way.
        **({} if point["reached"] else {"taken": None, "condition": None, "to": ""}),
        "in_gap": not point["decided"],
        **invocation,
        "then": [_step(decision) for decision in later[:_FOLLOWING]],
        "events": _events_after(trace, position),
    }


def _came_to(own: Record, later: Sequence[Record]) -> bool | None:
    """What the other operands of a condition made of it, of which one did not decide it yet."""
    same = itertools.takewhile(lambda one: one["source"] == own["source"] and own["source"], later)
    return next((one["condition"] for one in same if one["condition"] is not None), None)


def _invocation(trace: Trace, number: int) -> Record:
    row = trace.rows(
        "SELECT i.*, (SELECT count(*) FROM invocation o WHERE o.function = i.function AND o.seq <= i.seq) AS n"
        " FROM invocation i WHERE i.id = ?",
        [number],
    )[0]
    row["value"] = None if row["value"] is None else row["value"] % _UNSIGNED
    return {"invocation": row["n"], **{key: row[key] for key in ("seq", "run_ns", "cpu", "returned", "value")}}


def _signed(address: int) -> int:
    """As the trace stores it."""
    return address - _UNSIGNED if address >> 63 else address


def _step(decision: Record) -> Record:
    return {key: decision[key] for key in ("source", "text", "taken", "condition", "to")}


def _events_after(trace: Trace, position: int) -> list[Record]:
    return trace.rows(
        "SELECT seq, run_ns, what, clock, rule FROM event WHERE seq > ? ORDER BY seq LIMIT ?", [position, _FOLLOWING]
    )
