# SPDX-License-Identifier: MIT
"""A trace of a guest that no debugger reached, made of its log: events by the same profiles, and nothing else."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clockscope import __version__, messages
from clockscope._core import TraceWriter
from clockscope.dmesg import Line, Log
from clockscope.errors import UserError
from clockscope.guests import profile
from clockscope.guests.profile import Profile, Rule

MODE = "log"
"""What meta `stub.mode` says of such a trace."""
_NOT_TOLD = "a log does not tell"
_UNKNOWN_CPU = -1
_PIECE = 5000  # lines between two signs of progress

Progress = Callable[[int, int, str], None]
Record = dict[str, Any]
Value = int | str | None


@dataclass(frozen=True)
class Boot:
    """The last boot that a log tells of."""

    profile: Profile
    banner: str  # empty: the log does not begin with the kernel's own words
    first_line: int
    count: int  # boots in the log
    lines: int


@dataclass(frozen=True)
class Event:
    rule: Rule
    line: Line
    clock: str | None
    values: dict[str, Value]


def recognise(log: Log, name: str, chosen: Profile | None) -> Boot:
    """Find the last boot in a log. `name` is the log's, for messages; `chosen` the profile that the user gave."""
    known = [chosen] if chosen else [profile.load(each) for each in profile.names()]
    banners = [(each.log.banner, each) for each in known if each.log]
    found: list[tuple[Line, Profile]] = []
    count = 0
    for line in log.lines():
        count = line.number
        found += ((line, owner) for banner, owner in banners if banner.search(line.text))
    if found:
        line, owner = found[-1]
        return Boot(owner, line.text, line.number if len(found) > 1 else 1, len(found), count)
    if chosen is None:
        systems = ", ".join(each.os for each in known)
        raise UserError(f"{name}: no boot of a known kernel ({systems}) begins here; if it is one, give --profile")
    return Boot(chosen, "", 1, 0, count)


def write(log: Log, boot: Boot, name: str, writer: TraceWriter, progress: Progress) -> int:
    """Write a trace of a boot; how many events it has. The caller closes `writer`."""
    _write_expectations(boot.profile, writer)
    count = run_ns = 0
    command_line = ""
    for event in _chosen(boot.profile, _read(log, boot, progress)):
        if isinstance(event, str):
            command_line = command_line or event
            continue
        run_ns = run_ns if event.line.ns is None else event.line.ns
        writer.event(
            run_ns=run_ns,
            cpu=_UNKNOWN_CPU,
            what=event.rule.what,
            rule=event.rule.rule,
            clock=event.clock,
            file=name,
            line=event.line.number,
            values=list(event.values.items()),
        )
        count += 1
    _write_provenance(log, boot, name, command_line, writer)
    return count


def _read(log: Log, boot: Boot, progress: Progress) -> Iterator[Event | str]:
    """The events of a boot; a text is its command line."""
    rules = [(rule, rule.printed) for rule in boot.profile.rules]
    # Most lines are none of these, which one look tells.
    patterns = (re.sub(r"\(\?P<\w+>", "(?:", pattern.pattern) for _, pattern in rules if pattern)
    any_rule = re.compile("|".join(patterns))
    command_line = boot.profile.log.command_line if boot.profile.log else None
    for line in log.lines():
        if line.number % _PIECE == 0:
            progress(line.number, boot.lines, "reading the log")
        if line.number < boot.first_line:
            continue
        if command_line and (match := command_line.search(line.text)):
            yield match["command_line"]
        if any_rule.search(line.text):
            yield from _event(rules, line)
    progress(boot.lines, boot.lines, "reading the log")


def _event(rules: Sequence[tuple[Rule, re.Pattern[str] | None]], line: Line) -> Iterator[Event]:
    """What the first rule that fits makes of a line, as at a stop in the guest; what only a stop can tell is left out."""
    for rule, pattern in rules:
        match = pattern.search(line.text) if pattern else None
        if match:
            values: dict[str, Value] = {**messages.groups(match)}
            for capture in rule.captures:
                if capture.text is not None:
                    values.setdefault(capture.name, capture.text)
            values["message"] = line.text
            named = values.get(rule.clock_from) if rule.clock_from else rule.clock
            yield Event(rule, line, None if named is None else str(named), values)
            return


def _chosen(known: Profile, events: Iterator[Event | str]) -> Iterator[Event | str]:
    """The events, and where the kernel chooses without a word, its choices: by quality, as it does itself."""
    rule = next((rule for rule in known.rules if rule.what == "clock.selected"), None)
    if rule is None or known.log is None or not known.log.chosen_by_quality:
        yield from events
        return
    best, name = (0, 0), ""
    unsaid: Event | None = None
    for event in events:
        if isinstance(event, Event):
            if unsaid and (event.rule.what, event.clock) != ("clock.selected", unsaid.clock):
                yield unsaid
            unsaid = None
            quality, frequency = (event.values.get(key) for key in ("quality", "frequency_hz"))
            if event.rule.what == "clock.registered" and isinstance(quality, int) and isinstance(frequency, int):
                if quality >= 0 and (quality, frequency) > best:
                    unsaid = _choice(rule, event, name)
                    best, name = (quality, frequency), event.clock or ""
        yield event
    if unsaid:
        yield unsaid


def _choice(rule: Rule, registered: Event, replaced: str) -> Event:
    values = {key: registered.values[key] for key in ("quality", "frequency_hz")}
    values |= {"replaced": replaced} if replaced else {}
    return Event(rule, registered.line, registered.clock, {**values, "inferred": "from its quality"})


# ---------------------------------------------------------------- compared with a recording


def comparable(log: Record, recorded: Record) -> tuple[Record, Record]:
    """The timeline of a log, and that of a recording with no more than such a log could tell.

    What a kernel does not print is no difference between a boot of which only the log is known and another.
    """
    told, seen = _tellable(log)
    kinds = {clock["kind"] for clock in log["clocks"]}
    twins = {(clock["name"], clock["kind"]): clock for clock in log["clocks"]}
    names: dict[str, set[str]] = {}
    for event in log["events"]:
        names.setdefault(event["rule"], set()).update(event["values"])
    reduced = {
        **recorded,
        "guest": {key: value for key, value in recorded["guest"].items() if key in log["guest"]},
        "events": [_without(event, names) for event in recorded["events"] if event["rule"] in told],
        "clocks": [
            _as_told(twins.get((clock["name"], clock["kind"])), clock)
            for clock in recorded["clocks"]
            if clock["kind"] in kinds
        ],
    }
    return {**log, "events": [event for event in log["events"] if event["rule"] in seen]}, reduced


def _tellable(log: Record) -> tuple[set[str], set[str]]:
    """The rules whose events a log can show, and those whose events it shares with a recording."""
    shown = {event["rule"] for event in log["events"]}
    try:
        known = profile.load(log["provenance"].get("profile.name", ""))
    except UserError:  # the user's own, which is not at hand
        return shown, shown
    return {rule.rule for rule in known.rules if rule.printed}, {
        rule.rule for rule in known.rules if rule.functions or rule.message
    }


def _without(event: Record, names: Mapping[str, set[str]]) -> Record:
    """An event without the values that no such line of the log has."""
    has = names.get(event["rule"], event["values"])
    return {**event, "values": {key: value for key, value in event["values"].items() if key in has}}


def _as_told(told: Record | None, clock: Record) -> Record:
    """A clock without what the log does not say of it."""
    return clock if told is None else {key: value if told[key] else told[key] for key, value in clock.items()}


# ---------------------------------------------------------------- what goes into the trace


def _write_expectations(known: Profile, writer: TraceWriter) -> None:
    """A log can lack an event because the kernel prints nothing of it: those are not looked for."""
    told = {rule.rule for rule in known.rules if rule.printed}
    for rule in known.rules:
        if not rule.expected or rule.unless in told:
            continue
        if rule.printed:
            writer.expect(rule.rule, rule.what, rule.place, "planted", "the log has no such line")
        else:
            writer.expect(rule.rule, rule.what, rule.place, "refused", _NOT_TOLD)


def _write_provenance(log: Log, boot: Boot, name: str, command_line: str, writer: TraceWriter) -> None:
    facts = {
        "guest.os": boot.profile.os,
        "guest.banner": boot.banner,
        "guest.release": boot.profile.release_of(boot.banner),
        "guest.command_line": command_line,
        "stub.mode": MODE,
        "told.begin": _NOT_TOLD,
        "told.end": _NOT_TOLD,
        "log.file": name,
        "log.times": log.times,
        "profile.name": boot.profile.name,
        "profile.sha256": boot.profile.digest,
        "tool.clockscope": __version__,
    }
    for key, value in facts.items():
        if value:
            writer.meta(key, value)
