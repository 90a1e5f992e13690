# SPDX-License-Identifier: MIT
"""What stands in front of a kernel's words in a log, whoever put it there: found by what is common to its lines.

A front is made of pieces. Stamps (the kernel's, dates, times, numbers, levels) are such by their look. Words and marks (a
host's name, a tag, a mail's quotes, a list's bullets, a file's name before a colon) are not: those belong to the front that
stand before a line which is surely the kernel's, such as its banner. Pure; the log may be anything.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clockscope.importing.text_lines import of_day

_REACH = 512  # characters in which a front ends
_TAG_REACH = 160
_PIECES_MAX = 40
_SECOND = 1_000_000_000

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_WEEKDAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LEVELS = frozenset(
    "emerg alert crit err error warn warning notice info debug kern user mail daemon auth syslog lpr news uucp cron authpriv ftp"
    " local0 local1 local2 local3 local4 local5 local6 local7 emergency critical KERN INFO WARN WARNING ERR ERROR DEBUG NOTICE CRIT"
    " ALERT EMERG I W E D V F".split()
)
# printk's own, and dmesg -d's, which adds the time since the line before.
_STAMP = r"\[ *(?P<seconds>\d{1,9}\.\d{3,9}) *(?:<[ +]*\d+\.\d+ *> *)?\]"
_KERNEL = re.compile(_STAMP)
_PIECE = re.compile(
    r"(?P<space>\s+)"
    rf"|(?P<stamp>{_STAMP})"
    r"|(?P<delta>\[ *(?:<[ +]*|\+ *)(?P<since>\d{1,9}\.\d{1,9}) *>? *\]|<[ +]*(?P<bare>\d{1,9}\.\d{1,9}) *>)"
    r"|(?P<kmsg>(?:\d[\w.+~-]{0,63},)?\d{1,3},\d{1,20},(?P<microseconds>\d{1,18}),[-c+](?:,[^;\s]{0,200})?;)"
    r"|(?P<level><\d{1,3}>)"
    rf"|(?P<name>(?:{_MONTHS}|{_WEEKDAYS})(?=[\s\d,.])[,.]?|[AP]M(?=[\s\]])|\d\d[OE](?=[ +])\+?)"
    r"|(?P<number>[+-]?\d(?:[\d:.,/_-]*\d)?(?:T\d[\d:.,]*)?(?:Z|[+-]\d\d:?\d\d)?(?![\w]))"
    r"|(?P<group>\[[^][]{0,64}\]|\([^()]{0,64}\))"
    r"|(?P<word>[^\s:;,|<>()\[\]{}\"'`=#*]+)"
    r"|(?P<mark>.)"
)
# What a bracket may hold and be a stamp: numbers and signs, names of days and months, a zone after a time, who printed it
# (CONFIG_PRINTK_CALLER; Android's "0:swapper").
_STAMPLIKE = re.compile(
    rf"[\s\d:.,/+<>_-]*(?:(?:{_MONTHS}|{_WEEKDAYS}|T(?=\d)|Z|[AP]M|(?<=\d )[A-Z]{{2,5}})[\s\d:.,/+<>_-]*)*|\s*[TC]\d+\s*|\s*\d+:.*"
)
_EPOCH = re.compile(r"(?<![\d.])(\d{9,10})\.(\d{3,9})(?![\d.])")
_BARS = (" |", "\t|", " \u2502")  # of a table, or of a terminal's window
_TAB = re.compile(r"^(?:#011|\\x09|\\011)+")  # as rsyslog and /dev/kmsg write it
_ENDS = ("\\r", "\\n", "^M")
_CLOSING = "\"'`"  # a quote before a line stands behind it too


@dataclass(frozen=True)
class Front:
    """What stands before a line's own words."""

    end: int
    seconds: str | None = None  # of the kernel's clock
    since: str | None = None  # the line before
    microseconds: str | None = None
    number: str | None = None  # alone in brackets, as FreeBSD stamps
    marks_end: int = 0  # up to here there are words and marks alone: so a line that goes on begins
    puzzling: str = ""  # the word at which it ends, which may belong to it

    @property
    def kernel_ns(self) -> int | None:
        if self.microseconds is not None:
            return int(self.microseconds) * 1000
        return None if self.seconds is None else nanoseconds(self.seconds)


class Fronts:
    """The fronts of one log, learnt from lines that are surely the kernel's."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._marks: set[str] = set()
        self._levels = False
        self._tags: set[str] = set()
        self._quotes: set[str] = set()

    def learn(self, fronts: Iterable[str]) -> None:
        """Take what stands before the kernel's words for a front, where enough of these have it."""
        seen: Counter[tuple[str, str]] = Counter()
        tags: Counter[str] = Counter()
        count = 0
        for front in fronts:
            # Before the kernel's own stamp anything may stand: a program's unfinished line, on a serial console.
            stamps = list(_KERNEL.finditer(front[-_REACH:]))
            part = front[-_REACH:][stamps[0].end() :] if stamps else front[-_REACH:]
            before = front[-_REACH:][: stamps[0].start()] if stamps else ""
            self._marks |= {match[0] for match in _PIECE.finditer(before) if match.lastgroup == "mark"}
            pieces = [(match.lastgroup or "", match[0]) for match in _PIECE.finditer(part)][:_PIECES_MAX]
            pieces = [(kind, text) for kind, text in pieces if kind in ("word", "mark", "group")]
            pieces = [(kind, text) for kind, text in pieces if kind != "group" or not _STAMPLIKE.fullmatch(text[1:-1])]
            seen.update(set(pieces))
            count += 1
            words = [match for match in _PIECE.finditer(part) if match.lastgroup == "word"]
            if words and re.search(r"[:|>\]]", part[words[-1].end() :]):
                tags[part[words[-1].start() :]] += 1
            self._quotes |= {each.rstrip()[-1:] for each in (part, before)} & set(_CLOSING)
        for (kind, text), times in seen.items():
            if times * 4 >= count:
                (self._marks if kind == "mark" else self._words).add(text)
        self._levels |= bool(self._words & _LEVELS)
        self._tags |= {tag for tag, times in tags.items() if times * 4 >= count}

    def of(self, line: str) -> Front:
        """The front of a line."""
        stamp = _KERNEL.search(line, 0, _REACH)
        found: dict[str, str] = {"seconds": stamp["seconds"]} if stamp else {}
        front = self._peel(line, stamp.end() if stamp else 0, found)
        if stamp is None and front.puzzling:
            # A name that changes, as a host's does while it boots, before a tag that does not.
            found_at = {tag: line.find(tag, front.end, front.end + _TAG_REACH) for tag in self._tags}
            ends = [at + len(tag) for tag, at in found_at.items() if at >= 0]
            if ends:
                return self._peel(line, min(ends), found)
        return front

    def _peel(self, line: str, at: int, found: dict[str, str]) -> Front:
        puzzling = ""
        marks_end: int | None = None
        for _ in range(_PIECES_MAX):
            piece = _PIECE.match(line, at, at + _REACH)
            if piece is None:
                break
            kind, text = piece.lastgroup or "", piece[0]
            if not self._belongs(kind, text):
                puzzling = text if kind == "word" else ""
                break
            for name in ("seconds", "since", "microseconds"):
                if piece[name] is not None:
                    found[name] = piece[name]  # of several stamps the one next to the words is the kernel's
            if piece["bare"] is not None:
                found["since"] = piece["bare"]
            if kind == "group" and text[1:-1].strip().isdecimal():
                found.setdefault("number", text[1:-1].strip())
            if marks_end is None and kind not in ("space", "mark", "word"):
                marks_end = at
            at = piece.end()
        return Front(at, marks_end=at if marks_end is None else marks_end, puzzling=puzzling, **found)

    def _belongs(self, kind: str, text: str) -> bool:
        if kind == "word":
            return text in self._words or (self._levels and text in _LEVELS)
        if kind == "mark":
            return text in self._marks
        if kind == "group":
            return text in self._words or _STAMPLIKE.fullmatch(text[1:-1]) is not None
        return True

    def words(self, line: str, front: Front) -> str:
        """What the kernel printed: without the front, and without what closes it behind."""
        return self._bare(line[front.end :])

    def goes_on(self, line: str, front: Front) -> str:
        """The same of a line that only goes on with the one before: a number is none of a front's there."""
        return self._bare(line[front.marks_end :])

    def _bare(self, text: str) -> str:
        text = _unescaped(text.rstrip())
        for quote in self._quotes:
            inner = text.rstrip(" \t,;}])")
            if inner.endswith(quote):
                text = _unescaped(inner.removesuffix(quote))
        if text.endswith(_BARS):
            text = text[:-1]
        return _TAB.sub("\t", text).strip() if "011" in text or "x09" in text else text.rstrip()


def _unescaped(text: str) -> str:
    """A text without the ends of lines that were written as letters."""
    while text.endswith(_ENDS):
        text = next(text.removesuffix(end) for end in _ENDS if text.endswith(end))
    return text


def time_of_day(line: str, front: Front) -> int | None:
    """When a line was kept, by what stands in its front: nanoseconds since some day."""
    text = line[: front.end]
    if epoch := _EPOCH.search(text):
        return int(epoch[1]) * _SECOND + int(epoch[2].ljust(9, "0"))
    return of_day(text)


def nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.partition(".")
    return int(whole) * _SECOND + int(fraction[:9].ljust(9, "0") or 0)
