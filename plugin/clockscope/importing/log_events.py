# SPDX-License-Identifier: MIT
"""A trace of a guest that no debugger reached, made of its log: events by the same profiles, and nothing else."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from clockscope import __version__
from clockscope.kernel import messages
from clockscope._core import TraceWriter
from clockscope.importing.kernel_log import Line, Log
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.profiles.profile import Profile, Rule

MODE = "log"
"""What meta `stub.mode` says of such a trace."""
_NOT_TOLD = "a log does not tell"
_UNKNOWN_CPU = -1
_PIECE = 5000  # lines between two signs of progress

Progress = Callable[[int, int, str], None]
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
    for event in _chosen(boot.profile, _read(log, boot, progress)):
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
    _write_provenance(log, boot, name, writer)
    return count


def _command_line(log: Log, boot: Boot) -> str:
    pattern = boot.profile.log.command_line if boot.profile.log else None
    for line in log.lines() if pattern else ():
        if line.number >= boot.first_line and (match := pattern.search(line.text) if pattern else None):
            return match["command_line"]
    return ""


def _read(log: Log, boot: Boot, progress: Progress) -> Iterator[Event]:
    """The events of a boot."""
    rules = [(rule, rule.printed) for rule in boot.profile.rules if rule.printed]
    for line in log.lines():
        if line.number % _PIECE == 0 or line.number == boot.lines:
            progress(line.number, boot.lines, "reading the log")
        if line.number >= boot.first_line:
            yield from _event(rules, line)


def _event(rules: Sequence[tuple[Rule, re.Pattern[str]]], line: Line) -> Iterator[Event]:
    """What the first rule that fits makes of a line, as at a stop in the guest; what only a stop can tell is left out."""
    for rule, pattern in rules:
        if match := pattern.search(line.text):
            values: dict[str, Value] = {**messages.groups(match)}
            for capture in rule.captures:
                if capture.text is not None:
                    values.setdefault(capture.name, capture.text)
            values["message"] = line.text
            named = values.get(rule.clock_from) if rule.clock_from else rule.clock
            yield Event(rule, line, None if named is None else str(named), values)
            return


def _chosen(known: Profile, events: Iterator[Event]) -> Iterator[Event]:
    """The events, and where the kernel chooses without a word, its choices: by quality, as it does itself."""
    rule = next((rule for rule in known.rules if rule.what == "clock.selected"), None)
    if rule is None or known.log is None or not known.log.chosen_by_quality:
        yield from events
        return
    best, name = (0, 0), ""
    unsaid: Event | None = None
    for event in events:
        if unsaid and (event.rule.what, event.clock) != ("clock.selected", unsaid.clock):
            yield unsaid
        yield event
        unsaid = None
        quality, frequency = (event.values.get(key) for key in ("quality", "frequency_hz"))
        if event.rule.what == "clock.registered" and isinstance(quality, int) and isinstance(frequency, int):
            if quality >= 0 and (quality, frequency) > best:
                unsaid = _choice(rule, event, name)
                best, name = (quality, frequency), event.clock or ""
    if unsaid:
        yield unsaid


def _choice(rule: Rule, registered: Event, replaced: str) -> Event:
    values = {key: registered.values[key] for key in ("quality", "frequency_hz")}
    values |= {"replaced": replaced} if replaced else {}
    return Event(rule, registered.line, registered.clock, {**values, "inferred": "from its quality"})


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


def _write_provenance(log: Log, boot: Boot, name: str, writer: TraceWriter) -> None:
    facts = {
        "guest.os": boot.profile.os,
        "guest.banner": boot.banner,
        "guest.release": boot.profile.release_of(boot.banner),
        "guest.command_line": _command_line(log, boot),
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
