# SPDX-License-Identifier: MIT
"""Events of a log's lines, by a profile's rules. Pure; the log may be anything."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clockscope.importing import skew
from clockscope.kernel import messages
from clockscope._core import TraceWriter
from clockscope.importing.kernel_log import Line, any_of
from clockscope.profiles.profile import Profile, Rule

PIECE = 5000  # lines between two signs of progress
_NOT_TOLD = "a log does not tell"
_WRAPPED_MIN = 40  # characters of a line that may go on in the next
_WRAPPED_MAX = 3  # lines that may be one
_HELD = 64  # events that wait for what their next lines say of them
_SHOWN = 100

Value = int | str | None


@dataclass
class Event:
    rule: Rule
    line: Line
    clock: str | None
    values: dict[str, Value]


class Reader:
    """Reads a boot's lines once; afterwards it knows what was not told as an event."""

    def __init__(self, known: Profile, lines: Iterator[Line]) -> None:
        self._profile = known
        self._source = lines
        self._rules = [(rule, rule.printed) for rule in known.rules if rule.printed]
        self._any = any_of([pattern for _, pattern in self._rules])
        self._anchored = all(pattern.pattern.startswith("^") for _, pattern in self._rules)
        self._seen: set[tuple[int, str]] = set()
        self._latest = 0
        self._repeated = 0
        self._first_unknown: Line | None = None
        self._clocks: list[str] = []
        self._frequencies: dict[str, float] = {}
        self.command_line = ""
        self.facts: dict[str, str] = {}
        """What else the profile wants to know of a log, and how it ends."""
        self.lines = 0
        self.unknown = 0
        """Lines that speak of clocks, and that no rule knows."""

    def notes(self) -> list[str]:
        """What the user is told of what did not become an event."""
        told = []
        if self._first_unknown:
            many = "1 line speaks" if self.unknown == 1 else f"{self.unknown} lines speak"
            first = self._first_unknown
            told.append(
                f"{many} of clocks in words that are not known, first line {first.number}: {first.text[:_SHOWN]}"
            )
        if self._repeated:
            told.append(f"{_lines(self._repeated)} repeated, and counted once.")
        return told

    def events(self) -> Iterator[Event]:
        """The events, each with what later lines add to it."""
        held: list[Event] = []
        for event in self._plain():
            if event.rule.adds_to:
                _add(event, held)
                continue
            held.append(event)
            if len(held) > _HELD:
                yield self._whole(held.pop(0))
        yield from map(self._whole, held)

    def _whole(self, event: Event) -> Event:
        if event.rule.what == "clock.unstable":
            event.values.update(skew.sizes(event.values, event.clock, self._frequencies))
        return event

    def _plain(self) -> Iterator[Event]:
        for line in self._wanted():
            yield from self._event(line)

    def _wanted(self) -> Iterator[Line]:
        """The lines that some rule knows; one that a terminal or a mail broke is whole again."""
        begun: Line | None = None
        parts = 0
        for line in self._pieces():
            self.lines += 1
            whole = line.text if self._find(line.text) else None
            if whole is None and begun and not line.stamped and line.text and parts < _WRAPPED_MAX:
                whole = next((text for text in _joined(begun, line) if self._find(text)), None)
                line = replace(begun, text=whole or f"{begun.text} {line.rest}")
                begun, parts = line, parts + 1
            elif whole is None:
                self._give_up(begun)
                begun, parts = line, 1
            if whole is not None:
                self._give_up(begun if begun is not line else None)
                begun = None
                if self._is_new(line):
                    yield line
            elif not line.stamped or len(line.text) < _WRAPPED_MIN:
                self._give_up(begun)
                begun = None
        self._give_up(begun)

    def _pieces(self) -> Iterator[Line]:
        """Some kernels print a line while another is not ended."""
        parts = self._profile.log.pieces if self._profile.log else None
        for line in self._source:
            self._note(line)
            starts = [match.start() for match in parts.finditer(line.text) if match.start()] if parts else []
            if line.text:
                self.facts["log.last_line"] = str(line.number)
                self.facts["log.last_text"] = line.text[starts[-1] if starts else 0 :]
                if line.ns is not None:
                    self.facts["log.last_ns"] = str(line.ns)
            for start, end in zip([0, *starts], [*starts, None], strict=True):
                yield replace(line, text=line.text[start:end].rstrip()) if starts else line

    def _note(self, line: Line) -> None:
        log = self._profile.log
        if not self.command_line and log and log.command_line and (match := log.command_line.search(line.text)):
            self.command_line = match["command_line"]
        for key, pattern in log.facts if log else ():
            if key not in self.facts and (match := pattern.search(line.text)):
                self.facts[key] = match.groupdict().get("value") or line.text
        if line.stamped and line.ns is not None:
            self._latest = max(self._latest, line.ns)

    def _find(self, text: str) -> bool:
        return bool(self._any.match(text) if self._anchored else self._any.search(text))

    def _is_new(self, line: Line) -> bool:
        """Whether it is not a line that was there before, as where a second console, or dmesg, tells it again."""
        if not line.stamped or line.ns is None:
            return True
        key = (line.ns, line.text)
        if key in self._seen and (line.ns < self._latest or line.ns > 0):
            self._repeated += 1
            return False
        self._seen.add(key)
        return True

    def _give_up(self, line: Line | None) -> None:
        """A line that no rule knows."""
        about = self._profile.log.about if self._profile.log else None
        if line and about and about.search(line.text):
            self.unknown += 1
            self._first_unknown = self._first_unknown or line

    def _event(self, line: Line) -> Iterator[Event]:
        """What the first rule that fits makes of a line, as at a stop; what only a stop can tell is left out."""
        for rule, pattern in self._rules:
            if match := pattern.search(line.text):
                values: dict[str, Value] = {**messages.groups(match)}
                for capture in rule.captures:
                    if capture.text is not None:
                        values.setdefault(capture.name, capture.text)
                values["message"] = line.text
                clock = self._clock(rule, values)
                if rule.what in ("clock.registered", "clock.selected") and clock:
                    self._clocks.append(clock)
                    cycles, idle = (values.get(name) for name in ("max_cycles", "max_idle_ns"))
                    if isinstance(cycles, int) and isinstance(idle, int) and (hz := skew.frequency(cycles, idle)):
                        self._frequencies[clock] = hz
                yield Event(rule, line, clock, values)
                return

    def _clock(self, rule: Rule, values: dict[str, Value]) -> str | None:
        named = values.get(rule.clock_from) if rule.clock_from else rule.clock
        if named is None and rule.clock_among:
            return next((each for each in reversed(self._clocks) if each in rule.clock_among), rule.clock_among[0])
        return None if named is None else str(named)


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def _joined(begun: Line, line: Line) -> tuple[str, str]:
    return f"{begun.text} {line.rest}", begun.text + line.rest


def _add(event: Event, held: Sequence[Event]) -> None:
    """What a line says of an event before it becomes values of that one."""
    for owner in reversed(held):
        if owner.rule.rule in event.rule.adds_to:
            for name, value in event.values.items():
                if name != "message":
                    owner.values.setdefault(name, value)
            return


def chosen(known: Profile, events: Iterator[Event]) -> Iterator[Event]:
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


def write_expectations(known: Profile, release: str, writer: TraceWriter) -> None:
    """A log can lack an event because the kernel prints nothing of it: those are not looked for."""
    told = {rule.rule for rule in known.rules if rule.printed}
    for rule in known.rules:
        if not rule.expected or rule.unless in told:
            continue
        if not rule.printed:
            writer.expect(rule.rule, rule.what, rule.place, "untold", _NOT_TOLD)
        elif not _prints(rule, release):
            writer.expect(rule.rule, rule.what, rule.place, "untold", "not told by a log of this version")
        else:
            writer.expect(rule.rule, rule.what, rule.place, "planted", "the log has no such line")


def _prints(rule: Rule, release: str) -> bool:
    """Whether a kernel of this release prints the rule's line; one that is not known may."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if not rule.printed_since or not numbers:
        return True
    since = re.match(r"(\d+)\.(\d+)", rule.printed_since)
    return since is None or tuple(map(int, numbers.groups())) >= tuple(map(int, since.groups()))
