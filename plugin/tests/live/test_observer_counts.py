# SPDX-License-Identifier: MIT
"""How much a value may be off that was calibrated while the guest was stopped in: from counts alone."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from clockscope._core import Relay
from clockscope.live.observer import Disturbance, Observer, Sample
from clockscope.model import disturbed
from clockscope.profiles.profile import Rule, Span

MS = 1_000_000
STOP = 100_000  # cycles that one stop costs, of a TSC of 1 GHz
STARTED = Rule("started", "calibration.started")
FINISHED = Rule("finished", "calibration.finished", functions=("calibrate",), on_return=True)
TAKEN_OVER = Rule("taken-over", "frequency.detected")
TOLD = Rule("told", "frequency.detected", told=True)
AGAINST = Rule("against", "calibration.finished", functions=("other",), trusts="TSC")


class Guest:
    """A relay's counts, and a guest that lends its rdtsc."""

    def __init__(self, running_on: float = 0.0, lends: bool = True) -> None:
        self.counts = dict.fromkeys(("run_ns", "stood_ns", "own_stops", "gdb_stops", "resumes"), 0)
        self.probes = dict.fromkeys(("seen", "stops", "inside", "repeated"), 0)
        self._marks: list[dict[str, int]] = []
        self._running_on = running_on
        self._lends = lends

    # As a Relay

    def statistics(self) -> dict[str, int]:
        return dict(self.counts)

    def run_ns(self) -> int:
        return self.counts["run_ns"]

    def mark(self) -> int:
        self._marks.append(dict(self.counts))
        return len(self._marks) - 1

    def marked(self, mark: int) -> dict[str, int] | None:
        return self._marks[mark]

    # As a Lender

    def sample(self, address: int, frames: Sequence[int]) -> Sample | None:
        tsc = self.counts["run_ns"] + round(self._running_on * self.counts["stood_ns"])
        return Sample(tsc, STOP, self._running_on) if self._lends else None

    def holds(self, address: int, frames: Sequence[int]) -> bool:
        return address == 1

    # What happens to it

    def run(self, ran: int, stood: int = 0, **stops: int) -> None:
        """It runs and stands; stops of the branch recorder are `stops`, those of others `own_stops` and `gdb_stops`."""
        self.counts["run_ns"] += ran
        self.counts["stood_ns"] += stood
        for name, number in stops.items():
            place = self.counts if name in self.counts else self.probes
            place[name] += number
            if name == "stops":
                self.counts["own_stops"] += number
                self.probes["seen"] += number


def observe(guest: Guest | None, replay: bool = False, spans: Sequence[Span] = ()) -> Observer:
    fake = guest or Guest()
    made = Observer(cast(Relay, fake), fake, spans, 100, replay=replay)
    made.probes = lambda: dict(fake.probes)
    return made


def calibrate(guest: Guest, observer: Observer, rule: Rule = FINISHED, **ran: Any) -> Disturbance:
    """One call, a tenth of a second long, in which some stops are made."""
    observer.arrive()
    begun = observer.mark(2, [2])
    observer.leave(2)
    guest.run(0, gdb_stops=2)  # GDB steps off its breakpoint, and is told of the return
    guest.run(100 * MS, **ran)
    observer.arrive()
    found = observer.event(rule, "TSC", 1_000_000_000, begun, 3, [3])
    observer.leave(3)
    assert found is not None
    return found


Make = Callable[[], Guest]


@pytest.mark.parametrize(
    ("stops", "bound"),
    [
        ({"stops": 20}, 0),  # none of them came between two reads of a clock
        ({"stops": 20, "inside": 1}, 1000),
        ({"stops": 200, "repeated": 100}, 100_000),
        ({"own_stops": 2}, 2000),  # counters: nobody knows where they were
        ({"gdb_stops": 3}, 3000),  # the user's own
    ],
)
def test_where_all_clocks_stand_still(stops: dict[str, Any], bound: int) -> None:
    guest = Guest()
    observer = observe(guest)
    found = calibrate(guest, observer, stood=50 * MS, **stops)
    values = dict(found.values)
    assert values["stood_ns"] == 50 * MS and values["error_bound_ppm"] == bound
    assert values["lost_cycles"] == bound * 100
    assert (values["disturbed"], found.disturbed) == (("yes", True) if bound else ("no", False))


def test_where_no_window_was_seen() -> None:
    guest = Guest()
    observer = observe(guest)
    observer.blind = lambda functions: "calibrate" in functions
    assert calibrate(guest, observer, stops=4).bound_ppm == 4000


def test_where_the_tsc_runs_on() -> None:
    """Wherever the stops were: the TSC went on, and the other clocks did not."""
    guest = Guest(running_on=2.0)
    found = calibrate(guest, observe(guest), stood=5 * MS, stops=3)
    assert found.disturbed and found.bound_ppm == 50_000


def test_where_nothing_is_lent() -> None:
    """All the time that it stood may be lost; if that is little, it is no matter."""
    guest = Guest(lends=False)
    found = calibrate(guest, observe(guest), stood=5 * MS, stops=3)
    assert found.disturbed is None and dict(found.values)["disturbed"] == "not known"
    assert found.bound_ppm == 50_000 and "cannot be measured" in str(dict(found.values)["not_known"])
    guest = Guest(lends=False)
    assert calibrate(guest, observe(guest), stood=5000).disturbed is False


def test_a_replay_is_not_disturbed() -> None:
    guest = Guest()
    assert calibrate(guest, observe(guest, replay=True), stops=1000, inside=1000).disturbed is False


def test_a_value_that_was_told_is_not_measured() -> None:
    guest = Guest()
    assert calibrate(guest, observe(guest), TOLD, stops=1000, inside=1000).disturbed is False


def test_one_that_is_taken_over_and_one_that_trusts_it() -> None:
    guest = Guest()
    observer = observe(guest)
    calibrate(guest, observer, stops=5, inside=5)
    observer.arrive()
    assert (taken := observer.event(TAKEN_OVER, "tsc", None, None, 3, [3])) and taken.bound_ppm == 5000
    observer.leave(3)
    assert calibrate(guest, observer, AGAINST).bound_ppm == 5000


def test_where_its_begin_was_not_seen() -> None:
    guest = Guest()
    found = observe(guest).event(FINISHED, "lapic", 1, None, 3, [3])
    assert found and found.disturbed is None and "was not seen" in str(dict(found.values)["not_known"])
    said = disturbed.sentence("lapic", {"mhz": "1001.4"}, dict(found.values))
    assert said == "lapic 1001.400 MHz: perhaps disturbed: when it began to be measured was not seen"


@pytest.mark.parametrize("spans", [[Span("started", (), "finished")], []], ids=["span", "same clock"])
def test_from_one_event_to_another(spans: list[Span]) -> None:
    """An engine's stop within a window counts; the one that ends it does not."""
    guest = Guest()
    observer = observe(guest, spans=spans)
    observer.arrive()
    assert observer.event(STARTED, "lapic", None, None, 2, [2]) is None
    observer.leave(2)
    for place in (1, 4):
        guest.run(50 * MS, gdb_stops=2)
        observer.arrive()
        observer.leave(place)
    guest.run(100 * MS, gdb_stops=2)
    observer.arrive()
    found = observer.event(FINISHED, "lapic", 1, None, 3, [3])
    assert found and found.bound_ppm == 500


def test_from_a_functions_entry() -> None:
    guest = Guest()
    observer = observe(guest, spans=[Span(None, ("calibrate",), "finished")])
    observer.arrive()
    observer.enter(["finished"], 2, [2])
    observer.leave(2)
    guest.run(100 * MS, gdb_stops=2, stops=3, inside=3)
    observer.arrive()
    found = observer.event(FINISHED, "tsc", None, None, 3, [3])
    assert found and found.bound_ppm == 3000
