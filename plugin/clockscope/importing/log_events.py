# SPDX-License-Identifier: MIT
"""A trace of a guest that no debugger reached, made of its log: events by the same profiles, and nothing else."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from clockscope import __version__
from clockscope.importing import event_reader
from clockscope._core import TraceWriter
from clockscope.importing.kernel_log import Line, Log, any_of, anywhere
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.profiles.profile import Profile
from clockscope.importing.event_reader import Event, Reader

MODE = "log"
"""What meta `stub.mode` says of such a trace."""
_NOT_TOLD = "a log does not tell"
_UNKNOWN_CPU = -1
_LOOKED_AT = 20_000  # lines of a log without a banner in which a kernel's words are looked for
_BEGINNING = 5 * 1_000_000_000  # of a boot, by the kernel's clock; one that runs wild may fall back later, too
_SAME_LINES = 5  # after a banner: as many make it the boot before, told again

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Boot:
    """One of the boots that a log tells of."""

    profile: Profile
    banner: str  # empty: the log does not begin with the kernel's own words
    first: int  # among the log's lines
    end: int | None
    count: int  # boots in the log
    chosen: int  # which of them, from 1
    lines: int  # of the log
    asked: bool = False  # by its number
    notes: tuple[str, ...] = ()  # for the user


@dataclass(frozen=True)
class _Start:
    """Where a boot begins."""

    index: int
    banner: str
    profile: Profile
    stamped: bool = True


@dataclass
class Imported:
    """What became of a boot."""

    events: int = 0
    notes: list[str] = field(default_factory=list)


def recognise(log: Log, name: str, chosen: Profile | None, wanted: int | None = None) -> Boot:
    """Find a boot in a log: the last that says anything of clocks, or the one of a number from 1 on (from -1 down).

    `name` is the log's, for messages; `chosen` the profile that the user gave.
    """
    known = [chosen] if chosen else [profile.load(each) for each in profile.names()]
    starts, lines = _starts(log, known)
    if not starts:
        guess = _by_words(log, known) if chosen is None else _told_apart(log, chosen)
        if guess is None:
            systems = ", ".join(each.os for each in known)
            raise UserError(f"{name}: no boot of a known kernel ({systems}) begins here; if it is one, give --profile")
        starts = [_Start(0, "", guess), *_falls(log, guess)]
    return _choose(log, name, starts, lines, wanted)


def _starts(log: Log, known: Sequence[Profile]) -> tuple[list[_Start], int]:
    """Where boots begin, and how many lines the log has; the log learns what stands before such lines."""
    banners = [(each, each.log.banner, anywhere(each.log.banner)) for each in known if each.log]
    fronts: dict[int, str] = {}
    count = 0
    for count, raw in enumerate(log.raws(), 1):
        for _, _, loose in banners:
            if found := loose.search(raw.text):
                fronts[count - 1] = raw.text[: found.start()]
    if not fronts:
        return [], count
    log.learn(fronts.values())
    starts: list[_Start] = []
    for line in log.lines(only=fronts):
        for owner, banner, _ in banners:
            if banner.search(line.text):
                starts.append(_Start(line.index, line.text, owner, line.stamped))
                break
    # A program may print the banner too; it does so without the kernel's stamp.
    if any(start.stamped for start in starts):
        starts = [start for start in starts if start.stamped]
    return starts, count


def _told_apart(log: Log, chosen: Profile) -> Profile:
    """The user's profile; the log learns what stands before its lines."""
    _by_words(log, [chosen])
    return chosen


def _by_words(log: Log, known: Sequence[Profile]) -> Profile | None:
    """The system whose words a log without a banner has; none, where several could be meant, or a single line."""
    found: Counter[str] = Counter()
    fronts: dict[str, list[str]] = {}
    words = {each.name: _words_anywhere(each) for each in known}
    for index, raw in enumerate(log.raws()):
        if index >= _LOOKED_AT:
            break
        for owner, pattern in words.items():
            if match := pattern.search(raw.text):
                found[owner] += 1
                fronts.setdefault(owner, []).append(raw.text[: match.start()])
    ranking = found.most_common(2)
    if not ranking or (len(ranking) > 1 and ranking[1][1] * 2 > ranking[0][1]):
        return None
    log.learn(fronts[ranking[0][0]])
    return next(each for each in known if each.name == ranking[0][0])


def _falls(log: Log, known: Profile) -> Iterator[_Start]:
    """Where boots begin in a log without banners: the kernel's time falls back, and what it says was not said before."""
    words = _words(known)
    seen: set[tuple[int, str]] = set()
    latest = 0
    fallen: int | None = None  # where it fell back; as yet all that was said since was said before
    for line in log.lines():
        if not line.stamped or line.ns is None or not words.match(line.text):
            continue
        if line.ns >= latest:
            fallen = None
        elif line.ns < _BEGINNING <= latest and fallen is None:
            fallen = line.index
        if fallen is not None and (line.ns, line.text) not in seen:
            yield _Start(fallen, "", known)
            latest, fallen = 0, None
        seen.add((line.ns, line.text))
        latest = max(latest, line.ns)


def _words_anywhere(known: Profile) -> re.Pattern[str]:
    """What finds any of a profile's lines, wherever it stands in a line of the log."""
    return any_of([anywhere(rule.printed) for rule in known.rules if rule.printed])


def _choose(log: Log, name: str, starts: Sequence[_Start], lines: int, wanted: int | None) -> Boot:
    """The boot that is asked for, or the last that says anything."""
    starts, notes = _without_repetitions(log, starts)
    ends = [start.index for start in starts[1:]] + [None]
    boots = [
        Boot(
            start.profile,
            start.banner,
            start.index if len(starts) > 1 else 0,
            end,
            len(starts),
            number,
            lines,
            wanted is not None,
            notes,
        )
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]
    if wanted is not None:
        if wanted == 0 or abs(wanted) > len(boots):
            raise UserError(f"{name}: there is no boot {wanted}: the log tells of {len(boots)}")
        return boots[wanted - 1 if wanted > 0 else wanted]
    if len(boots) == 1:
        return boots[0]
    speaking = _speaking(log, starts)
    return next((boot for boot in reversed(boots) if boot.chosen in speaking), boots[-1])


def _speaking(log: Log, starts: Sequence[_Start]) -> set[int]:
    """Which of the boots, from 1 on, have a line that a rule of their profile knows."""
    words = {start.profile.name: _words(start.profile) for start in starts}
    found: set[int] = set()
    number = 0
    for line in log.lines():
        while number < len(starts) and line.index >= starts[number].index:
            number += 1
        if number and number not in found and words[starts[number - 1].profile.name].search(line.text):
            found.add(number)
    return found


def _words(known: Profile) -> re.Pattern[str]:
    """What finds any of a profile's lines."""
    return any_of([rule.printed for rule in known.rules if rule.printed])


def _without_repetitions(log: Log, starts: Sequence[_Start]) -> tuple[Sequence[_Start], tuple[str, ...]]:
    """The boots without those that are told a second time, as where dmesg was typed at the console that is the log."""
    heads = _heads(log, starts) if len(starts) > 1 else []
    kept, last = [starts[0]], 0
    for number, start in enumerate(starts[1:], 1):
        same = len(heads[number]) == _SAME_LINES and heads[number] == heads[last]
        if not (same and start.banner == starts[last].banner):
            kept.append(start)
            last = number
    count = len(starts) - len(kept)
    verb = "is" if count == 1 else "are"
    return kept, (f"{count} of the log's boots {verb} told twice, line by line.",) if count else ()


def _heads(log: Log, starts: Sequence[_Start]) -> list[list[tuple[int, str]]]:
    """The first lines of each boot that are stamped by a clock that runs."""
    heads: list[list[tuple[int, str]]] = [[] for _ in starts]
    number = 0
    for line in log.lines():
        while number < len(starts) and line.index >= starts[number].index:
            number += 1
        if number and line.stamped and line.ns and len(heads[number - 1]) < _SAME_LINES:
            heads[number - 1].append((line.ns, line.text))
    return heads


def read(log: Log, boot: Boot, progress: Progress = lambda *_: None) -> Reader:
    """What reads a boot's events."""
    return Reader(boot.profile, _progressing(log, boot, progress))


def _progressing(log: Log, boot: Boot, progress: Progress) -> Iterator[Line]:
    for line in log.lines(boot.first, boot.end):
        if line.index % event_reader.PIECE == 0 or line.index + 1 == boot.lines:
            progress(line.index + 1, boot.lines, "reading the log")
        yield line


def write(log: Log, boot: Boot, name: str, writer: TraceWriter, progress: Progress) -> Imported:
    """Write a trace of a boot. The caller closes `writer`."""
    reader = read(log, boot, progress)
    event_reader.write_expectations(boot.profile, boot.profile.release_of(boot.banner), writer)
    done = Imported()
    run_ns = 0
    for event in event_reader.chosen(boot.profile, reader.events()):
        run_ns = run_ns if event.line.ns is None else event.line.ns
        _write_event(event, run_ns, name, writer)
        done.events += 1
    _write_provenance(log, boot, name, reader, writer)
    done.notes = [*boot.notes, *reader.notes(), *_stray(log)]
    return done


def _write_event(event: Event, run_ns: int, name: str, writer: TraceWriter) -> None:
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


def _stray(log: Log) -> list[str]:
    return [f"{log.stray} bytes of the log are no text, and were left out."] if log.stray else []


def _write_provenance(log: Log, boot: Boot, name: str, reader: Reader, writer: TraceWriter) -> None:
    facts = {
        "guest.os": boot.profile.os,
        "guest.banner": boot.banner,
        "guest.release": boot.profile.release_of(boot.banner),
        "guest.command_line": reader.command_line,
        "stub.mode": MODE,
        "told.begin": _NOT_TOLD,
        "told.end": _NOT_TOLD,
        "log.file": name,
        "log.times": log.times,
        "log.lines": str(reader.lines),
        "log.not_understood": str(reader.unknown) if reader.unknown else "",
        **reader.facts,
        "profile.name": boot.profile.name,
        "profile.sha256": boot.profile.digest,
        "tool.clockscope": __version__,
    }
    for key, value in facts.items():
        if value:
            writer.meta(key, value)
