# SPDX-License-Identifier: MIT
"""The lines of a kernel's log, as a serial console, dmesg, journalctl or syslog wrote them. Pure; the log may be anything."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LOG_MAX = 64 << 20
"""More bytes than any log of a boot has."""
_LINE_MAX = 4096  # of characters; what is longer is no kernel's

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[@-~]|\x1b[0-Z\\-~]|\x00")
_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_FRONT = re.compile(
    r"(?:<\d{1,3}>|[a-z]{2,8} *:[a-z]{2,7} *: )?"  # the level: dmesg -r, dmesg -x
    rf"(?:(?:[A-Z][a-z]{{2}} +\d{{1,2}} |\d{{4}}-\d\d-\d\d[T ])(?P<time>{_TIME})\S* (?:\S+ \S+: )?)?"  # syslog, journalctl
    rf"(?:\[ *(?:(?P<seconds>\d{{1,9}}(?:\.\d{{1,9}})?)|[A-Z]\w\w [A-Z]\w\w +\d+ (?P<date>{_TIME}) \d{{4}})\] ?)?"  # printk, dmesg -T
    r"(?:\[ *[TC]\d+\] )?"  # who printed it: CONFIG_PRINTK_CALLER
    r"(?:\S+ kernel: )?"  # journalctl -o short-monotonic
)
_DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True)
class Line:
    number: int  # in the log, from 1
    ns: int | None  # when it was printed, since the boot or since the first line; None: it does not say
    text: str  # what the kernel printed, without what stands in front


class Log:
    """A log's lines, as often as one asks for them."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.times = "none"
        """Where the times come from: the "kernel", or the "time of day" at which a line was kept; or "none"."""

    def lines(self) -> Iterator[Line]:
        start: int | None = None
        for number, raw in enumerate(_split(self._content), 1):
            text = _ESCAPE.sub("", raw)
            front = _FRONT.match(text)
            seconds, time = (front["seconds"], front["time"] or front["date"]) if front else (None, None)
            if self.times == "none" and (seconds or time):
                self.times = "kernel" if seconds else "time of day"
            ns = None
            if self.times == "kernel" and seconds:
                ns = _nanoseconds(seconds)
            elif self.times == "time of day" and time:
                hours, minutes, rest = time.replace(",", ".").split(":")
                of_day = (int(hours) * 60 + int(minutes)) * 60 * 1_000_000_000 + _nanoseconds(rest)
                start = of_day if start is None else start
                ns = (of_day - start) % _DAY_NS
            yield Line(number, ns, text[front.end() :].rstrip() if front else text.rstrip())


def _split(content: bytes) -> Iterator[str]:
    """The lines; consoles end them with any of \\n, \\r\\n and \\n\\r."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        yield content[start : min(end, start + _LINE_MAX)].decode("utf-8", "replace").strip("\r")
        start = end + 1


def _nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0"))
