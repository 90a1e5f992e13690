# SPDX-License-Identifier: MIT
"""A log compared with a recording: by no more than a log could tell of it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clockscope.importing import log_events
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.profiles.profile import Rule

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
    # What is worked out of other lines the log tells as well.
    inferred = {event["rule"]: _ANY for event in log["events"] if event["rule"] not in printed}
    printed = {**inferred, **printed}
    said_events = [event for event in log["events"] if event["rule"] in watched]
    told_events = [event for event in recorded["events"] if _is_told(event, printed)]
    kinds = {clock["kind"] for clock in log["clocks"]}
    twins = {(clock["name"], clock["kind"]): clock for clock in log["clocks"]}
    names, captured = _names(log["events"]), _names(recorded["events"])
    told = {
        **recorded,
        "guest": {key: value for key, value in recorded["guest"].items() if key in log["guest"]},
        "events": [_without(event, names) for event in _as_printed(told_events, said_events)],
        "clocks": [
            _as_told(twins.get((clock["name"], clock["kind"])), clock)
            for clock in recorded["clocks"]
            if clock["kind"] in kinds
        ],
    }
    said = {
        **log,
        "guest": _told_guest(log["guest"], recorded["guest"]),
        "events": [_without(event, captured) for event in said_events],
    }
    return said, told


_ANY = re.compile(".*", re.DOTALL)
"""Of a rule's line, the clocks that it can be about."""


def _is_told(event: Record, printed: Mapping[str, re.Pattern[str]]) -> bool:
    """Whether a kernel prints of such an event: there is a line, and it can be about this clock."""
    about = printed.get(event["rule"])
    return about is not None and about.fullmatch(event["clock"] or "") is not None


def _as_printed(events: Sequence[Record], log: Sequence[Record]) -> list[Record]:
    """Events in the order in which the log has the same: a kernel prints when it is done, a recording tells when it begins."""
    counts: Counter[tuple[str, ...]] = Counter()
    places: dict[tuple[tuple[str, ...], int], int] = {}
    for place, event in enumerate(log):
        counts[_key(event)] += 1
        places[_key(event), counts[_key(event)]] = place
    counts.clear()
    ordered, last = [], -1
    for number, event in enumerate(events):
        counts[_key(event)] += 1
        last = places.get((_key(event), counts[_key(event)]), last)
        ordered.append((last, number))
    return [events[number] for _, number in sorted(ordered)]


def _key(event: Record) -> tuple[str, ...]:
    return event["what"], event["clock"] or "", event["rule"]


def _told_guest(log: Record, recorded: Record) -> Record:
    """What the log says of the guest. What a kernel has of its banner in memory may be the beginning of what it prints."""
    said = {key: value for key, value in log.items() if key in recorded}
    if said.get("banner", "").startswith(recorded.get("banner") or "\0"):
        said["banner"] = recorded["banner"]
    return said


def _names(events: Iterable[Record]) -> dict[str, set[str]]:
    """By rule, the values that its events have."""
    names: dict[str, set[str]] = {}
    for event in events:
        names.setdefault(event["rule"], set()).update(event["values"])
    return names


def _rules(log: Record) -> tuple[dict[str, re.Pattern[str]], set[str]]:
    """The rules whose events a log can show, with the clocks that their lines can be about, and those whose events a
    recording can."""
    try:
        known = profile.load(log["provenance"].get("profile.name", ""))
    except UserError:  # the user's own, which is not at hand
        shown = {event["rule"] for event in log["events"]}
        return dict.fromkeys(shown, _ANY), shown
    printed = {rule.rule: _clocks_of(rule) for rule in known.rules if rule.printed}
    return printed, {rule.rule for rule in known.rules if rule.functions or rule.message}


def _clocks_of(rule: Rule) -> re.Pattern[str]:
    """What the line of a rule allows as its clock's name."""
    group = f"(?P<{rule.clock_from}>"
    text = rule.printed.pattern if rule.printed and rule.clock_from else ""
    begin = text.find(group)
    if begin < 0:
        return _ANY
    begin += len(group)
    depth, at, in_class = 1, begin, False
    while at < len(text) and depth:
        one = text[at]
        if one == "\\":
            at += 1
        elif in_class:
            in_class = one != "]"
        elif one == "[":
            in_class = True
        else:
            depth += (one == "(") - (one == ")")
        at += 1
    return re.compile(text[begin : at - 1], rule.printed.flags if rule.printed else 0)


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
