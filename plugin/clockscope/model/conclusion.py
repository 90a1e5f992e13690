# SPDX-License-Identifier: MIT
"""What a comparison comes to: the clocks that one side lacks, and the decision that lost them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Record = dict[str, Any]


Behind = Callable[[str, Sequence[str]], set[str]]
"""The clocks that had events of some kinds in calls of a function."""

_REGISTERED = ("clock.registered", "device.registered")
_LOST = ("clock.rejected", "clock.unstable", "clock.unregistered")
_SELECTED = ("clock.selected", "device.selected")


def conclude(result: Mapping[str, Any], behind: Behind) -> Record:
    """The key "conclusion" of a diff. `lacking`: what B lacks; of what A alone lacks, where B lacks nothing."""
    clocks = result["clocks"]
    side = "b" if clocks["only_a"] or not clocks["only_b"] else "a"
    lacking = [_subject(clock) for clock in clocks["only_a" if side == "b" else "only_b"]]
    changed = [_subject(item) for item in clocks["differ"] if item["what"] in ("current", "selected")]
    names = {one["name"] for one in lacking or changed}
    first = result["first_divergence"]
    own = next(_about(names, list(_divergences(result, first)), behind, bool(lacking)), None)
    # The first of all may be what led to the one that is about the clock, or have nothing to do with it.
    return {"side": side, "lacking": lacking, "decision": _decision(own), "first": _decision(first)}


def _about(names: set[str], divergences: Sequence[Record], behind: Behind, lacking: bool) -> Iterator[Record]:
    """The divergences in functions that had to do with some clocks: those first that register them."""
    for kinds in (_REGISTERED, _LOST) if lacking else (_SELECTED,):
        yield from (one for one in divergences if names & behind(one["function"], kinds))


def _subject(clock: Mapping[str, Any]) -> Record:
    return {"name": clock["name"], "kind": clock["kind"]}


def _divergences(result: Mapping[str, Any], first: Record | None) -> Iterator[Record]:
    if first is not None:
        yield first
    yield from (item["divergence"] for item in result["functions"]["differ"] if item["divergence"])


def _decision(one: Record | None) -> Record | None:
    if one is None:
        return None
    sides = {side: {key: one[side][key] for key in ("condition", "taken")} for side in "ab"}
    return {**{key: one[key] for key in ("function", "source", "text")}, **sides}


def names_of(lacking: Sequence[Record]) -> list[str]:
    """ "tsc (clocksource)", each name once."""
    kinds: dict[str, list[str]] = {}
    for one in lacking:
        kinds.setdefault(one["name"], []).append(one["kind"])
    return [f"{name} ({' and '.join(found)})" for name, found in kinds.items()]
