# SPDX-License-Identifier: MIT
"""The one clock by which every reader tells when something was: the guest's own, where it is known."""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence

from clockscope._core import Trace
from clockscope.model.hertz import frequency
from clockscope.profiles import reading

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than a timeline to print
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict

_LOG = "log"
_LOG_TIMES = {"kernel": "the kernel's own stamps", "time of day": "when the line was kept, since the first"}
_NAMES = {
    "exact": "exact guest time",
    "tsc": "guest time, by its TSC",
    "run": "guest run time, stops excluded",
}
_NO_IDLING = "without the time of idling"  # ends `replay.clock` where nothing but instructions told the time
_SINCE = ", from where the kernel's own clock begins"
_FREQUENCIES = ("frequency.detected", "calibration.finished")
_STOPS = "SELECT seq, icount FROM stop WHERE icount IS NOT NULL"
_SECOND = 1_000_000_000


class Axis:
    """When things happened in one boot.

    A replay knows its guest's time exactly; else it is worked out from the TSC that was read at each event. It is counted
    from where the kernel's own clock begins, if that was seen, so that it is near the stamps of the kernel's lines: these
    go by the TSC where the kernel finds it stable, and lose what timer interrupts they miss where it does not. What happened between two such events is told by the
    share of the run time, and marked as about. A boot whose own time is not known has its run time.
    """

    def __init__(self, content: Record, trace: Trace | None = None) -> None:
        """`content`: a timeline (schemas/timeline.schema.json). With its trace the stops of a replay have exact times."""
        events: Sequence[Record] = content["events"]
        said = content.get("provenance", {})
        self._log = said.get("log.times", "") if said.get("stub.mode") == _LOG else None
        found, self.kind = _own_times(content)
        known = [event for event in events if event["seq"] in found]
        begin = _zero(known, content) if self._log is None else None
        zero = found[begin] if begin is not None else 0
        self._stamped = begin is not None
        self._own = {seq: ns - zero for seq, ns in found.items()}
        self._points: list[tuple[int, int]] = sorted((event["run_ns"], self._own[event["seq"]]) for event in known)
        self._counts = _Counts(known, zero) if self.kind == "exact" else None
        self._idled: bool = said.get("replay.clock", "").endswith(_NO_IDLING)
        if trace is not None and self._counts is not None:
            stops = ((stop["seq"], self._counts.ns(stop["icount"])) for stop in trace.rows(_STOPS))
            self._own |= {seq: own for seq, own in stops if own is not None}

    @property
    def is_log(self) -> bool:
        return self._log is not None

    @property
    def name(self) -> str:
        """Which time it is, in words."""
        if self._log is not None:
            return _LOG_TIMES.get(self._log, "not known, only their order")
        return f"{_NAMES[self.kind]}{', idling left out' * self._idled}{_SINCE * self._stamped}"

    @property
    def unit(self) -> str:
        return "ms" if self.kind == "run" and self._log != "kernel" else "s"

    def ns(self, moment: Record) -> int | None:
        """The guest's own time of an event, or of what has an event's seq or an instruction count; None: not known."""
        if self._log is not None:
            told: int = moment["run_ns"]
            return told if self._log == "kernel" else None
        own = self._own.get(moment["seq"])  # of what is no row of its own, None
        icount = moment.get("icount")
        return own if own is not None or icount is None or self._counts is None else self._counts.ns(icount)

    def of(self, moment: Record) -> float:
        """When an event, or a moment of a clock, was, in ms."""
        own = self.ns(moment)
        return own / 1e6 if own is not None else self.at(moment["run_ns"])

    def whole(self, moment: Record) -> int:
        """The same in ns; about, where it is not known exactly."""
        own = self.ns(moment)
        return own if own is not None else round(self._about(moment["run_ns"]))

    def at(self, run_ns: int) -> float:
        """About when the guest had run so long, in ms."""
        return self._about(run_ns) / 1e6

    def _about(self, run_ns: int) -> float:
        points = self._points
        if not points:
            return float(run_ns)
        right = min(max(bisect.bisect_left(points, (run_ns, -(1 << 64))), 1), max(len(points) - 1, 0))
        (run_a, own_a), (run_b, own_b) = points[right - 1] if right else points[0], points[right]
        slope: float = (own_b - own_a) / (run_b - run_a) if run_b > run_a else 1.0
        return own_a + slope * (run_ns - run_a)

    def text(self, moment: Record) -> str:
        """ "[    2.721046]", as the kernel's lines have it; "2721.046" where it is no time of the guest's own."""
        if self._log is not None:
            return "?" if self._log not in _LOG_TIMES else self._plain(moment["run_ns"], self._log == "kernel")
        if self.kind == "run":
            return self._plain(moment["run_ns"], False)
        own = self.ns(moment)
        return stamp(own) if own is not None else stamp(round(self._about(moment["run_ns"])), about=True)

    @staticmethod
    def _plain(run_ns: int, stamped: bool) -> str:
        return stamp(run_ns) if stamped else milliseconds(run_ns)

    def said(self, moment: Record) -> str:
        """The same within a sentence: "at 2721.046 ms"."""
        text = self.text(moment)
        return f"at {text}" if text.startswith("[") or text == "?" else f"at {text} ms"

    def span(self, begin: Record, end: Record, parts: int = 1) -> str:
        """How long it was from one moment to another, or one of so many parts of that: "12.345 ms"."""
        return f"{milliseconds(round(1e6 * (self.of(end) - self.of(begin)) / parts))} ms"


def of_trace(trace: Trace) -> Axis:
    return Axis(trace.timeline(), trace)


def stamp(ns: int, *, about: bool = False) -> str:
    """As printk writes it, "[    2.721046]"; before the kernel's clock runs its stamps are 0."""
    microseconds = max(ns, 0) // 1000
    text = f"{'~' * about}{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
    return f"[{text:>12}]"


def milliseconds(ns: int) -> str:
    """Exact to the microsecond, rounded towards zero: "1234.567"."""
    if ns < 0:
        return "-" + milliseconds(-ns)
    return f"{ns // 1_000_000}.{ns // 1000 % 1000:03d}"


def _own_times(content: Record) -> tuple[dict[int, int], str]:
    """By seq, the guest's own time of events in ns; and how it is known."""
    events = content["events"]
    if events and all(event["guest_ns"] is not None for event in events):
        return {event["seq"]: event["guest_ns"] for event in events}, "exact"
    told = [event for event in events if event.get("tsc") is not None]
    steps = list(_frequencies(content, told))
    if not steps or not told:
        return {}, "run"
    return dict(_by_tsc(told, steps)), "tsc"


def _frequencies(content: Record, told: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """From which TSC on the kernel took it to have which frequency; the first holds for what was before, too."""
    final = {clock["name"].lower(): clock.get("frequency_hz") for clock in content.get("clocks", ())}
    stamps = bool(reading.of(content.get("guest", {})).zero)
    for event in told if stamps else ():
        hertz = frequency(event["values"]) if event["what"] in _FREQUENCIES else None
        if hertz and hertz > 0 and str(event["clock"] or "").lower().split("-")[0] == "tsc":
            yield event["tsc"], hertz
    if (last := final.get("tsc") or final.get("tsc-early")) and last > 0:
        yield (told[-1]["tsc"] if told and stamps else 0), last


def _by_tsc(told: Iterable[Record], steps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    (_, hertz), *later = steps
    base, base_ns = 0, 0
    for event in told:
        while later and event["tsc"] > later[0][0]:
            begin, following = later.pop(0)
            base, base_ns = begin, base_ns + (begin - base) * _SECOND // hertz
            hertz = following
        yield event["seq"], base_ns + (event["tsc"] - base) * _SECOND // hertz


def _zero(known: Sequence[Record], content: Record) -> int | None:
    """The event at which the kernel's own stamps begin; None where that was not seen."""
    rules = reading.of(content.get("guest", {})).zero
    return next((event["seq"] for event in known if event.get("rule") in rules), None)


class _Counts:
    """The guest's own time at an instruction count of a replay, from its events."""

    def __init__(self, known: Sequence[Record], zero: int) -> None:
        counted = sorted((event["icount"], event["guest_ns"] - zero) for event in known if event.get("icount"))
        self._points = [(0, -zero), *counted]
        steps = [(b - a, to - at) for (a, at), (b, to) in itertools.pairwise(self._points) if b > a]
        # An instruction takes as long in all of them; idling only adds to it.
        self._scale = min((ns // count for count, ns in steps if ns % count == 0), default=None)

    def ns(self, icount: int) -> int | None:
        """None where the guest idled between the events beside it: before or after that count is not known."""
        right = bisect.bisect_right(self._points, (icount, 1 << 64))
        count, ns = self._points[right - 1]
        if self._scale is None:
            return None
        own: int = ns + (icount - count) * self._scale
        if right < len(self._points):
            following, then = self._points[right]
            if then - ns != (following - count) * self._scale:
                return None
        return own
