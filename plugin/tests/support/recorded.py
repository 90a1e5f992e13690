# SPDX-License-Identifier: MIT
"""Boots recorded through GDB: one run a machine and a run of pytest, whichever test asks first."""

import fcntl
import functools
import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gdbrun import run_gdb
from guest import ROOT, Machine, parse_messages, read_serial

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


def check_log(program: Callable[..., "subprocess.CompletedProcess[str]"], trace: Path, log: Path) -> Path:
    """Import a boot's log: the same clocks as in the recording of the same boot. The imported trace."""
    made = log.with_suffix(".imported.trace")
    done = program("import", "dmesg", log, "-o", made)
    assert done.returncode == 0, done.stderr
    told, recorded = (_clocks(program, path) for path in (made, trace))
    assert told.keys() == recorded.keys()
    for name, clock in told.items():
        assert clock["current"] == recorded[name]["current"], name
        if clock["frequency_hz"] is not None:
            assert clock["frequency_hz"] == pytest.approx(recorded[name]["frequency_hz"], rel=1e-6), name
        if clock["quality"] is not None:
            assert clock["quality"] == recorded[name]["quality"], name
    return made


def _clocks(program: Callable[..., "subprocess.CompletedProcess[str]"], trace: Path) -> dict[str, dict[str, Any]]:
    """The clocks that were ever registered or in use, but no event devices: Linux does not print those."""
    content = json.loads(program("timeline", "--format", "json", trace).stdout)
    jsonschema.validate(content, json.loads((ROOT / "schemas/timeline.schema.json").read_text()))
    known = (clock for clock in content["clocks"] if clock["registered"] or clock["selected"])
    return {clock["name"]: clock for clock in known if clock["kind"] != "event device"}
