# SPDX-License-Identifier: MIT
"""Boots recorded through GDB: one run a machine and a run of pytest, whichever test asks first."""

import fcntl
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbrun import run_gdb
from guest import Machine, parse_messages, read_serial

from clockscope._core import Trace

_DONE = "done"


@dataclass(frozen=True)
class Recorded:
    """What a recorded boot left behind."""

    directory: Path
    transcript: str

    @property
    def trace(self) -> Path:
        return self.directory / "boot.trace"

    @functools.cached_property
    def log(self) -> str:
        return read_serial(self.directory / "serial.log")

    @functools.cached_property
    def timeline(self) -> dict[str, Any]:
        with Trace(str(self.trace)) as trace:
            return trace.timeline()

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.timeline["events"]
        return found

    def messages(self) -> list[str]:
        """The kernel's log lines that became events."""
        return [str(event["values"]["message"]) for event in self.events if "message" in event["values"]]

    def clock_lines(self) -> list[str]:
        """The lines of the serial log that must be events: registrations, switches, and all of tsc.c's."""
        return [
            f"{line.subsystem}: {line.text}"
            for line in parse_messages(self.log).clock_lines
            if line.subsystem == "tsc" or ": mask: " in line.text or line.text.startswith("Switched to ")
        ]


def record(machine: Machine, directory: Path, *launch_options: str, until: str = "exit") -> Recorded:
    """Boot a machine under GDB and record its events."""
    script = [
        f"file {machine.vmlinux}",
        machine.launch(directory / "serial.log", *launch_options),
        f"clock record -o {directory}/boot.trace --until {until} --no-branches",
    ]
    result = run_gdb(script, directory)
    assert result.status == 0, result.text
    return Recorded(directory, result.text)


def cached_record(machine: Machine, cache: Path) -> Recorded:
    """The recording of a machine's boot, made once per `cache`."""
    key = hashlib.sha256(repr(machine).encode()).hexdigest()[:16]
    directory = cache / f"record-{key}"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / _DONE
        if not done.exists():
            done.write_text(record(machine, directory).transcript)
    return Recorded(directory, done.read_text())
