# SPDX-License-Identifier: MIT
"""A boot recorded untouched by QEMU, then traced in its replay."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Session, Transcript, run_gdb
from guest import machine, parse_messages
from model import model

from clockscope._core import Trace
from clockscope.live.guest_process import free_port

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


# The guest's time where its init begins, and where that has slept and restarts the machine.
CLOCK = """python
from clockscope.live.gdb_session import here
from clockscope.live.replay_clock import ReplayClock
relay = here().connection.relay
replay_clock = ReplayClock(relay.monitor, 7)
end"""
TELL = "python print('the clock says', replay_clock.ns(relay.instructions()), relay.instructions() << 7)"
STOPS = (*CLOCK.splitlines(), "thbreak run_init_process", "thbreak __do_sys_reboot")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Transcript]]:
    """One boot recorded, and its replay traced twice."""
    directory = tmp_path_factory.mktemp("replay")
    option = f"--replay={directory}/recording"
    transcripts = []
    for name in ("first", "second"):
        record = f"clock record --no-branches -o {directory}/{name}.trace --until exit"
        script = [f"file {HERE.vmlinux}", HERE.launch(directory / "serial.log", option)]
        script += [record] if name == "first" else [*STOPS, record, TELL, "continue", TELL, "continue"]
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
    idled = [event["guest_ns"] - (event["icount"] << 7) for event in events]
    assert idled[0] == 0 and idled == sorted(idled)
    assert not any(event["tsc"] for event in events)  # a replay executes nothing of its own
    # The kernel's own clock agrees once it goes by one, and no longer by the interrupts that it counts: the time from event to
    # event is that between the lines.
    lines = {
        f"{line.subsystem}: {line.text}": line.seconds
        for line in parse_messages((directory / "serial.log").read_text()).lines
    }
    said = [
        (event["guest_ns"] / 1e9, lines[event["values"]["message"]]) for event in events if "message" in event["values"]
    ]
    begun = lines["clocksource: Switched to clocksource tsc-early"]
    late = [(ours, theirs) for ours, theirs in said if theirs >= begun]
    assert len(late) > 3
    for (ours, theirs), (our_next, their_next) in zip(late, late[1:]):
        # As exactly as the guest has calibrated its TSC.
        assert our_next - ours == pytest.approx(their_next - theirs, rel=0.002, abs=0.002)


def test_time_goes_on_while_the_guest_sleeps(replayed: tuple[Path, list[Transcript]]) -> None:
    """Of which instructions say nothing: the demo's init sleeps for three seconds."""
    directory, (_, second) = replayed
    (begin, executed), (end, executed_then) = (
        map(int, pair) for pair in re.findall(r"^the clock says (\d+) (\d+)$", second.text, re.MULTILINE)
    )
    log = (directory / "serial.log").read_text()
    stamps = [
        float(stamp)
        for line in ("Run /init as init process", "ACPI: PM: Preparing to enter system sleep state")
        for stamp in re.findall(rf"^\[ *([\d.]+)\] {line}", log, re.MULTILINE)
    ]
    assert (end - begin) / 1e9 == pytest.approx(stamps[1] - stamps[0], abs=0.5)
    assert (end - begin) - (executed_then - executed) > 2.5e9


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
    script = [f"file {HERE.vmlinux}", "set clockscope replay-seconds 5", HERE.launch(tmp_path / "s.log", "--replay")]
    result = gdb([*script, "clock status", "kill"])
    assert result.status == 0, result.text
    assert "Ended the boot after 5 s; `set clockscope replay-seconds` changes that." in result.text


def test_a_boot_that_never_began(gdb: Gdb, tmp_path: Path) -> None:
    """On a busy host QEMU may not have come to its guest by then: here it is one that sleeps."""
    slow = tmp_path / "qemu-system-x86_64"
    slow.write_text("#!/bin/sh\nexec sleep 100\n")
    slow.chmod(0o755)
    launch = HERE.launch(tmp_path / "s.log", "--replay").replace("qemu-system-x86_64", str(slow), 1)
    text = gdb(["set clockscope replay-seconds 1", f"file {HERE.vmlinux}", launch]).text
    assert "qemu-system-x86_64 had recorded nothing after 1 s, so there is nothing to replay" in text, text


# ---------------------------------------------------------------- started by hand

MODEL = model(options=())
SHIFT = 6  # none that clockscope would take by itself


def by_hand(directory: Path, mode: str, *more: str) -> "subprocess.Popen[bytes]":
    """QEMU as a user starts it to record, or to replay, the model's boot."""
    icount = ["-icount", f"shift={SHIFT},rr={mode},rrfile={directory}/boot.rr"]
    command = MODEL.command(directory / f"{mode}.log")
    return subprocess.Popen(["timeout", "--kill-after=5", "60", *command, *icount, *more], stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a boot that QEMU recorded, and can replay: sometimes it cannot, without any debugger."""
    directory = tmp_path_factory.mktemp("by-hand")
    for _ in range(5):
        assert by_hand(directory, "record").wait() == 0
        replay = by_hand(directory, "replay")
        try:
            replay.wait(20)
        except subprocess.TimeoutExpired:
            replay.kill()
            replay.wait()
        if (directory / "replay.log").read_bytes() == (directory / "record.log").read_bytes():
            return directory
    raise AssertionError("QEMU replays none of five recordings of its own")


@contextmanager
def waiting(directory: Path, mode: str, stub: str, socket: Path | None = None) -> Iterator[None]:
    """It waits for a debugger."""
    process = by_hand(directory, mode, "-S", "-gdb", stub)
    try:
        while socket is not None and not socket.exists() and process.poll() is None:
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def test_a_replay_that_was_started_by_hand(recorded: Path, gdb: Gdb) -> None:
    """As one of `clock launch --replay`: to its end, with exact times; nothing is borrowed or changed."""
    socket, trace = recorded / "s", recorded / "hand.trace"
    with waiting(recorded, "replay", f"unix:{socket},server=on,wait=off", socket):
        result = gdb([
            f"file {MODEL.vmlinux}", f"clock attach {socket}",
            f"clock record -o {trace} --until exit",
        ])  # fmt: skip
    assert "Your guest is the replay of a recorded boot" in result.text and "not known" not in result.text
    assert f"events to {trace}, complete: the guest ended" in result.text, result.text
    assert (recorded / "replay.log").read_bytes() == (recorded / "record.log").read_bytes()
    events = traced(trace)
    counts = [event["icount"] for event in events]
    assert len(counts) > 10 and counts == sorted(counts)  # two events may be of one place
    assert all(event["guest_ns"] == event["icount"] << SHIFT and event["tsc"] is None for event in events)
    with Trace(str(trace)) as opened:
        meta = opened.meta()
        assert meta["stub.mode"] == "replay" and "told.begin" not in meta and "stub.tsc_while_stopped" not in meta


def test_it_cannot_be_changed_by_a_recording(recorded: Path, gdb: Gdb) -> None:
    """Over TCP, where the process is found as well."""
    port = free_port()
    with waiting(recorded, "replay", f"tcp:127.0.0.1:{port}"):
        result = gdb([
            f"file {MODEL.vmlinux}", "python import time; time.sleep(1)",
            f"clock attach 127.0.0.1:{port}", "clock record --return delay=0 --until exit",
        ])  # fmt: skip
    assert "Your guest is the replay of a recorded boot" in result.text and "not known" not in result.text
    assert "--return: a replay cannot be changed; start the guest itself, not its replay" in result.text


def test_a_guest_that_is_being_recorded_is_no_replay(recorded: Path, gdb: Gdb, tmp_path: Path) -> None:
    socket, trace = tmp_path / "s", tmp_path / "boot.trace"
    with waiting(tmp_path, "record", f"unix:{socket},server=on,wait=off", socket):
        result = gdb([
            f"file {MODEL.vmlinux}", f"clock attach {socket}",
            f"clock record -o {trace} --no-branches --until clock.registered:TSC", "kill",
        ])  # fmt: skip
    assert "QEMU records your guest: what a debugger changes in it" in result.text, result.text
    with Trace(str(trace)) as opened:
        assert opened.meta()["stub.mode"] == "live"
        assert all(event["icount"] is None for event in opened.timeline()["events"])
