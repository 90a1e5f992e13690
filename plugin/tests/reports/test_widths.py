# SPDX-License-Identifier: MIT
"""The timeline at any width: no word is folded, nothing is lost; and one clock for all verbs."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from guest import ROOT

from clockscope.model.axis import Axis, stamp
from clockscope.reports import event_rows

Program = Callable[..., subprocess.CompletedProcess[str]]

TRACES = sorted((ROOT / "traces").glob("*.trace"))
HEALTHY = ROOT / "traces" / "linux-healthy.trace"
STAMP = re.compile(r"\[ *~?\d+\.\d{6}\]")


def shown(program: Program, width: int, *arguments: object) -> str:
    done = program(*arguments, env={**os.environ, "COLUMNS": str(width)})
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("trace", TRACES, ids=[trace.stem for trace in TRACES])
def test_it_fits_80_columns_and_folds_no_word(trace: object, program: Program) -> None:
    narrow, wide = shown(program, 80, "timeline", trace), shown(program, 10_000, "timeline", trace)
    assert max(map(len, narrow.splitlines())) <= 80
    words = {word.strip(",") for word in STAMP.sub("", wide).split()}
    told = {word.strip(",") for word in STAMP.sub("", narrow).split()} - {
        "by",
        "and",
        "who",
        "did",
        "it",
        "state",
        "since",
    }
    told -= {"in", "use", "was", "registered", "unregistered", "unregistered:", "lost", "registered:", "values"}
    assert told <= words | {word.rstrip(":") for word in words}


def test_what_explains_fits_too(program: Program) -> None:
    healthy, failing = "traces/linux-healthy.trace", "traces/linux-samples-rejected.trace"
    for arguments in (
        ["diagnose", failing],
        ["diff", healthy, failing],
        ["diff", healthy, "traces/linux-no-hpet.trace"],
        ["path", failing],
        ["path", "traces/netbsd-healthy.trace", "tsc_tc_init", "--source", "."],
    ):
        narrow, whole = (
            program(*arguments, cwd=ROOT, env={**os.environ, "COLUMNS": str(width)}).stdout for width in (80, 0)
        )
        assert max(map(len, narrow.splitlines())) <= 80, arguments
        assert "".join(narrow.split()) == "".join(whole.split())  # nothing is cut


def test_bits_and_no_interrupt(program: Program) -> None:
    text = shown(program, 0, "timeline", HEALTHY)
    assert "CONTINUOUS|MUST_VERIFY|VALID_FOR_HRES|VERIFY_PERCPU" in text and "PERIODIC|ONESHOT|C3STOP" in text
    assert "no irq" in text and "irq -1" not in text and "flags 0x" not in text
    hpet = next(line for line in text.splitlines() if "clock registered" in line and " hpet " in line)
    assert hpet.endswith("hpet_enable hpet.c:1094") and STAMP.match(hpet)


def test_clocks_stand_as_in_sysfs(program: Program) -> None:
    table = shown(program, 0, "timeline", HEALTHY).partition("\nClocksources\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in table.splitlines()[1:]]
    assert names == ["tsc", "tsc-early", "hpet", "acpi_pm", "refined-jiffies", "jiffies"]
    early = ROOT / "traces" / "linux-samples-rejected.trace"
    table = shown(program, 0, "timeline", early).partition("\nClocksources\n")[2]
    assert table.splitlines()[1].split()[0] == "tsc-early"


@pytest.mark.parametrize("name", event_rows.COLUMNS)
def test_each_column(name: str, program: Program) -> None:
    text = shown(program, 80, "timeline", "--columns", f"seq,{name}", HEALTHY).partition("\n\n")[2].partition("\n\n")[0]
    assert len(text.splitlines()) == 1 + 19


def test_wide_has_the_run_time_and_all_values(program: Program) -> None:
    text = shown(program, 80, "timeline", "--wide", HEALTHY)
    assert "run ms" in text and "max cycles" in text and "__clocksource_update_freq_scale clocksource.c" in text


def test_one_clock_for_all_verbs(program: Program) -> None:
    """A function's call stands where the event does that was seen at its entry."""
    told = json.loads(program("timeline", "--format", "json", HEALTHY).stdout)
    event = next(one for one in told["events"] if one["rule"] == "refinement-started")
    path = program("path", HEALTHY, "tsc_refine_calibration_work").stdout
    first = re.search(r"#1  at \[ *~?(\d+\.\d+)\]", path)
    assert first and abs(float(first[1]) - event["time_ns"] / 1e9) < 0.1
    failing = ROOT / "traces" / "linux-samples-rejected.trace"
    retried = json.loads(program("timeline", "--format", "json", failing).stdout)["events"]
    times = [stamp(one["time_ns"]) for one in retried if one["what"] == "calibration.retried"]
    assert times[0] in program("diagnose", failing).stdout and times[0] in program("diff", HEALTHY, failing).stdout


def events(*told: dict[str, Any]) -> dict[str, Any]:
    base: dict[str, Any] = {
        "guest_ns": None,
        "icount": None,
        "tsc": None,
        "rule": "r",
        "what": "x-test",
        "clock": None,
        "values": {},
    }
    return {
        "guest": {"os": "linux", "release": "6.1"},
        "clocks": [{"name": "tsc", "frequency_hz": 1_000_000_000}],
        "events": [{**base, "seq": seq, "run_ns": seq * 1000, **one} for seq, one in enumerate(told, 1)],
    }


def test_a_replay_counts_from_where_the_kernels_clock_begins() -> None:
    axis = Axis(events({"guest_ns": 5000, "icount": 5}, {"guest_ns": 9000, "icount": 9, "rule": "tsc-detected"},
                       {"guest_ns": 2_009_000, "icount": 2009}))  # fmt: skip
    assert [axis.text({"seq": seq, "run_ns": 0}) for seq in (1, 2, 3)] == [stamp(0), stamp(0), "[    0.002000]"]
    assert axis.text({"seq": 77, "run_ns": 0, "icount": 1009}) == "[    0.001000]"


def test_a_frequency_that_was_refined_holds_from_then_on() -> None:
    told = events(
        {"tsc": 10, "rule": "tsc-detected", "what": "frequency.detected", "clock": "tsc", "values": {"mhz": "500"}},
        {"tsc": 500_000_010, "what": "calibration.finished", "clock": "tsc", "values": {"mhz": "1000.0"}},
        {"tsc": 1_500_000_010},
    )
    assert [Axis(told).ns(event) for event in told["events"]] == [0, 1_000_000_000, 2_000_000_000]


def test_what_is_not_known_is_not_told() -> None:
    axis = Axis(events({}, {}))
    assert axis.kind == "run" and axis.text({"seq": 1, "run_ns": 1_500_000}) == "1.500"
    some = events({"tsc": 1_000}, {}, {"tsc": 2_001_000})
    assert Axis(some).text(some["events"][1]).startswith("[   ~0.00")
