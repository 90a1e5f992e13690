# SPDX-License-Identifier: MIT
"""What the lines after an event say becomes values of the event, in a recording as in a log's import."""

from pathlib import Path

import pytest
from clockscope._core import Trace, TraceWriter
from clockscope.live.continued import Continued
from clockscope.profiles import profile

RULES = {rule.rule: rule for rule in profile.load("linux").rules}


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = TraceWriter(str(path))
        self.continued = Continued(self.writer)

    def happens(self, rule: str, clock: str | None, **values: int | str | None) -> int:
        known = RULES[rule]
        number = self.writer.event(
            run_ns=1, cpu=0, what=known.what, rule=rule, clock=clock, values=list(values.items())
        )
        self.continued.take(known, clock, list(values.items()), number)
        return number

    def says(self, rule: str, **values: int | str) -> None:
        self.continued.add(RULES[rule], [("message", "the line"), *values.items()])

    def values(self, number: int) -> dict[str, int | str | None]:
        self.writer.close(True, "test")
        with Trace(str(self.path)) as trace:
            (found,) = (event for event in trace.timeline()["events"] if event["seq"] == number)
        values: dict[str, int | str | None] = found["values"]
        return values


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "a.trace")


def test_a_kernel_that_prints_counters_alone(world: World) -> None:
    """5.10: the intervals follow from the counters, by the frequencies with which the clocks were registered."""
    world.happens("clock-registered", "hpet", frequency_hz=100_000_000)
    world.happens("clock-registered", "tsc", frequency_hz=2_000_000_000)
    lost = world.happens("clock-skewed", "tsc", reason="the skew is too large", watchdog="hpet")
    world.says("watchdog-told", watchdog="hpet", wd_now="2faf080", wd_last="0", wd_mask="ffffffff")
    world.says("clock-told", cs_now="77359400", cs_last="0", cs_mask="ffffffffffffffff")
    found = world.values(lost)
    assert (found["interval_ns"], found["clock_ns"], found["skew_ns"]) == (500_000_000, 1_000_000_000, 500_000_000)
    assert found["inferred"] and found["watchdog"] == "hpet" and "message" not in found


def test_what_the_event_has_it_keeps(world: World) -> None:
    lost = world.happens("clock-skewed", "tsc", watchdog="hpet", interval_ns=7, clock_ns=9, skew_ns=2)
    world.says("watchdog-told", watchdog="other", interval_ns=8, wd_now="1", wd_last="0", wd_mask="ff")
    found = world.values(lost)
    assert (found["watchdog"], found["interval_ns"], found["skew_ns"], found["wd_now"]) == ("hpet", 7, 2, "1")


def test_intervals_that_are_printed(world: World) -> None:
    """7.2."""
    lost = world.happens("clock-skewed", "tsc", watchdog="hpet", reason="frequency skew")
    world.says("watchdog-interval", watchdog="hpet", interval_ns=1000)
    world.says("clock-interval", clock_ns=900)
    assert world.values(lost)["skew_ns"] == -100


def test_a_line_is_about_the_last_event_that_it_can_be_about(world: World) -> None:
    first = world.happens("clock-skewed", "tsc-early")
    last = world.happens("clock-read-slow", "tsc")
    world.says("cpus-checked", checked_from=1)
    assert world.values(last)["checked_from"] == 1
    with Trace(str(world.path)) as trace:
        assert not [row for row in trace.rows("SELECT name FROM event_value WHERE event = ?", [first])]


def test_a_line_about_nothing_is_no_event(world: World) -> None:
    world.says("watchdog-told", watchdog="hpet", wd_now="1", wd_last="0", wd_mask="ff")
    seen = world.happens("clock-registered", "hpet", frequency_hz=1)
    assert set(world.values(seen)) == {"frequency_hz"}
