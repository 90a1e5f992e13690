# SPDX-License-Identifier: MIT
"""Ordinary debugging goes on during a recording, and what it records is what GDB itself would show."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdbrun import Transcript
from guest import Guest, Machine, machine, read_serial
from model import model

from clockscope._core import Trace

Gdb = Callable[..., Transcript]
Boot = Callable[..., Guest]

# On a recorded function, through the user's own breakpoints, watchpoints and steps.
DEBUGGING = [
    "hbreak tc_init",
    "continue",
    "bt",
    "finish",
    "stepi",
    "next",
    "delete",
    "watch lapic_per_second",
    "continue",
    "continue",
    "delete",
    "hbreak tsc_tc_init",
    "continue",
    "bt",
    "p tsc_freq != 0",
    "monitor info status",
    "info breakpoints",
]


def _said(text: str, begin: str) -> list[str]:
    """The lines between two marks, without what differs from boot to boot: values that were measured."""
    lines = text.split("\nEND\n")[0].split(begin, 1)[1].splitlines()
    return [re.sub(r"(value = |quality=|frequency=)\S+", r"\1N", line.rstrip()) for line in lines if line.strip()]


def test_debugging_is_as_without_a_recording(boot: Boot, gdb: Gdb, tmp_path: Path) -> None:
    netbsd = model()
    plain = boot(netbsd)
    setup = ["set osabi none", f"file {netbsd.vmlinux}"]
    expected = gdb([*setup, f"target remote {plain.socket}", "echo BEGIN\\n", *DEBUGGING, "echo END\\n"], plugin=False)
    recorded = boot(netbsd)
    trace = tmp_path / "debugged.trace"
    attach = [f"clock attach {recorded.socket}", f"clock record -o {trace}", "echo BEGIN\\n"]
    got = gdb([*setup, *attach, *DEBUGGING, "echo END\\n", "clock record --stop"])
    assert _said(got.text, "BEGIN\n") == _said(expected.text, "BEGIN\n")
    with Trace(str(trace)) as file:
        clocks = [event["clock"] for event in file.timeline()["events"] if event["what"] == "clock.registered"]
    assert clocks[:2] == ["i8254", "lapic"]  # the user's breakpoint stood on what was recorded


def _frames(text: str) -> list[tuple[str, str]]:
    """The function and the source line of each frame of a backtrace, as `bt` prints it."""
    frames = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S+) \(.*\)(?: at (\S+))?$", text, re.MULTILINE)
    return [(function, source.rpartition("/")[2]) for function, source in frames]


def _recorded(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(frame["function"], (frame["source"] or "").rpartition("/")[2]) for frame in event["backtrace"]]


def _backtraces_agree(booted: Machine, boot: Boot, gdb: Gdb, tmp_path: Path) -> int:
    """Hold the first event at each place against `bt` at a plain breakpoint there, on an untraced boot."""
    trace, guest = tmp_path / "events.trace", boot(booted)
    gdb(
        [
            f"file {booted.vmlinux}",
            f"clock attach {guest.socket}",
            f"clock record --no-branches -o {trace} --until exit",
        ]
    )
    with Trace(str(trace)) as file:
        events = file.timeline()["events"]
        places = {row["seq"]: row["address"] % (1 << 64) for row in file.rows("SELECT seq, address FROM event")}
    first: dict[int, dict[str, Any]] = {}
    for event in events:
        first.setdefault(places[event["seq"]], event)
    plain = boot(booted)
    script = ["set osabi none", f"file {booted.vmlinux}", f"target remote {plain.socket}"]
    script += [f"thbreak *{place:#x}" for place in first]
    for _ in first:
        script += ["continue", 'printf "AT %lx\\n", $pc', "bt 32"]
    shown = gdb(script, plugin=False).text.split("AT ")[1:]
    agreed = 0
    for part in shown:
        place, _, text = part.partition("\n")
        assert _recorded(first[int(place, 16)]) == _frames(text)[:32], first[int(place, 16)]
        agreed += 1
    return agreed


def test_backtraces_equal_gdb_on_the_model(boot: Boot, gdb: Gdb, tmp_path: Path) -> None:
    assert _backtraces_agree(model(), boot, gdb, tmp_path) >= 6


def test_backtraces_equal_gdb_on_linux(boot: Boot, gdb: Gdb, tmp_path: Path) -> None:
    # A frequency that is given: otherwise it is luck, on a busy host, which way the calibration goes.
    assert _backtraces_agree(machine("tsc_early_khz=2100000"), boot, gdb, tmp_path) >= 8


def test_two_traces_of_one_replay_are_equal(gdb: Gdb, tmp_path: Path) -> None:
    netbsd, serial, record = model(options=()), tmp_path / "serial.log", tmp_path / "boot.rr"
    command = shlex.join(netbsd.command(serial))
    traces = []
    for name in ("a", "b"):
        trace = tmp_path / f"{name}.trace"
        launch = f"clock launch --replay={record} -- {command}"
        gdb([f"file {netbsd.vmlinux}", launch, f"clock record -o {trace} --until exit"])
        with Trace(str(trace)) as file:
            traces.append(file.timeline()["events"])
    exact = [[{**event, "run_ns": 0, "host_ns": 0} for event in events] for events in traces]
    assert json.dumps(exact[0]) == json.dumps(exact[1])
    assert len(traces[0]) > 8 and all(event["guest_ns"] is not None for event in traces[0])
    assert read_serial(serial) == read_serial(Path(f"{serial}.replay")) != ""
