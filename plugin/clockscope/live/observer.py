# SPDX-License-Identifier: MIT
"""What stopping a guest did to what it measures: for each value that it calibrated, how long it stood meanwhile, how much
guest time that cost, and by how much the value may be off.

What a stop costs is measured again each time that something begins to be calibrated, and when it ends: two instructions
are borrowed one right behind the other, and what the guest's TSC went on between them is one stop's. Where the TSC runs on
while the guest stands (KVM), all of that is lost. Where it does not, all clocks of the guest stand still together, so that
a stop outside of any timing window changes no ratio of two clocks: what counts are stops in windows, those of which it is
not known where they were (the user's own, counters), those at a place that is come to again and again, and, where what
measures has no window that could be seen, all.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clockscope._core import Relay
from clockscope.profiles.profile import Rule, Span

CALIBRATED = ("calibration.finished", "frequency.detected")
BEGINS = ("calibration.started", "calibration.retried")

Value = int | str | None
_SAMPLES = 8
_MILLION = 1_000_000


@dataclass(frozen=True)
class Sample:
    """What two borrowed instructions tell, one right behind the other."""

    tsc: int  # at the second
    lost: int  # cycles between them: what one stop costs
    running_on: float  # cycles a nanosecond that the TSC goes on while the guest stands; 0 where it stands still


class Lender(Protocol):
    """Who knows the guest's windows, and borrows its instructions."""

    def sample(self, address: int, frames: Sequence[int]) -> Sample | None:
        """None where nothing may be borrowed now."""

    def holds(self, address: int, frames: Sequence[int]) -> bool:
        ...


@dataclass
class Mark:
    """The moment at which the guest goes on, after a stop."""

    tsc: int | None
    number: int | None = None  # the relay's
    probes: Mapping[str, int] = field(default_factory=dict)  # the branch recorder's counts
    own: "_Stops" = field(default_factory=lambda: _Stops())


@dataclass(frozen=True)
class _Stops:
    """The event engine's own stops so far."""

    all: int = 0
    in_windows: int = 0


@dataclass(frozen=True)
class Disturbance:
    """What the trace keeps of a value's measuring."""

    values: tuple[tuple[str, Value], ...]
    disturbed: bool | None  # None: not known
    bound_ppm: int | None = None


class Observer:
    """Watches what the recording does to the guest."""

    def __init__(
        self, relay: Relay, lender: Lender | None, spans: Iterable[Span], limit_ppm: int, *, replay: bool
    ) -> None:
        """`limit_ppm`: beyond it a value is said to be disturbed."""
        self._relay = relay
        self._lender = lender
        self._limit = limit_ppm
        self._replay = replay
        self._begins: dict[str, list[str]] = {}
        self._functions: dict[str, tuple[str, ...]] = {}  # at whose entry spans begin, by the rules that end them
        for span in spans:
            self._functions[span.end] = (*self._functions.get(span.end, ()), *span.functions)
            if span.begin is not None:
                self._begins.setdefault(span.end, []).append(span.begin)
        self._starts = frozenset(begin for found in self._begins.values() for begin in found)
        self._seen: dict[str, Mark] = {}  # by the rule whose event it was
        self._entered: dict[str, Mark] = {}  # by the rule that ends the span which a function's entry begins
        self._started: dict[str, Mark] = {}  # by clock, in lower case
        self._last: dict[str, tuple[Disturbance, Value]] = {}  # by clock: its last calibration
        self._fresh: list[Mark] = []  # made at this stop
        self._stops = _Stops()
        self._now: Mapping[str, int] = {}  # the relay's counts when this stop began
        self._lost: deque[int] = deque(maxlen=_SAMPLES)
        self._running_on = 0.0
        self._rate: float | None = None  # cycles a nanosecond of run time
        self._base: tuple[int, int] | None = None  # TSC, run time
        self.probes: Callable[[], Mapping[str, int]] = dict  # the branch recorder's counts
        self.blind: Callable[[Sequence[str]], bool] = lambda functions: False
        """Whether functions are traced, and no window was found in what they measure."""

    # --- A stop, from its begin to its end ---

    def arrive(self) -> None:
        """A stop begins; nothing was borrowed in it yet."""
        self._now = self._relay.statistics()

    def mark(self, address: int, frames: Sequence[int]) -> Mark | None:
        """Something begins to be measured when the guest goes on. None in a replay, which nothing disturbs."""
        if self._replay:
            return None
        sample = self._sample(address, frames)
        self._fresh.append(Mark(sample.tsc if sample else None))
        return self._fresh[-1]

    def enter(self, ends: Iterable[str], address: int, frames: Sequence[int]) -> None:
        """A function is entered that begins the spans which these rules end."""
        mark = self.mark(address, frames)
        if mark is not None:
            self._entered.update(dict.fromkeys(ends, mark))

    def leave(self, address: int) -> None:
        """A stop of the event engine's ends; nothing is borrowed in it any more."""
        inside = self._lender is not None and self._lender.holds(address, [address])
        self._stops = _Stops(self._stops.all + 1, self._stops.in_windows + inside)
        if not self._fresh:
            return
        number, probes = self._relay.mark(), self.probes()
        for mark in self._fresh:
            mark.number, mark.probes, mark.own = number, probes, self._stops
        self._fresh.clear()

    # --- Events ---

    def event(
        self, rule: Rule, clock: str | None, value: Value, begun: Mark | None, address: int, frames: Sequence[int]
    ) -> Disturbance | None:
        """An event of a rule; what is to be kept of it, if it brings a value that was calibrated. `begun`: when the call
        began whose return it is."""
        found = None
        name = (clock or "").lower()
        if rule.what in CALIBRATED:
            found = self._judge(rule, name, value, begun, address, frames)
            self._started.pop(name, None)
            if rule.what == "calibration.finished" or not rule.told:
                self._last[name] = (found, value)
        if rule.rule in self._starts or rule.what in BEGINS:
            mark = self.mark(address, frames)
            if mark is not None:
                self._seen[rule.rule] = self._started[name] = mark
        return found

    def _judge(
        self, rule: Rule, clock: str, value: Value, begun: Mark | None, address: int, frames: Sequence[int]
    ) -> Disturbance:
        if self._replay or rule.told:
            return Disturbance((("disturbed", "no"),), False)
        spans = [self._seen[begin] for begin in self._begins.get(rule.rule, ()) if begin in self._seen]
        spans += [self._entered[rule.rule]] if rule.rule in self._entered else []
        begins = [mark for mark in (*spans, *([begun] if begun and not spans else ())) if mark.number is not None]
        if not begins and clock in self._started and self._started[clock].number is not None:
            begins = [self._started[clock]]
        last = self._last.get(clock)
        # Taken over from a calibration before, perhaps of one within the same call.
        if last is not None and (not begins or (value is not None and last[1] == value)):
            return last[0]
        if not begins:
            return _unknown([], "when it began to be measured was not seen")
        return self._measure(max(begins, key=lambda mark: mark.number or 0), rule, address, frames)

    def _measure(self, begin: Mark, rule: Rule, address: int, frames: Sequence[int]) -> Disturbance:
        was = self._relay.marked(begin.number) if begin.number is not None else None
        if was is None or not self._now:
            return _unknown([], "how long your guest stood meanwhile is not known")
        ran, stood = (self._now[name] - was[name] for name in ("run_ns", "stood_ns"))
        sample = self._sample(address, frames)
        # This very stop is none that the measuring was stopped by, nor is GDB's step off the one that it began at.
        stops = max(0, self._now["own_stops"] - was["own_stops"] + self._now["gdb_stops"] - was["gdb_stops"] - 1)
        values: list[tuple[str, Value]] = [("stood_ns", stood), ("stops", stops)]
        cycles = self._cycles(begin, sample, ran)
        counted = self._counted(begin, was, rule)
        if ran <= 0:
            return _unknown(values, "your guest did not run meanwhile")
        if not self._lost or not cycles:
            return self._worst(values, ran, stood)
        lost = round(counted * sum(self._lost) / len(self._lost) + self._running_on * stood)
        bound = -(-lost * _MILLION // cycles) + self._trusted(rule)
        disturbed = bound > self._limit
        values += [("lost_cycles", lost), ("error_bound_ppm", bound), ("disturbed", "yes" if disturbed else "no")]
        return Disturbance(tuple(values), disturbed, bound)

    def _trusted(self, rule: Rule) -> int:
        """By how much the clock may be off that a calibration trusts, in parts per million."""
        last = self._last.get((rule.trusts or "").lower())
        return last[0].bound_ppm or 0 if last is not None else 0

    def _worst(self, values: list[tuple[str, Value]], ran: int, stood: int) -> Disturbance:
        """What a stop costs cannot be measured: it may be all the time that the guest stood."""
        bound = -(-stood * _MILLION // ran)
        values.append(("error_bound_ppm", bound))
        if bound > self._limit:
            return _unknown(values, "how much guest time a stop costs here cannot be measured", bound)
        return Disturbance((*values, ("disturbed", "no")), False, bound)

    def _counted(self, begin: Mark, was: Mapping[str, int], rule: Rule) -> int:
        """The stops since a mark that may have come between two reads of a clock."""
        now, before = self.probes(), begin.probes
        seen, stops, inside, repeated = (
            now.get(name, 0) - before.get(name, 0) for name in ("seen", "stops", "inside", "repeated")
        )
        between = self._stops.all - begin.own.all
        own = self._now["own_stops"] - was["own_stops"]
        gdbs = self._now["gdb_stops"] - was["gdb_stops"]
        # Each of the engine's stops is a step for GDB too, the one at which it began included; this one is no step yet.
        others = max(0, own - seen) + max(0, gdbs - 2 * (between + 1))
        if self.blind((*rule.functions, *self._functions.get(rule.rule, ()))):
            inside = stops
        return inside + repeated + self._stops.in_windows - begin.own.in_windows + others

    def _cycles(self, begin: Mark, sample: Sample | None, ran: int) -> int:
        """How long it was by the guest's TSC, stops of one that runs on left out; 0 where that is not known."""
        if self._running_on:
            return round(ran * self._running_on)
        if begin.tsc is not None and sample is not None and sample.tsc > begin.tsc:
            return sample.tsc - begin.tsc
        return round(ran * self._rate) if self._rate else 0

    def _sample(self, address: int, frames: Sequence[int]) -> Sample | None:
        sample = self._lender.sample(address, frames) if self._lender is not None else None
        if sample is None:
            return None
        self._running_on = sample.running_on
        # What it went on while the guest stood is counted by the time.
        self._lost.append(0 if sample.running_on else sample.lost)
        run_ns = self._relay.run_ns()
        if self._base is None:
            self._base = (sample.tsc, run_ns)
        elif run_ns > self._base[1] and sample.tsc > self._base[0]:
            self._rate = (sample.tsc - self._base[0]) / (run_ns - self._base[1])
        return sample


def _unknown(values: list[tuple[str, Value]], why: str, bound: int | None = None) -> Disturbance:
    return Disturbance((*values, ("disturbed", "not known"), ("not_known", why)), None, bound)
