# SPDX-License-Identifier: MIT
"""Real kernels, booted and recorded: the timeline says what the guest itself says of its clocks.

`make -f setup.mk test` boots 6.1 and 6.12, `make -f setup.mk kernels` (KERNELS_ALL=1) 5.10 and 7.2 as well.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from guest import MICROVM, ROOT, machine, parse_messages
from recorded import Recorded, cached_record, check_log, record

from clockscope.model import diagnosing
from clockscope._core import Trace

MACHINES = {
    "plain": machine(),
    "notsc": machine("notsc"),
    "tsc-unstable": machine("tsc=unstable"),
    "tsc-reliable": machine("tsc=reliable"),
    "no-hpet": machine("hpet=disable"),
    "no-acpi": machine("acpi=off"),
    "choose-hpet": machine("clocksource=hpet"),
    "smp": machine(options=["-smp", "2"]),
    # By a triple fault: QEMU 7.2, once single-stepped, does not come back from this machine's other ways to restart.
    "microvm": machine("reboot=t", options=MICROVM),
    "q35": machine(options=["-M", "q35"]),
    "6.12": machine(kernel="6.12"),
    "xen": machine(xen=True),
}

EVERY_KERNEL = os.environ.get("KERNELS_ALL") == "1"
# Named so that `-k more` chooses them.
MORE_MACHINES = {
    f"more-{kernel}{name}": machine(*parameters, kernel=kernel, options=options)
    for kernel in ("5.10", "7.2")
    for name, parameters, options in (
        ("", (), ()),
        ("-no-hpet", ("hpet=disable",), ()),
        ("-notsc", ("notsc",), ()),
        ("-tsc-unstable", ("tsc=unstable",), ()),
        ("-smp", (), ("-smp", "2")),
    )
}
# The clocks count the guest's instructions, so that a busy host disturbs no calibration; with sleep=off, stops would. Without
# a first process the guest ends when its clocks are up.
COUNTED = ("-icount", "shift=7")
QUIET = {
    f"more-{kernel}": machine("rdinit=/none", kernel=kernel, options=COUNTED)
    for kernel in ("5.10", "6.1", "6.12", "7.2")
}

# Clocksources that sysfs hides while the tick is in one-shot mode: they are not good for high resolution.
COARSE = {"jiffies", "refined-jiffies"}


@pytest.fixture(scope="module", params=[*MACHINES, *(MORE_MACHINES if EVERY_KERNEL else ())])
def recorded(request: pytest.FixtureRequest, shared_directory: Path) -> Recorded:
    return cached_record({**MACHINES, **MORE_MACHINES}[request.param], shared_directory)


@pytest.fixture(params=list(QUIET) if EVERY_KERNEL else ["stored"])
def quiet(request: pytest.FixtureRequest, shared_directory: Path) -> Path:
    """The trace of a boot that nothing is wrong with."""
    if request.param == "stored":
        return ROOT / "traces/linux-healthy.trace"
    return cached_record(QUIET[request.param], shared_directory).trace


def test_each_line_has_its_event(recorded: Recorded) -> None:
    """Must hold 1 and 3: the same lines, the same order, the same numbers."""
    lines = recorded.clock_lines()
    assert lines
    assert [line for line in recorded.messages() if line in lines] == lines
    told = [line for line in recorded.messages() if line.startswith("tsc: ") or ": mask: " in line]
    assert set(told) <= set(lines)


def test_numbers_of_registrations(recorded: Recorded) -> None:
    said = parse_messages(recorded.log).registered
    events = [event for event in recorded.events if event["what"] == "clock.registered"]
    names = ("name", "mask", "max_cycles", "max_idle_ns")
    assert [tuple(event["values"][name] for name in names) for event in events] == [
        (clock.name, clock.mask, clock.max_cycles, clock.max_idle_ns) for clock in said
    ]
    for event in events:
        assert isinstance(event["values"]["rating"], int)
        # The kernel's max_idle_ns leaves an eighth of max_cycles' time as a margin (clocks_calc_max_nsecs).
        assert event["values"]["frequency_hz"] > 0


def test_registered_clocks_equal_sysfs(recorded: Recorded) -> None:
    said = parse_messages(recorded.log)
    clocks = [clock for clock in recorded.timeline["clocks"] if clock["kind"] == "clocksource" and clock["registered"]]
    there = {clock["name"] for clock in clocks if not clock["lost"] or clock["lost"].get("reason") != "unregistered"}
    assert set(said.available) <= there
    assert there - set(said.available) <= COARSE
    assert [clock["name"] for clock in clocks if clock["current"]] == [said.current]


def test_switches_equal_the_log(recorded: Recorded) -> None:
    switched = [event["clock"] for event in recorded.events if event["what"] == "clock.selected"]
    assert switched == parse_messages(recorded.log).switched


def test_every_event_has_place_and_time(recorded: Recorded) -> None:
    times = [event["run_ns"] for event in recorded.events]
    assert times == sorted(times) and times[0] > 0
    for event in recorded.events:
        assert event["source"] and event["function"]
        assert event["backtrace"][0]["function"] == event["function"]
        assert len(event["backtrace"]) > 2


def found_in(trace: Trace) -> set[str]:
    return {finding["rule"] for finding in diagnosing.diagnose(trace, diagnosing.load())}


def test_the_log_alone_tells_the_same_clocks(
    recorded: Recorded, program: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    log = shutil.copy(recorded.directory / "serial.log", tmp_path / "serial.log")
    made = check_log(program, recorded.trace, log)
    with Trace(str(made)) as trace, Trace(str(recorded.trace)) as whole:
        assert trace.meta()["stub.mode"] == "log" and trace.complete()
        assert found_in(trace) <= found_in(whole)
        guest = trace.timeline()["guest"]
    for key in ("os", "release", "banner", "command_line"):
        assert guest[key] == recorded.timeline["guest"][key].strip(), key
    done = program("diff", made, recorded.trace)
    assert done.returncode == 0 and "No difference" in done.stdout, done.stdout


def test_nothing_is_found_where_nothing_is_wrong(quiet: Path) -> None:
    with Trace(str(quiet)) as trace:
        assert found_in(trace) == set() and trace.complete()
        clocks = {clock["name"]: clock for clock in trace.timeline()["clocks"] if clock["kind"] == "clocksource"}
    assert clocks["tsc"]["current"]
    for clock in clocks.values():
        assert None not in (clock["rating"], clock["frequency_hz"], clock["mask"]), clock["name"]


def test_it_is_complete(recorded: Recorded) -> None:
    assert recorded.timeline["complete"] is True
    assert "complete: the guest ended" in recorded.transcript
    guest = recorded.timeline["guest"]
    assert guest["os"] == "linux" and guest["release"] in guest["banner"]
    assert guest["banner"] in recorded.log


def test_the_watchdog_finds_a_clock_unstable(tmp_path: Path) -> None:
    """With so slow a processor the watchdog's own clock lies. This kernel boots on for hours: not waited for."""
    slow = machine("hpet=disable", options=["-icount", "shift=10,sleep=off"])
    recorded = record(slow, tmp_path, until="quality.changed:tsc")
    assert recorded.messages()[-1] == "tsc: Marking TSC unstable due to clocksource watchdog"
    lost = [event for event in recorded.events if event["what"] == "clock.unstable"]
    assert [(event["clock"], event["values"]["reason"]) for event in lost] == [
        (name, reason) for name, reason in parse_messages(recorded.log).unstable if name != "tsc"
    ]
    assert [event["clock"] for event in lost] == ["tsc-early"]
    # What the lines after it say is the event's: by what it was judged, over how long, and how far it was off.
    found = lost[0]["values"]
    assert found["watchdog"] == "refined-jiffies" and found["clock_ns"] - found["interval_ns"] == found["skew_ns"]
    assert {"wd_now", "wd_last", "wd_mask", "cs_now", "cs_last", "cs_mask"} <= found.keys()
    passed = (
        int(str(found["cs_now"]), 16) - int(str(found["cs_last"]), 16)
    ) / 1e6  # the TSC counts 1 GHz, or nearly so
    assert found["clock_ns"] / 1e6 == pytest.approx(passed, rel=0.02)
    # The guest is stopped before it prints the last line. GDB lets go of it then: until it is killed it may print on.
    whole_lines = recorded.log[: recorded.log.rfind("\n") + 1]
    printed = [f"{line.subsystem}: {line.text}" for line in parse_messages(whole_lines).lines]
    messages, must = recorded.messages(), recorded.clock_lines()
    if messages[-1] in printed:
        printed = printed[: printed.index(messages[-1]) + 1]
    assert [line for line in printed if line in messages] in (messages, messages[:-1])
    assert {line for line in printed if line in must} <= set(messages)
    assert recorded.timeline["end_reason"] == "reached quality.changed:tsc"
