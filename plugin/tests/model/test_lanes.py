# SPDX-License-Identifier: MIT
"""A boot as lanes: which lane each event is on, and what spans there are."""

from pathlib import Path
from typing import Any

import pytest
from sample_trace import write_sample

from clockscope.model import lanes
from clockscope.model.axis import Axis
from clockscope._core import Trace

Record = dict[str, Any]


@pytest.fixture
def sample(tmp_path: Path) -> Record:
    write_sample(tmp_path / "sample.trace")
    with Trace(str(tmp_path / "sample.trace")) as trace:
        return trace.timeline()


def spans(found: lanes.Lanes, kind: str) -> list[tuple[str, float, float, str]]:
    titles = [lane["title"] + " device" * lane["device"] for lane in found.lanes]
    return [(titles[one["lane"]], one["from"], one["to"], one["note"]) for one in found.spans if one["kind"] == kind]


def test_lanes_and_marks(sample: Record) -> None:
    found = lanes.arrange(sample, [], [])
    titles = [lane["title"] for lane in found.lanes]
    assert titles == ["tsc", "hpet", "hpet", "tsc-early", "vCPU 0", "vCPU 1"]
    assert [lane["device"] for lane in found.lanes] == [False, False, True, False, False, False]
    assert len(found.marks) == 2 * len(sample["events"])  # one on the clock's lane, one on the vCPU's
    device = next(event["seq"] for event in sample["events"] if event["what"] == "device.selected")
    assert [lane for seq, lane in found.marks if seq == device] == [2, 4]


def test_lives(sample: Record) -> None:
    found = lanes.arrange(sample, [], [])
    assert (found.begin, found.end) == (12.345678, 1101.0)
    assert spans(found, "registered") == [
        ("tsc-early", 30.0, 1100.0, ""),
        ("hpet", 20.0, 1101.0, ""),
        ("hpet device", 21.0, 1101.0, ""),
    ]
    assert spans(found, "selected") == [
        ("hpet", 31.0, 32.0, ""),
        ("tsc-early", 32.0, 1100.0, ""),
        ("hpet device", 22.0, 1101.0, ""),
        ("hpet", 1101.0, 1101.0, ""),
    ]


def event(seq: int, ms: int, what: str, clock: str | None = "tsc", cpu: int = 0, guest_ns: int | None = None) -> Record:
    return {
        "seq": seq,
        "run_ns": ms * 10**6,
        "guest_ns": guest_ns,
        "what": what,
        "clock": clock,
        "cpu": cpu,
        "values": {},
    }


def timeline(*events: Record) -> Record:
    return {"clocks": [{"name": "tsc", "kind": "clocksource"}], "events": list(events)}


def test_calibrations() -> None:
    found = lanes.arrange(
        timeline(
            event(1, 10, "calibration.finished"),  # nobody saw its start
            event(2, 20, "calibration.started"),
            event(3, 30, "calibration.retried"),
            event(4, 40, "calibration.refused"),
            event(5, 50, "calibration.started"),
            event(6, 60, "quality.changed"),
        ),
        [],
        [],
    )
    assert spans(found, "calibration") == [
        ("tsc", 20.0, 30.0, "retried"),
        ("tsc", 30.0, 40.0, "refused"),
        ("tsc", 50.0, 60.0, "its end was not seen"),
    ]


def test_calls_within_calls_and_changes() -> None:
    calls = [
        {"seq": seq, "run_ns": begin * 10**6, "end_run_ns": end and end * 10**6, "cpu": cpu}
        for seq, begin, end, cpu in [(2, 10, 40, 0), (3, 20, 30, 0), (4, 25, None, 1)]
    ]
    change = {"seq": 9, "run_ns": 5, "cpu": 2}
    found = lanes.arrange(timeline(event(1, 5, "quality.changed")), [{"function": "f", "invocations": calls}], [change])
    assert [(one["lane"], one["depth"], one["to"]) for one in found.spans] == [(1, 0, 40.0), (1, 1, 30.0), (2, 0, 25.0)]
    assert found.marks[-1] == (9, 3)


def test_exact_time_of_a_replay() -> None:
    events = [event(1, 10, "quality.changed", guest_ns=1000), event(2, 30, "quality.changed", guest_ns=3000)]
    axis = Axis(timeline(*events))
    assert axis.kind == "exact" and axis.of(events[1]) == 0.003
    assert axis.at(20 * 10**6) == pytest.approx(0.002) and axis.at(40 * 10**6) == pytest.approx(0.004)
    assert Axis(timeline(*events, event(3, 40, "quality.changed"))).at(40 * 10**6) == 40.0


def test_too_many_for_a_page_are_counted() -> None:
    content = timeline(*(event(number, number, "quality.changed", cpu=number) for number in range(lanes.LANES_MAX + 6)))
    found = lanes.arrange(content, [], [])
    assert len(found.lanes) == 1 + lanes.LANES_MAX and found.left_out == 6
