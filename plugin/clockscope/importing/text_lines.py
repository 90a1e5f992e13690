# SPDX-License-Identifier: MIT
"""A log's text as lines: also where it stands in JSON, in a journal's fields, or in a page of HTML. Pure."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_LINE_MAX = 16384  # of characters; what is longer is no kernel's, even within JSON
_FAILURES_MAX = 20
_DEPTH_MAX = 4

_MESSAGE_KEYS = (
    *("MESSAGE", "msg", "message", "log", "text", "line", "body", "textPayload", "@message", "_raw"),
    *("content", "contents", "Output", "output", "stdout", "console"),
)
_MONOTONIC_KEYS = ("_SOURCE_MONOTONIC_TIMESTAMP", "__MONOTONIC_TIMESTAMP")
_TIME_KEYS = ("__REALTIME_TIMESTAMP", "dt", "time", "timestamp", "@timestamp", "ts", "date", "datetime")
_FIELD = re.compile(r"^\s{0,8}([A-Z_][A-Z0-9_]{0,63})=(.*)$")
_JOURNAL = re.compile(
    r"^\s{0,8}(?:_TRANSPORT|_BOOT_ID|__CURSOR|__REALTIME_TIMESTAMP|_SOURCE_MONOTONIC_TIMESTAMP)=", re.MULTILINE
)
_JSON_LINE = re.compile(r"^\s{0,64}(?:- |data: )?(\{.*\})\s*,?\s*$")
_OPENING = re.compile(r"[{\[]")
_PAGE = re.compile(r"<!doctype html|<html|<pre\b|<br\s*/?>|<\?xml|<code\b|<system-out", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|pre|span class=\"line\")\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][\w:-]{0,31}(?:\s[^<>]{0,1000})?/?>|<!\[CDATA\[|\]\]>|<!--.{0,200}?-->")


@dataclass(frozen=True)
class Raw:
    """A line as it stands in the log, or in a record of it."""

    number: int  # in the file, from 1
    text: str
    ns: int | None = None  # when it was printed, where the record itself says so
    of_kernel: bool = False  # by the kernel's own clock


def lines(text: str) -> Iterator[Raw]:
    """The lines that are not empty, as often as one asks for them."""
    start = text[:_LINE_MAX].lstrip()
    if re.match(r"\{|\[\s*\{", start):
        return _of_json(text)
    if _JOURNAL.search(text, 0, 1 << 16) and re.search(r"^\s{0,8}MESSAGE=", text[: 1 << 16], re.MULTILINE):
        return _of_fields(text)
    plain = _plain(text)
    return _of_page(plain) if _PAGE.search(text, 0, 1 << 18) else _with_objects(plain)


def _plain(text: str) -> Iterator[Raw]:
    number, last = 1, 0
    for match in re.finditer(r"[^\n]+", text):
        number += text.count("\n", last, match.start())
        last = match.start()
        for piece in match[0][:_LINE_MAX].split("\r"):
            if piece.strip():
                yield Raw(number, piece)


def _with_objects(plain: Iterable[Raw]) -> Iterator[Raw]:
    """Lines of which some are JSON objects: a container's log, LAVA's."""
    for raw in plain:
        match = _JSON_LINE.match(raw.text) if "{" in raw.text else None
        found = _parsed(match[1]) if match else None
        if isinstance(found, dict) and (told := list(_record(found, raw.number))):
            yield from told
        else:
            yield raw


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_page(plain: Iterable[Raw]) -> Iterator[Raw]:
    for raw in plain:
        for piece in _BREAK.split(raw.text):
            text = html.unescape(_TAG.sub("", piece)).replace("\xa0", " ")
            for part in text.split("\n"):
                if part.strip():
                    yield Raw(raw.number, part)


# ---------------------------------------------------------------- JSON: journalctl -o json, dmesg --json, containers


def _of_json(text: str) -> Iterator[Raw]:
    """Objects one after the other, or within a list; what is none is passed over, line by line."""
    decoder = json.JSONDecoder()
    at, number, counted, failures = 0, 1, 0, 0
    while (match := _OPENING.search(text, at)) is not None:
        yield from (
            Raw(number + raw.number - 1, raw.text) for raw in _plain(text[at : match.start()]) if raw.text.isascii()
        )
        number += text.count("\n", counted, match.start())
        counted = match.start()
        found, end = None, 0
        if failures < _FAILURES_MAX:
            try:
                found, end = decoder.raw_decode(text, match.start())
            except (ValueError, RecursionError):
                failures += 1
        if end == 0:
            stop = text.find("\n", match.start())
            end = len(text) if stop < 0 else stop
            line = Raw(number, text[match.start() : min(end, match.start() + _LINE_MAX)])
            yield from _with_objects([line])
        else:
            yield from _records(found, _numbers(text, number, match.start(), end), 0)
        at = end


def _numbers(text: str, number: int, start: int, end: int) -> Callable[[str], int]:
    """Where in an object a message stands: objects may have many lines, such as all of dmesg --json."""
    at = start
    reached = number

    def number_of(message: str) -> int:
        nonlocal at, reached
        found = text.find(json.dumps(message)[1:-1][:64], at, min(end, at + (1 << 16)))
        if found >= 0:
            reached += text.count("\n", at, found)
            at = found
        return reached

    return number_of


def _records(found: Any, number_of: Callable[[str], int], depth: int) -> Iterator[Raw]:
    if isinstance(found, list):
        for each in found:
            yield from _records(each, number_of, depth)
    elif isinstance(found, dict):
        message = _message(found)
        if message is not None:
            yield from _record(found, number_of(message.split("\n", 1)[0]))
        elif depth < _DEPTH_MAX:
            for each in found.values():
                yield from _records(each, number_of, depth + 1)


def _record(found: dict[Any, Any], number: int) -> Iterator[Raw]:
    message = _message(found)
    if message is None or found.get("_TRANSPORT", "kernel") != "kernel":
        return
    ns, of_kernel = _time(found)
    for text in message.splitlines():
        if text.strip():
            yield Raw(number, text, ns, of_kernel)


def _message(found: dict[Any, Any]) -> str | None:
    for key in _MESSAGE_KEYS:
        value = found.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return bytes(value).decode("utf-8", "replace")  # so journalctl writes what is no UTF-8
    return None


def _time(found: dict[Any, Any]) -> tuple[int | None, bool]:
    for key in _MONOTONIC_KEYS:
        if str(found.get(key, "")).isdecimal() and len(str(found[key])) < 20:
            return int(found[key]) * 1000, True
    for key in _TIME_KEYS:
        value = found.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 32:
            return round(value * 1_000_000_000), value < 100_000_000  # seconds: of the boot, or since 1970
        if isinstance(value, str) and value.isdecimal() and len(value) == 16:
            return int(value) * 1000, False
        if isinstance(value, str) and (ns := of_day(value)) is not None:
            return ns, False
    return None, False


_TIME = re.compile(r"(?<!\d)(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?!:\d)")
_DATE = re.compile(r"(?<!\d)(\d{4})[-/.](\d\d)[-/.](\d\d)(?!\d)")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH_DAY = re.compile(rf"({'|'.join(_MONTHS)})[a-z]*\.? *(\d{{1,2}})(?!\d)")
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_SECOND = 1_000_000_000


def of_day(text: str) -> int | None:
    """The time of day, with its date where there is one, in nanoseconds since some fixed day; None: there is none."""
    match = _TIME.search(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(match[part]) for part in (1, 2, 3))
    if re.match(r"\s*PM\b", text[match.end() :]) and hours < 12:
        hours += 12
    elif re.match(r"\s*AM\b", text[match.end() :]) and hours == 12:
        hours = 0
    return (_day(text) * 86_400 + hours * 3600 + minutes * 60 + seconds) * _SECOND + int((match[4] or "").ljust(9, "0"))


def _day(text: str) -> int:
    """A number that grows by one a day, but for leap years' sake."""
    if date := _DATE.search(text):
        year, month, day = (int(date[part]) for part in (1, 2, 3))
    elif named := _MONTH_DAY.search(text):
        year, month, day = 1970, _MONTHS.index(named[1]) + 1, int(named[2])
    else:
        return 0
    return (year - 1970) * 365 + (year - 1969) // 4 + _DAYS[min(max(month, 1), 12) - 1] + day


# ---------------------------------------------------------------- a journal's fields: journalctl -o export, verbose


def _of_fields(text: str) -> Iterator[Raw]:
    """Records of KEY=VALUE; a line that is none, or an empty one, ends one."""
    found: dict[str, str] = {}
    message_at = 0
    for number, line in enumerate(re.finditer(r"[^\n]*\n?", text), 1):
        field = _FIELD.match(line[0].rstrip("\r\n")[:_LINE_MAX])
        if field is None or (field[1] in found and field[1] in ("MESSAGE", "__CURSOR")):
            yield from _record(found, message_at)
            found = {}
        if field:
            found.setdefault(field[1], field[2])
            message_at = number if field[1] == "MESSAGE" else message_at
    yield from _record(found, message_at)
