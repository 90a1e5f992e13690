# SPDX-License-Identifier: MIT
"""A boot recorded untouched by QEMU, then traced in its replay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Session, Transcript, run_gdb
from guest import machine, parse_messages

from clockscope._core import Trace

Gdb = Callable[..., Transcript]

HERE = machine()


def traced(path: Path) -> list[dict[str, Any]]:
    with Trace(str(path)) as trace:
        timeline = trace.timeline()
    assert timeline["complete"]
    events: list[dict[str, Any]] = timeline["events"]
    return events


def without_host(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what is the host's and not the guest's."""
    return {name: value for name, value in event.items() if name != "run_ns"}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Transcript]]:
    """One boot recorded, and its replay traced twice."""
    directory = tmp_path_factory.mktemp("replay")
    option = f"--replay={directory}/recording"
    transcripts = []
    for name in ("first", "second"):
        record = f"clock record --no-branches -o {directory}/{name}.trace --until exit"
        script = [f"file {HERE.vmlinux}", HERE.launch(directory / "serial.log", option), record]
        transcripts.append(run_gdb(script, directory))
        (directory / "serial.log.replay").rename(directory / f"{name}.serial")
    return directory, transcripts


def test_the_replay_prints_what_the_boot_printed(replayed: tuple[Path, list[Transcript]]) -> None:
    directory, (first, second) = replayed
    assert first.status == second.status == 0, first.text + second.text
    assert "Recording the boot, untouched" in first.text and "Replaying the boot recorded in" in second.text
    assert f"The replay writes {directory}/serial.log.replay" in first.text
    original = (directory / "serial.log").read_bytes()
    assert b"clockscope-guest available_clocksource: tsc hpet acpi_pm" in original
    assert (directory / "first.serial").read_bytes() == original == (directory / "second.serial").read_bytes()


def test_two_traces_of_one_replay_are_equal(replayed: tuple[Path, list[Transcript]]) -> None:
    directory, _ = replayed
    first, second = traced(directory / "first.trace"), traced(directory / "second.trace")
    assert [without_host(event) for event in first] == [without_host(event) for event in second]


def test_each_event_has_its_exact_time(replayed: tuple[Path, list[Transcript]]) -> None:
    directory, _ = replayed
    events = traced(directory / "first.trace")
    counts = [event["icount"] for event in events]
    assert counts == sorted(set(counts)) and counts[0] > 0
    assert all(event["guest_ns"] == event["icount"] << 7 for event in events)
    assert not any(event["tsc"] for event in events)  # a replay executes nothing of its own
    # The kernel's own clock, once it has one, agrees: the time from event to event is that between the lines.
    lines = {
        f"{line.subsystem}: {line.text}": line.seconds
        for line in parse_messages((directory / "serial.log").read_text()).lines
    }
    said = [
        (event["guest_ns"] / 1e9, lines[event["values"]["message"]]) for event in events if "message" in event["values"]
    ]
    late = [(ours, theirs) for ours, theirs in said if theirs > 0.5]
    assert len(late) > 3
    for (ours, theirs), (our_next, their_next) in zip(late, late[1:]):
        # As exactly as the guest has calibrated its TSC.
        assert our_next - ours == pytest.approx(their_next - theirs, rel=0.002, abs=0.002)


def test_ctrl_c_ends_the_recording_of_a_boot(gdb_session: Callable[..., Session], tmp_path: Path) -> None:
    session = gdb_session()
    session.command(f"file {HERE.vmlinux}")
    session.send(HERE.launch(tmp_path / "serial.log", f"--replay={tmp_path}/recording") + "\n")
    session.expect(r"^\d s, [0-9.]+ MB\x1b\[K\r")  # how far it is
    session.interrupt()
    assert "Your guest was ended, and nothing of its boot is kept." in session.prompt(limit=20)
    assert "no guest is attached" in session.command("clock status")
    assert not (tmp_path / "recording").exists()


def test_a_boot_that_takes_too_long(gdb: Gdb, tmp_path: Path) -> None:
    script = [f"file {HERE.vmlinux}", "set clockscope replay-seconds 1", HERE.launch(tmp_path / "s.log", "--replay")]
    result = gdb([*script, "clock status", "kill"])
    assert result.status == 0, result.text
    assert "Ended the boot after 1 s; `set clockscope replay-seconds` changes that." in result.text
