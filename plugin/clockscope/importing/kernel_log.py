# SPDX-License-Identifier: MIT
"""The lines of a kernel's log, whoever wrote them down. Pure; the log may be anything."""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from clockscope.importing import text_lines, unpack
from clockscope.importing.fronts import Front, Fronts, nanoseconds, time_of_day
from clockscope.importing.text_lines import Raw
from clockscope.importing.unpack import LOG_MAX

__all__ = ["LOG_MAX", "Line", "Log", "anywhere"]

_DAY = 86_400 * 1_000_000_000
_TEXT_MAX = 4096  # of characters; what is longer is no kernel's


@dataclass(frozen=True)
class Line:
    index: int  # among the lines of the log
    number: int  # in the log's file, from 1
    ns: int | None  # when it was printed, since the boot or since the first line; None: it does not say
    text: str  # what the kernel printed, without what stands in front
    stamped: bool = False  # by the kernel's own clock
    rest: str = ""  # of one that is not: what it says if it only goes on with the line before


class Log:
    """A log's lines, as often as one asks for them."""

    def __init__(self, content: bytes, name: str = "") -> None:
        text = unpack.decode(unpack.unpack(content, name))
        self._text = text.content
        self.stray = text.stray
        """Bytes that are no text; they are left out."""
        self.times = "none"
        """Where the times come from: the "kernel", or the "time of day" at which a line was kept; or "none"."""
        self._fronts = Fronts()

    def raws(self) -> Iterator[Raw]:
        return text_lines.lines(self._text)

    def learn(self, fronts: Iterable[str]) -> None:
        """Tell what stands before lines that are surely the kernel's."""
        self._fronts.learn(fronts)

    def lines(self, first: int = 0, end: int | None = None, only: Container[int] | None = None) -> Iterator[Line]:
        """The lines from one on up to another, by their numbers; or `only` some, whose times then say nothing."""
        clock = _Clock()
        for index, raw in enumerate(self.raws()):
            if end is not None and index >= end:
                break
            if index < first or (only is not None and index not in only):
                continue
            front = self._fronts.of(raw.text)
            ns = clock.read(raw, front)
            self.times = clock.kind
            text = self._fronts.words(raw.text, front)[:_TEXT_MAX]
            stamped = front.seconds is not None or (raw.ns is not None and raw.of_kernel)
            rest = "" if stamped else self._fronts.goes_on(raw.text, front)[:_TEXT_MAX]
            yield Line(index, raw.number, ns, text, stamped, rest)


class _Clock:
    """The time of each line, by whatever its front tells; one kind of time is kept to, the kernel's if there is any."""

    def __init__(self) -> None:
        self.kind = "none"
        self._start: int | None = None
        self._sum = 0

    def read(self, raw: Raw, front: Front) -> int | None:
        kernel = raw.ns if raw.of_kernel else front.kernel_ns
        if kernel is None and front.since is not None:
            self._sum += nanoseconds(front.since)
            kernel = self._sum
        day = None
        if kernel is None and self.kind != "kernel":
            day = raw.ns if raw.ns is not None else time_of_day(raw.text, front)
            if day is None and self.kind == "none" and front.number is not None:
                kernel = nanoseconds(front.number[:9])
        if kernel is not None:
            self.kind = "kernel"
            return kernel
        if day is None:
            return None
        self.kind = "time of day"
        self._start = day if self._start is None else self._start
        since = day - self._start
        if day < _DAY or -_DAY < since < -_DAY // 2:
            return since % _DAY  # it has no date, or an old one
        return since + 365 * _DAY if since < -300 * _DAY else max(since, 0)  # no year; or the clock was set back


def anywhere(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """The same, wherever in a line it stands: for a pattern of a line's beginning."""
    text = pattern.pattern
    if not text.startswith("^") or "|^" in text:
        return pattern
    return re.compile(rf"(?<![A-Za-z])(?:{text[1:]})")


def any_of(patterns: Sequence[re.Pattern[str]]) -> re.Pattern[str]:
    """What finds whatever one of them finds; its groups have no names."""
    return re.compile("|".join(f"(?:{re.sub(r'[(][?]P<[A-Za-z_0-9]+>', '(?:', each.pattern)})" for each in patterns))
