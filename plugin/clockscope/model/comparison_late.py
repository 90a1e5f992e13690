# SPDX-License-Identifier: MIT
"""A recording that began late, compared: what the other guest did may have happened before, which is no difference."""

from collections.abc import Sequence
from typing import Any

from clockscope.model import late

Record = dict[str, Any]

# Of a clock: what its events tell, which were not seen; and flags, which the kernel sets as time goes on.
_UNSEEN = ("registered", "selected", "lost", "flags")


def leave_out(result: Record, timelines: Sequence[Record]) -> None:
    """Take from a comparison (schemas/diff.schema.json) what a late recording cannot tell; `late` says so."""
    begun = [late.of(timeline["provenance"]) for timeline in timelines]
    result["late"] = {side: list(late.said(found)) if found else [] for side, found in zip("ab", begun)}
    for found, other, key in zip(begun, reversed(timelines), ("only_b", "only_a")):
        if found is None:
            continue
        gone = {clock["name"] for clock in other["clocks"] if clock["lost"]}
        result["events"][key] = []
        result["clocks"][key] = [
            one for one in result["clocks"][key] if _was_read(one, found) and one["name"] not in gone
        ]
        result["functions"][key] = []
    if any(begun):
        result["clocks"]["differ"] = [
            one
            for one in result["clocks"]["differ"]
            if one["what"] not in _UNSEEN and one["a"] is not None and one["b"] is not None
        ]


def _was_read(clock: Record, found: Record) -> bool:
    """Whether a snapshot has the list in which a clock would be."""
    return bool(found["devices" if clock["kind"] == late.DEVICES else "clocks"])
