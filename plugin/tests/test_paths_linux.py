# SPDX-License-Identifier: MIT
"""Paths of real kernels against QEMU's execution log: one boot recorded, replayed to be traced and to write the log.

By default three machines; PATHS_ALL=1 adds the others, and logs each instruction, not each piece of straight code.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import execlog
import pytest
from guest import Machine, machine
from traced import Recording, Traced, trace

from clockscope._core import Analyser
from clockscope.branches import Options
from clockscope.guests import profile

ALL = os.environ.get("PATHS_ALL") == "1"

# Without a first process the kernel panics, and the guest ends, as soon as its clocks are up.
SHORT = "rdinit=/none"
MACHINES = {
    "plain": machine(SHORT),
    "6.12": machine(SHORT, kernel="6.12"),
    "xen": machine(xen=True),
    "no-hpet": machine(SHORT, "hpet=disable"),
    "tsc-reliable": machine(SHORT, "tsc=reliable"),
    "no-acpi": machine(SHORT, "acpi=off"),
}

# They poll a counter so often that a stop at each round takes minutes.
POLLING = {
    "native_calibrate_cpu_early",
    "native_calibrate_cpu",
    "quick_pit_calibrate",
    "pit_hpet_ptimer_calibrate_cpu",
    "pit_calibrate_tsc",
    "calibrate_APIC_clock",
    "setup_boot_APIC_clock",
}
LIVE = Options(virtual=True)
INSIDE = Options(replay=True, intrusive=True, virtual=True)


@dataclass(frozen=True)
class Replayed:
    recording: Recording
    traced: Traced  # windows left alone
    inside: Traced  # windows included
    log: Path


@pytest.fixture(scope="module", params=MACHINES)
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return replay(MACHINES[request.param], tmp_path_factory.mktemp("replayed"))


def replay(booted: Machine, directory: Path) -> Replayed:
    recording = Recording(booted, directory)
    recording.record()
    # All the time, also when the profile says that there is nothing to see.
    branches = replace(profile.load("linux").branches, gates=(), within={})
    affordable = replace(branches, functions=tuple(name for name in branches.functions if name not in POLLING))
    traces = []
    for name, functions, options in (("outside", branches, LIVE), ("inside", affordable, INSIDE)):
        (directory / name).mkdir()
        traces.append(trace(recording.replayed, directory / name, functions, options, replayed=True))
    log = directory / "exec.log"
    with traces[0].open() as opened:
        ranges = execlog.ranges(execlog.read_functions(opened))
    assert recording.replay(*execlog.options(log, ranges, single=ALL)) == recording.serial
    return Replayed(recording, traces[0], traces[1], log)


def compare(traced: Traced, log: Path) -> dict[str, execlog.Comparison]:
    assert {name: traced.statistics[name] for name in ("orphans", "mismatches")} == {"orphans": 0, "mismatches": 0}
    with traced.open() as opened:
        found = execlog.compare(opened, log, single=ALL)
    assert not [f"{one.function}: {wrong}" for one in found for wrong in one.wrong]
    assert sum(one.invocations for one in found) > 20
    for one in found:
        assert one.complete == one.invocations or not one.determined, one.function
    return {one.function: one for one in found}


def test_the_guest_does_not_notice(replayed: Replayed) -> None:
    assert b"clocksource" in replayed.recording.serial
    assert replayed.traced.serial == replayed.recording.serial
    assert replayed.inside.serial == replayed.recording.serial


def test_windows_included(replayed: Replayed) -> None:
    """Every invocation is known, and is what the log says."""
    found = compare(replayed.inside, replayed.log)
    assert all(one.complete == one.invocations for one in found.values())


def test_windows_left_alone(replayed: Replayed) -> None:
    """What is called complete is what the log says; the log lies within what is shown of the rest."""
    found = compare(replayed.traced, replayed.log)
    assert any(one.invocations and not one.determined for one in found.values())
    with replayed.traced.open() as opened:
        assert opened.rows("SELECT seq FROM stop WHERE in_window") == []
        assert opened.rows("SELECT * FROM window_pass WHERE stops_inside > 0") == []
        stops = {row["address"] % (1 << 64) for row in opened.rows("SELECT DISTINCT address FROM stop")}
    assert not stops & in_windows(replayed.recording.machine)


def in_windows(booted: Machine) -> set[int]:
    """The addresses that analysis places in timing windows, the trace aside."""
    analyser = Analyser(str(booted.vmlinux))
    branches = profile.load("linux").branches
    references = [address for name in branches.references for address in analyser.find(name)]
    parts = [part for name in branches.functions for part in analyser.analyse(name, references=references)]
    instructions = [one for part in parts for block in part["blocks"] for one in block["instructions"]]
    return {one["address"] for one in instructions if one["in_window"]}
