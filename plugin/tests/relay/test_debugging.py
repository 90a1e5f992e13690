# SPDX-License-Identifier: MIT
"""Ordinary debugging goes on during a recording: the same commands print the same as in plain GDB."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Session, Transcript
from guest import DETERMINISTIC, Guest, machine, parse_messages

from clockscope._core import Trace

Gdb = Callable[..., Transcript]

# Repeatable to the instruction as long as nothing but the user's own commands stops the guest.
HERE = machine(options=DETERMINISTIC)

# On recorded addresses, at their functions, and elsewhere; hardware, as early boot wants them.
SCRIPT = [
    "set print frame-arguments none",
    "hbreak *clockevents_register_device",  # recorded, the very address
    "hbreak tick_setup_device",
    "info breakpoints",
    "continue",
    "bt 4",
    "print dev->name",
    "stepi",
    "x/i $pc",
    "next",
    "info line",
    "continue",
    "print newdev->name",
    "finish",
    "delete",
    "hbreak timekeeping_notify",
    "continue",
    "delete",
    "print curr_clocksource->name",
    "watch curr_clocksource",
    "continue",
    "bt 2",
    "print curr_clocksource->name",
    "delete",
    "thbreak init_tsc_clocksource",
    "continue",
    "nexti 3",
    "info registers rip",
    "tbreak tsc_refine_calibration_work",
    "continue",
    "until",
    "monitor info status",
    "info threads",
]

# What clockscope says beside GDB.
OWN = re.compile(r"^(Attached to|Recording to|Recorded \d+ events|Your guest )")


def plain(text: str) -> str:
    """A transcript without clockscope's own lines."""
    return "\n".join(line for line in text.splitlines() if not OWN.match(line))


def test_transcripts_equal_plain_gdb(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    untraced, traced, trace = boot(HERE), boot(HERE), tmp_path / "boot.trace"
    load = f"file {HERE.vmlinux}"
    expected = gdb([load, f"target remote {untraced.socket}", *SCRIPT, "detach"], plugin=False)
    record = f"clock record --no-branches -o {trace}"
    found = gdb([load, f"clock attach {traced.socket}", record, *SCRIPT, "clock record --stop", "detach"])
    assert expected.status == found.status == 0, found.text
    assert plain(found.text).splitlines() == plain(expected.text).splitlines()
    with Trace(str(trace)) as opened:
        timeline = opened.timeline()
    # What the user stopped at was recorded all the same, and once.
    whats = [(event["what"], event["clock"]) for event in timeline["events"]]
    assert whats.count(("device.registered", "hpet")) == whats.count(("device.selected", "hpet")) == 1
    assert whats.count(("clock.selected", "tsc-early")) == 1
    assert whats.count(("calibration.started", "tsc")) == 1
    assert timeline["end_reason"] == "ended by `clock record --stop`" and not timeline["complete"]  # in mid-boot
    for guest in (untraced, traced):
        assert guest.wait() == 0
        assert parse_messages(guest.log()).current == "tsc"


def test_ctrl_c_and_on(gdb_session: Callable[..., Session], boot: Callable[..., Guest], tmp_path: Path) -> None:
    guest, trace = boot(), tmp_path / "boot.trace"
    session = gdb_session()
    session.command(f"file {guest.machine.vmlinux}")
    session.command(f"clock attach {guest.socket}")
    session.send(f"clock record --no-branches -o {trace} --until exit\n")
    session.expect("until exit")
    while "clocksource: hpet" not in guest.log():
        assert guest.process.poll() is None
    session.interrupt()
    stopped = session.prompt()
    # Where it came while an event was being read, the guest stays there instead.
    assert "Program received signal SIGINT, Interrupt." in stopped or "Your guest stopped before" in stopped
    assert "Your guest stopped before exit; the recording goes on." in stopped
    assert "events so far" in session.command("clock status")
    ended = session.command("continue")
    assert "complete: the guest ended" in ended and "Your guest is gone: the guest ended." in ended
    said = parse_messages(guest.log())
    with Trace(str(trace)) as opened:
        timeline = opened.timeline()
    assert [event["clock"] for event in timeline["events"] if event["what"] == "clock.selected"] == said.switched
    assert [event["clock"] for event in timeline["events"] if event["what"] == "clock.registered"] == [
        clock.name for clock in said.registered
    ]


def test_idle_ends_a_recording(gdb: Gdb, tmp_path: Path) -> None:
    """Nothing happens for a second while the guest's first process sleeps."""
    here, trace = machine(), tmp_path / "boot.trace"
    script = [f"file {here.vmlinux}", here.launch(tmp_path / "serial.log"), "set clockscope idle-seconds 1"]
    result = gdb([*script, f"clock record --no-branches -o {trace} --until idle", "print $_siginfo", "kill"])
    assert "complete: no event for 1 s" in result.text


@pytest.mark.parametrize("option", ["--functions 'tsc_*,pvclock_*'"])
def test_functions_are_counted(gdb: Gdb, tmp_path: Path, option: str) -> None:
    here, trace = machine("rdinit=/none"), tmp_path / "boot.trace"
    script = [f"file {here.vmlinux}", here.launch(tmp_path / "serial.log")]
    result = gdb([*script, f"clock record --no-branches -o {trace} --until exit {option}"])
    assert result.status == 0, result.text
    with Trace(str(trace)) as opened:
        counters = {counter["function"]: counter["hits"] for counter in opened.timeline()["counters"]}
    assert counters["tsc_early_init"] == counters["tsc_init"] == 1
    assert counters["tsc_refine_calibration_work"] == 2
    assert counters["pvclock_clocksource_read"] == 0
