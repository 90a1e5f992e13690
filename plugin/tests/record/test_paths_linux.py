# SPDX-License-Identifier: MIT
"""Paths of real kernels against QEMU's execution log: one boot recorded, replayed to be traced and to write the log.

`make -f setup.mk test` has two machines, `make -f setup.mk paths` (PATHS_ALL=1) all of them. The log tells each piece of
straight code; with PATHS_SINGLE=1 each instruction, which takes six times as long, and which
QEMU 7.2 does not always survive.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import execlog
import pytest
from guest import BOOT_LIMIT, Machine, machine
from traced import Hung, Recording, Traced, trace

from clockscope._core import Analyser
from clockscope.live.branches import Options
from clockscope.profiles import profile
from clockscope.profiles.profile import Branches

EVERY_INSTRUCTION = os.environ.get("PATHS_SINGLE") == "1"
EVERY_MACHINE = os.environ.get("PATHS_ALL") == "1"

# Without a first process the kernel panics, and the guest ends, as soon as its clocks are up.
SHORT = "rdinit=/none"
MACHINES = {
    "plain": machine(SHORT),
    "6.12": machine(SHORT, kernel="6.12"),
}
# A recorded boot and three replays each take minutes: they are `make -f setup.mk paths`.
MORE_MACHINES = {
    "xen": machine(xen=True),
    "no-hpet": machine(SHORT, "hpet=disable"),
    "tsc-reliable": machine(SHORT, "tsc=reliable"),
    "no-acpi": machine(SHORT, "acpi=off"),
    "5.10": machine(SHORT, kernel="5.10"),
    "7.2": machine(SHORT, kernel="7.2"),
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
    single: bool  # the log tells each instruction


@pytest.fixture(scope="module", params=[*MACHINES, *(MORE_MACHINES if EVERY_MACHINE else ())])
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return replay({**MACHINES, **MORE_MACHINES}[request.param], tmp_path_factory.mktemp("replayed"), EVERY_INSTRUCTION)


def everything() -> Branches:
    """All that is traced by default, all the time, also when the profile says that there is nothing to see."""
    return replace(profile.load("linux").branches, gates=(), within={})


def replay(booted: Machine, directory: Path, single: bool, again: int = 2) -> Replayed:
    """A recorded boot and its replays. By itself, without a debugger, QEMU 7.2 sometimes loses its way in a replay: it
    stands still, or in single steps says "Missing character write event in the replay log", at the same place each time.
    Then another boot is recorded."""
    directory.mkdir(exist_ok=True)
    recording = Recording(booted, directory)
    recording.record()
    branches = everything()
    affordable = replace(branches, functions=tuple(name for name in branches.functions if name not in POLLING))
    traces = []
    for name, functions, options in (("outside", branches, LIVE), ("inside", affordable, INSIDE)):
        (directory / name).mkdir()
        traces.append(trace(recording.replayed, directory / name, functions, options, replayed=True))
    log = directory / "exec.log"
    with traces[0].open() as opened:
        ranges = execlog.ranges(execlog.read_functions(opened))
    try:
        is_whole = recording.replay(log, *execlog.options(log, ranges, single=single)) == recording.serial
    except Hung:
        is_whole = False
    if not is_whole and again:
        return replay(booted, directory / "again", single, again - 1)
    assert is_whole
    return Replayed(recording, traces[0], traces[1], log, single)


def compare(traced: Traced, log: Path, single: bool) -> dict[str, execlog.Comparison]:
    assert {name: traced.statistics[name] for name in ("orphans", "mismatches")} == {"orphans": 0, "mismatches": 0}
    with traced.open() as opened:
        found = execlog.compare(opened, log, single=single)
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
    found = compare(replayed.inside, replayed.log, replayed.single)
    assert all(one.complete == one.invocations for one in found.values())


def test_windows_left_alone(replayed: Replayed) -> None:
    """What is called complete is what the log says; the log lies within what is shown of the rest."""
    found = compare(replayed.traced, replayed.log, replayed.single)
    assert any(one.invocations and not one.determined for one in found.values())
    with replayed.traced.open() as opened:
        assert opened.rows("SELECT seq FROM stop WHERE in_window") == []
        assert opened.rows("SELECT * FROM window_pass WHERE stops_inside > 0") == []
        stops = {row["address"] % (1 << 64) for row in opened.rows("SELECT DISTINCT address FROM stop")}
    assert not stops & in_windows(replayed.recording.machine)


def test_two_processors(tmp_path: Path) -> None:
    """QEMU replays one processor only: here a live boot writes the log while it is traced. What the relay executes in the
    guest's stead is not in the log, but what follows is."""
    branches, log = everything(), tmp_path / "exec.log"
    ranges = execlog.ranges_of(Analyser(str(machine().vmlinux)), branches.functions)
    booted = machine(SHORT, options=["-smp", "2", *execlog.options(log, ranges)])
    traced = trace(booted, tmp_path, branches, LIVE, limit=2 * BOOT_LIMIT)
    assert {name: traced.statistics[name] for name in ("orphans", "mismatches")} == {"orphans": 0, "mismatches": 0}
    with traced.open() as opened:
        probes = {row["address"] % (1 << 64) for row in opened.rows("SELECT address FROM probe")}
        found = execlog.compare(opened, log, probes)
        # Calls from within a timing window are left alone, which the note says.
        left = {row["name"] for row in opened.rows("SELECT name FROM function WHERE note LIKE '%not watched while%'")}
        cpus = {row["cpu"] for row in opened.rows("SELECT cpu FROM invocation")}
    wrong = [(one.function, text) for one in found for text in one.wrong]
    assert not [text for name, text in wrong if name not in left or not text.startswith("not recorded")]
    assert all(one.complete == one.invocations or not one.determined for one in found)
    assert sum(one.complete for one in found) > 20
    assert cpus == {0, 1}


def in_windows(booted: Machine) -> set[int]:
    """The addresses that analysis places in timing windows, the trace aside."""
    analyser = Analyser(str(booted.vmlinux))
    branches = profile.load("linux").branches
    references = [address for name in branches.references for address in analyser.find(name)]
    parts = [part for name in branches.functions for part in analyser.analyse(name, references=references)]
    instructions = [one for part in parts for block in part["blocks"] for one in block["instructions"]]
    return {one["address"] for one in instructions if one["in_window"]}
