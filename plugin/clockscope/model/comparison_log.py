# SPDX-License-Identifier: MIT
"""A log compared with a recording: by no more than a log could tell of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from clockscope.importing import log_events
from clockscope.base.errors import UserError
from clockscope.profiles import profile

Record = dict[str, Any]
"""A timeline (schemas/timeline.schema.json), or an object of one."""


def comparable(a: Record, b: Record) -> tuple[Record, Record]:
    """Two timelines; if only one is from a log, both without what a kernel does not print: that is no difference."""
    if _is_log(a) == _is_log(b):
        return a, b
    return _reduced(a, b) if _is_log(a) else _reduced(b, a)[::-1]


def _is_log(timeline: Record) -> bool:
    return bool(timeline["provenance"].get("stub.mode") == log_events.MODE)


def _reduced(log: Record, recorded: Record) -> tuple[Record, Record]:
    printed, watched = _rules(log)
    kinds = {clock["kind"] for clock in log["clocks"]}
    twins = {(clock["name"], clock["kind"]): clock for clock in log["clocks"]}
    names, captured = _names(log["events"]), _names(recorded["events"])
    told = {
        **recorded,
        "guest": {key: value for key, value in recorded["guest"].items() if key in log["guest"]},
        "events": [_without(event, names) for event in recorded["events"] if event["rule"] in printed],
        "clocks": [
            _as_told(twins.get((clock["name"], clock["kind"])), clock)
            for clock in recorded["clocks"]
            if clock["kind"] in kinds
        ],
    }
    said = {
        **log,
        "guest": {key: value for key, value in log["guest"].items() if key in recorded["guest"]},
        "events": [_without(event, captured) for event in log["events"] if event["rule"] in watched],
    }
    return said, told


def _names(events: Iterable[Record]) -> dict[str, set[str]]:
    """By rule, the values that its events have."""
    names: dict[str, set[str]] = {}
    for event in events:
        names.setdefault(event["rule"], set()).update(event["values"])
    return names


def _rules(log: Record) -> tuple[set[str], set[str]]:
    """The rules whose events a log can show, and those whose events a recording can."""
    try:
        known = profile.load(log["provenance"].get("profile.name", ""))
    except UserError:  # the user's own, which is not at hand
        shown = {event["rule"] for event in log["events"]}
        return shown, shown
    printed = {rule.rule for rule in known.rules if rule.printed}
    return printed, {rule.rule for rule in known.rules if rule.functions or rule.message}


def _without(event: Record, names: Mapping[str, set[str]]) -> Record:
    """An event without the values that no such event of the other side has."""
    has = names.get(event["rule"], event["values"])
    return {**event, "values": {key: value for key, value in event["values"].items() if key in has}}


def _as_told(told: Record | None, clock: Record) -> Record:
    """A clock without what the log does not say of it."""
    if told is None:
        return clock
    kept = {key: value if told[key] else told[key] for key, value in clock.items()}
    if kept["lost"]:
        kept["lost"] = told["lost"]  # after saying why, a kernel lets go of a clock without a word
    return kept
