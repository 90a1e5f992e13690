# SPDX-License-Identifier: MIT
"""Recorded boots of the model guests: the timeline is what the guest printed on its serial port."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Transcript
from guest import read_serial
from model import EXACT, Model, Said, model, parse_clocks, said_of_clocks
from recorded import check_log

from clockscope.model import diagnosing
from clockscope._core import Trace

SEED_BACKTRACES = {
    "i8254": ["tc_init", "startrtclock", "cpu_configure", "configure", "main"],
    "lapic": ["tc_init", "lapic_initclock", "initclocks", "configure2", "main"],
    "clockinterrupt": ["tc_init", "initclocks", "configure2", "main"],
    "TSC": ["tc_init", "tsc_tc_init", "cpu_boot_secondary_processors", "configure2", "main"],
}


@dataclass(frozen=True)
class Recorded:
    """One recorded boot: what the guest printed, and the timeline of it."""

    log: str
    timeline: dict[str, Any]
    imported: Path  # the trace made of the log alone

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.timeline["events"]
        return found

    def named(self, what: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["what"] == what]


Record = Callable[..., Recorded]


@pytest.fixture
def record(
    gdb: Callable[..., Transcript], program: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> Record:
    """record(machine): a boot as a user records it: `file`, `clock launch`, `clock record`."""

    def run(machine: Model, symbols: Path | None = None) -> Recorded:
        serial, trace = tmp_path / "serial.log", tmp_path / "boot.trace"
        gdb([f"file {symbols or machine.vmlinux}", machine.launch(serial), f"clock record --until exit -o {trace}"])
        done = program("timeline", "--format", "json", trace)
        assert done.returncode == 0, done.stderr
        return Recorded(read_serial(serial), json.loads(done.stdout), check_log(program, trace, serial))

    return run


def told_of_clocks(recorded: Recorded) -> list[Said]:
    """The timeline's events of the kinds that the guest prints."""
    found: list[Said] = []
    for event in recorded.events:
        what, clock, values = event["what"], event["clock"], event["values"]
        item: Said | None = None
        if what in ("clock.registered", "device.registered", "frequency.detected"):
            item = (what, clock, values["frequency_hz"])
        elif what in ("clock.selected", "device.selected"):
            item = (what, clock, None)
        elif what == "calibration.finished" and not (clock == "lapic" and "reference" in values):
            # FreeBSD's clockcalib() prints no number for the LAPIC; lapic_calibrate_timer() does.
            item = (what, clock, values["frequency_hz"])
        elif what == "calibration.refused" and "result_hz" in values:
            # The guest takes the number that was measured against dummy for a good one.
            item = ("calibration.finished", "LAPIC", values["result_hz"])
        # Told by CPUID, and taken over by the caller: one line, two events.
        if item is not None and item not in found[-1:]:
            found.append(item)
    return found


def check_told(recorded: Recorded) -> None:
    """Same kinds, clocks and numbers, in the same order; same qualities; the same clock in use at the end."""
    said = said_of_clocks(recorded.log)
    kinds = {what for what, _, _ in said}
    assert [item for item in told_of_clocks(recorded) if item[0] in kinds] == said
    clocks = parse_clocks(recorded.log)
    table = [clock for clock in recorded.timeline["clocks"] if clock["kind"] == "timecounter" and clock["registered"]]
    assert {clock["name"]: clock["quality"] for clock in table} == {
        name: quality for name, _, quality in clocks.registered
    }
    in_use = [clock["name"] for clock in table if clock["current"]]
    assert in_use == ([] if clocks.final == "dummy" else [clocks.final])
    assert recorded.timeline["complete"] is True


VARIANTS = {
    "netbsd": ["healthy", "not-invariant", "no-pit", "lapic-stopped", "kvm", "told", "smp"],
    "freebsd": ["healthy", "not-invariant", "no-pit", "lapic-stopped", "told", "dummy", "smp"],
}


@pytest.mark.parametrize(
    ("flavour", "variant"), [(flavour, variant) for flavour in VARIANTS for variant in VARIANTS[flavour]]
)
def test_timeline_is_what_the_guest_printed(flavour: str, variant: str, record: Record) -> None:
    recorded = record(model(flavour, variant))
    check_told(recorded)
    assert recorded.timeline["guest"]["os"] == flavour
    assert found_in_log(recorded) == IN_LOG.get((flavour, variant), set())


# What is found in logs alone. On most boots that is nothing, above all on those that are as they should be.
IN_LOG = {
    ("netbsd", "no-pit"): {"poor-clock"},
    ("freebsd", "lapic-stopped"): {"lapic-not-calibrated"},
    ("freebsd", "dummy"): {"calibration-against-dummy", "lapic-frequency-wrapped"},
}


def found_in_log(recorded: Recorded) -> set[str]:
    with Trace(str(recorded.imported)) as trace:
        return {finding["rule"] for finding in diagnosing.diagnose(trace, diagnosing.load())}


@pytest.mark.parametrize("flavour", VARIANTS)
def test_compiled_by_clang(flavour: str, record: Record) -> None:
    check_told(record(model(flavour, compiler="clang")))


@pytest.mark.parametrize("flavour", VARIANTS)
def test_without_dwarf(flavour: str, record: Record, tmp_path: Path) -> None:
    """Symbols alone: the same clocks, by the calling convention and the known offsets."""
    bare = tmp_path / "bare.elf"
    subprocess.run(["objcopy", "--strip-debug", model(flavour).vmlinux, bare], check=True)
    recorded = record(model(flavour), bare)
    clocks = parse_clocks(recorded.log)
    registered = [
        (event["clock"], event["values"]["frequency_hz"], event["values"]["quality"])
        for event in recorded.named("clock.registered")
    ]
    assert registered == clocks.registered
    assert [event["clock"] for event in recorded.named("clock.selected")] == clocks.selected


# ---------------------------------------------------------------- the first investigation's questions


def test_order_and_backtraces(record: Record) -> None:
    recorded = record(model(options=(*EXACT, "-M", "microvm")))
    found = {
        event["clock"]: [frame["function"] for frame in event["backtrace"]]
        for event in recorded.named("clock.registered")
    }
    assert list(found) == list(SEED_BACKTRACES)
    assert {clock: frames[: len(SEED_BACKTRACES[clock])] for clock, frames in found.items()} == SEED_BACKTRACES


@pytest.mark.parametrize(
    ("variant", "calibrated"),
    [
        ("healthy", ["yes, once", "yes, twice"]),
        ("lapic-stopped", ["no"]),
        ("told", ["no, CPUID told the frequency"]),
    ],
)
def test_was_the_lapic_timer_calibrated(variant: str, calibrated: list[str], record: Record) -> None:
    events = record(model("netbsd", variant)).events
    assert [event["values"]["calibrated"] for event in events if "calibrated" in event["values"]] == calibrated


def test_never_called(record: Record) -> None:
    never = {entry["rule"] for entry in record(model()).timeline["never_reached"]}
    assert "tsc-frequency-cpuid" in never
    assert "timecounter-registered" not in never


@pytest.mark.parametrize(
    ("variant", "words", "clock", "quality", "reason"),
    [
        ("not-invariant", [], "TSC", -100, "does not promise an invariant TSC"),
        ("smp", ["tsc_drift=3000"], "TSC", -100, "drift apart"),
        ("kvm", [], "lapic", -100, "lapic_broken_periodic"),
        ("healthy", [], "lapic", -100, "each processor has a counter of its own"),
    ],
)
def test_why_a_quality_was_lowered(
    variant: str, words: list[str], clock: str, quality: int, reason: str, record: Record
) -> None:
    changes = record(model("netbsd", variant, *words)).named("quality.changed")
    found = {event["clock"]: event["values"] for event in changes}
    assert found[clock]["quality"] == quality
    assert reason in found[clock]["reason"]


def test_a_counter_that_wraps_too_fast(record: Record) -> None:
    recorded = record(model("freebsd", "healthy", "hz=10"))
    (change,) = recorded.named("quality.changed")
    assert (change["clock"], change["values"]["before"], change["values"]["quality"]) == ("i8254", 0, -2000)
    check_told(recorded)


# ---------------------------------------------------------------- the failure behind it


def test_the_calibration_that_blames_the_wrong_clock(record: Record) -> None:
    recorded = record(model("freebsd", "dummy"))
    assert "Statistical lapic calibration failed!" in recorded.log
    refused = {event["clock"]: event["values"] for event in recorded.named("calibration.refused")}
    assert refused["lapic"]["reference"] == "dummy"
    assert {entry["rule"] for entry in recorded.timeline["never_reached"]} >= {"timecounter-registered"}
    assert recorded.named("clock.registered") == []


def test_the_same_message_with_another_cause(record: Record) -> None:
    recorded = record(model("freebsd", "lapic-stopped"))
    assert "Statistical lapic calibration failed!" in recorded.log
    finished = [event["values"] for event in recorded.named("calibration.finished") if event["clock"] == "lapic"]
    assert [(values["reference"], values["frequency_hz"]) for values in finished] == [("TSC", 0)]


def test_every_processor_starts_its_timer(record: Record) -> None:
    recorded = record(model("netbsd", "smp"))
    assert {event["cpu"] for event in recorded.named("device.selected")} == {0, 1}


@pytest.mark.parametrize("flavour", ["netbsd", "freebsd"])
def test_a_boot_differs_from_its_own_log_in_nothing(
    flavour: str, record: Record, program: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """The banner in memory is the beginning of the printed one; what is inferred, and of which clocks a line can be, is known."""
    log = record(model(flavour)).imported
    for files in ((log.with_name("boot.trace"), log), (log, log.with_name("boot.trace"))):
        done = program("diff", *files)
        assert done.returncode == 0, done.stdout
