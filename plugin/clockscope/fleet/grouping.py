# SPDX-License-Identifier: MIT
"""Boots that are alike, and what sets one group apart from the largest: schemas/fleet.schema.json describes it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope.fleet.database import Fleet

Record = dict[str, Any]

SHOWN_MAX = 50  # groups that are told of; the others are counted
_CONTENTS_MAX = 5000
_SPREAD_MAX = 5000
_WAYS_MAX = 1000  # different ways of a function in one group that are told apart
FACTS = {"release": "kernel", "hypervisor": "hypervisor", "cpu": "CPU"}
"""What boots may have in common: column, and what it is called."""
_BLANK: Record = {"clocks": [], "current": "", "findings": [], "whole": False}


def table(fleet: Fleet) -> Record:
    """The groups, the largest first, with what their boots have in common."""
    groups, found = _groups(fleet)
    keys = [key for key, _ in groups]
    facts = {name: _facts(fleet, name, keys) for name in FACTS}
    shown: list[Record] = []
    for key, count in groups:
        common: Record = {name: facts[name].get(key, {}) for name in FACTS}
        shown.append({"boots": count, **found.get(key, _BLANK), **common})
    return {"boots": fleet.count(), "groups": fleet.group_count(), "shown": shown}


def _groups(fleet: Fleet) -> tuple[list[tuple[str, int]], dict[str, Record]]:
    """The largest, and what their boots have. Of those that are as large, that comes first in which least is wrong."""
    groups = fleet.groups(SHOWN_MAX)
    found = {key: _content(text) for key, text in fleet.contents([key for key, _ in groups])}

    def order(group: tuple[str, int]) -> tuple[int, bool, int, str]:
        content = found.get(group[0], _BLANK)
        return -group[1], not content["whole"], len(content["findings"]), group[0]

    return sorted(groups, key=order), found


def contents(fleet: Fleet) -> dict[str, Record]:
    """What the boots of each group have, of the groups of which there are most."""
    keys = [key for key, _ in fleet.groups(_CONTENTS_MAX)]
    return {key: _content(text) for key, text in fleet.contents(keys)}


def _facts(fleet: Fleet, column: str, keys: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, value, count in fleet.spread(column, _SPREAD_MAX, keys):
        found.setdefault(key, {})[value] = count
    return found


def _content(text: str) -> Record:
    """What a group's boots have; a database is anyone's."""
    try:
        found = json.loads(text)
        clocks = [
            [str(name), str(kind), rating if isinstance(rating, int) else None, str(state)]
            for name, kind, rating, state in found["clocks"]
        ]
        findings = [str(one) for one in found["findings"]]
        return {
            "clocks": clocks,
            "current": str(found["current"]),
            "findings": findings,
            "whole": found["whole"] is True,
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return _BLANK


# ---------------------------------------------------------------- what sets a group apart


def differences(fleet: Fleet) -> Record:
    """`table`, with what sets each group apart from the first."""
    result = table(fleet)
    keys = [key for key, _ in _groups(fleet)[0]]
    if not keys:
        return result
    main = result["shown"][0]
    rows = {key: _rows(fleet, key) for key in keys}
    for key, group in zip(keys, result["shown"]):
        group["frequencies"] = rows[key].frequencies
        if key == keys[0]:
            continue
        group["apart"] = list(_apart(group, main))
        group["common"] = list(_common(fleet, group, main))
        group["decision"], group["not_compared"] = _decision(fleet, rows[key], rows[keys[0]])
    return result


def _apart(group: Record, main: Record) -> Iterator[str]:
    """ "lost tsc", "lack hpet", "use acpi_pm, not tsc", …"""
    here, there = (
        {(name, kind): (rating, state) for name, kind, rating, state in one["clocks"]} for one in (group, main)
    )
    lost = [
        name
        for (name, kind), (_, state) in here.items()
        if state == "lost" and there.get((name, kind), (0, ""))[1] != "lost"
    ]
    lack = [name for name, kind in there if (name, kind) not in here]
    more = [name for name, kind in here if (name, kind) not in there]
    rated = [
        name for (name, kind), (rating, _) in here.items() if (name, kind) in there and there[name, kind][0] != rating
    ]
    if not group["whole"] and main["whole"]:
        yield "were not seen to their end"
        if lack:
            yield f"have not been seen to register {_listed(lack)}"
    elif lack:
        yield f"lack {_listed(lack)}"
    for verb, names in (("lost", lost), ("also have", more), ("have another rating of", rated)):
        if names:
            yield f"{verb} {_listed(names)}"
    if group["current"] != main["current"]:
        yield f"use {group['current'] or 'no clock that was seen'}, not {main['current'] or 'none'}"
    if found := [one for one in group["findings"] if one not in main["findings"]]:
        yield f"found: {', '.join(found)}"
    if gone := [one for one in main["findings"] if one not in group["findings"]]:
        yield f"not found: {', '.join(gone)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _common(fleet: Fleet, group: Record, main: Record) -> Iterator[Record]:
    """What all boots of a group have in common, and no boot of the first has, or few."""
    for name in FACTS:
        if len(group[name]) != 1 or any(sum(one[name].values()) != one["boots"] for one in (group, main)):
            continue
        (value,) = group[name]
        rare = group["boots"] > 1 and main[name].get(value, 0) * 2 <= main["boots"]
        if value and (value not in main[name] or rare):
            yield {"fact": FACTS[name], "value": value, "others": fleet.having(name, value) - group["boots"]}


class _Rows:
    """What the boots of a group have in their rows: frequencies' ranges, and how often each function went which way."""

    def __init__(self) -> None:
        self.frequencies: dict[str, list[int]] = {}
        self.ways: dict[str, dict[str, Counter[str]]] = {}
        """By kernel and function."""

    def add(self, build: str, frequencies: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
        for name, hertz in frequencies.items():
            if isinstance(hertz, int):
                low, high = self.frequencies.get(name, (hertz, hertz))
                self.frequencies[name] = [min(low, hertz), max(high, hertz)]
        functions = self.ways.setdefault(build, {})
        for name, signature in paths.items():
            counted = functions.setdefault(name, Counter())
            if str(signature) in counted or len(counted) < _WAYS_MAX:
                counted[str(signature)] += 1


def _rows(fleet: Fleet, key: str) -> _Rows:
    found = _Rows()
    for build, release, frequencies, paths in fleet.of_group(key, ("build_id", "release", "frequencies", "paths")):
        found.add(str(build or release), _object(frequencies), _object(paths))
    return found


def _object(text: Any) -> Record:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _decision(fleet: Fleet, here: _Rows, there: _Rows) -> tuple[Record | None, str]:
    """The first decision that most boots of a group made otherwise than most of the first; else why none is told."""
    build = next((one for one in here.ways if one in there.ways), None)
    if build is None:
        return None, "no boot of the first group has its kernel"
    a, b = (_most(one.ways[build]) for one in (there, here))
    names = [name for name in sorted(a) if name in b]
    if not names:
        return None, "no function was traced in both"
    calls = {signature: _calls(text) for signature, text in fleet.ways([*a.values(), *b.values()]).items()}
    found = [
        (place, {"function": name, **one})
        for name in names
        if a[name] != b[name]
        for place, one in [_parted(calls.get(a[name], []), calls.get(b[name], []))]
        if one
    ]
    if found:
        return min(found, key=lambda one: (one[0], one[1]["function"]))[1], ""
    return None, "their traced functions decided alike"


def _most(functions: Mapping[str, Counter[str]]) -> dict[str, str]:
    return {name: min(counted, key=lambda one: (-counted[one], one)) for name, counted in functions.items() if counted}


def _calls(text: str) -> list[list[tuple[list[str], int]]]:
    try:
        return [
            [([str(one) for one in made], int(at)) for *made, at in call if len(made) == 3] for call in json.loads(text)
        ]
    except (ValueError, TypeError, RecursionError):
        return []


def _parted(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]]) -> tuple[int, Record | None]:
    """When a call of one way parted from all of the other's, and the decision; None where each call is another's
    beginning."""
    found = []
    for ours, theirs, is_first in ((a, b, True), (b, a, False)):
        for call in ours:
            if theirs and (one := _parting(call, max(theirs, key=lambda other: _shared(call, other)), is_first)):
                found.append(one)
    return min(found, key=lambda one: one[0]) if found else (0, None)


def _shared(call: Sequence[Any], other: Sequence[Any]) -> int:
    """How many decisions two calls have in common at their beginning."""
    pairs = enumerate(zip(call, other))
    return next((number for number, (one, two) in pairs if one[0] != two[0]), min(len(call), len(other)))


def _parting(call: Sequence[Any], other: Sequence[Any], is_first: bool) -> tuple[int, Record] | None:
    here = _shared(call, other)
    if here >= min(len(call), len(other)):
        return None
    (one, at), (two, _) = call[here], other[here]
    first, second = (one, two) if is_first else (two, one)
    way = second[2] if first[0] == second[0] else f"came to {second[0]}"
    return at, {"place": first[0], "text": first[1], "way": way, "first": first[2]}
