# SPDX-License-Identifier: MIT
"""The model guests of examples/model: how they are booted, and what they print of their clocks."""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guest import GUESTS, ROOT, Machine, read_serial

MODELS = GUESTS / "model"
LIMIT = 60.0

# The virtual clock counts instructions: every number that a boot prints is the same each time.
EXACT = ("-icount", "shift=7")


@dataclass(frozen=True)
class Model(Machine):
    """What to boot: a flavour and a variant of examples/model/qemu-command; `parameters` are the kernel's words."""

    flavour: str = "netbsd"
    variant: str = "healthy"
    compiler: str = "gcc"

    @property
    def directory(self) -> Path:
        return MODELS / "clang" if self.compiler == "clang" else MODELS

    @property
    def vmlinux(self) -> Path:
        path = self.directory / f"{self.flavour}.elf"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run `make -f setup.mk models models-clang`")
        return path

    def command(self, serial: Path, *more: str) -> list[str]:
        words = [self.flavour, self.variant, *self.parameters, "--", *self.options, *more]
        line = subprocess.run(
            [ROOT / "examples/model/qemu-command", *words],
            env={**os.environ, "MODELS": str(self.directory), "SERIAL": f"file:{serial}"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return shlex.split(line)


def model(
    flavour: str = "netbsd",
    variant: str = "healthy",
    *words: str,
    options: Sequence[str] = EXACT,
    compiler: str = "gcc",
) -> Model:
    """`model("freebsd", "smp", "workload=all")`, for brevity in tests."""
    return Model(parameters=words, options=tuple(options), flavour=flavour, variant=variant, compiler=compiler)


@dataclass(frozen=True)
class Boot:
    """An untouched boot: what was printed, and how QEMU ended."""

    log: str
    status: int

    def has(self, line: str) -> bool:
        return line in self.log.splitlines()


def boot_model(machine: Model, directory: Path) -> Boot:
    """Boot without a debugger until QEMU ends by itself."""
    serial = directory / "serial.log"
    process = subprocess.run(
        ["timeout", "--kill-after=5", str(LIMIT), *machine.command(serial)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return Boot(read_serial(serial), process.returncode)


@dataclass
class Clocks:
    """What a model printed of its clocks, in order."""

    registered: list[tuple[str, int, int]] = field(default_factory=list)  # name, Hz, quality
    selected: list[str] = field(default_factory=list)
    devices: list[tuple[str, int, int]] = field(default_factory=list)  # name, Hz, quality
    device: str | None = None
    calibrated: list[tuple[str, int]] = field(default_factory=list)  # how, Hz
    final: str = ""


_REGISTERED = re.compile(
    r'^(?:timecounter: )?Timecounter "([^"]+)" frequency (\d+) Hz (?:quality (-?\d+)|-- Insufficient hz)'
)
_SELECTED = re.compile(r'^(?:timecounter: selected timecounter|model: timecounter is now) "([^"]+)"')
_DEVICE = re.compile(r'^Event timer "([^"]+)" frequency (\d+) Hz quality (-?\d+)')
_DEVICE_SELECTED = re.compile(r'^model: event timer is "([^"]+)"')
_CALIBRATIONS: Sequence[re.Pattern[str]] = (
    re.compile(r"^cpu0: local timer: (.*): (\d+) Hz$"),
    re.compile(r"^lapic: (Divisor \d+), Frequency (\d+) Hz$"),
    re.compile(r"^(TSC) clock: (\d+) Hz$"),
)
_FINAL = re.compile(r'^model: timecounter "([^"]+)" at the end$')


def parse_clocks(log: str) -> Clocks:
    """What a serial log says of the guest's clocks."""
    found = Clocks()
    for line in log.splitlines():
        if match := _REGISTERED.match(line):
            found.registered.append((match[1], int(match[2]), int(match[3] or -2000)))
        elif match := _SELECTED.match(line):
            found.selected.append(match[1])
        elif match := _DEVICE.match(line):
            found.devices.append((match[1], int(match[2]), int(match[3])))
        elif match := _DEVICE_SELECTED.match(line):
            found.device = match[1]
        elif match := _FINAL.match(line):
            found.final = match[1]
        else:
            _take_calibration(found, line)
    return found


def _take_calibration(found: Clocks, line: str) -> None:
    for pattern in _CALIBRATIONS:
        if match := pattern.match(line):
            found.calibrated.append((match[1], int(match[2])))


# What a line says, in the words of a timeline: kind of event, clock, Hz (None where the line has no number).
Said = tuple[str, str, int | None]

_LINES: Sequence[tuple[re.Pattern[str], str, str]] = (
    (re.compile(r'Timecounter "(?P<clock>[^"]+)" frequency (?P<hz>\d+) Hz'), "clock.registered", ""),
    (re.compile(r'selected timecounter "(?P<clock>[^"]+)"'), "clock.selected", ""),
    (re.compile(r'model: timecounter is now "(?P<clock>[^"]+)"'), "clock.selected", ""),
    (re.compile(r'^Event timer "(?P<clock>[^"]+)" frequency (?P<hz>\d+) Hz'), "device.registered", ""),
    (re.compile(r'^model: event timer is "(?P<clock>[^"]+)"'), "device.selected", ""),
    (re.compile(r"^cpu0: TSC freq \w+ (?P<hz>\d+) Hz"), "frequency.detected", "TSC"),
    (re.compile(r"^Early TSC frequency (?P<hz>\d+) Hz"), "frequency.detected", "TSC"),
    (re.compile(r"^cpu0: local timer: \w+ pass.*: (?P<hz>[1-9]\d*) Hz"), "calibration.finished", "lapic"),
    (re.compile(r"^cpu0: local timer: not calibrated.*: (?P<hz>\d+) Hz"), "frequency.detected", "lapic"),
    (re.compile(r"^TSC clock: (?P<hz>\d+) Hz"), "calibration.finished", "TSC"),
    (re.compile(r"^lapic: Divisor \d+, Frequency (?P<hz>[1-9]\d*) Hz"), "calibration.finished", "LAPIC"),
)


def said_of_clocks(log: str) -> list[Said]:
    """What a serial log says of the guest's clocks, as the events that a timeline must have, in order."""
    found: list[Said] = []
    for line in log.splitlines():
        for pattern, what, clock in _LINES:
            if match := pattern.search(line):
                hertz = match.groupdict().get("hz")
                found.append((what, clock or match["clock"], int(hertz) if hertz else None))
    return found


def calibrated(log: str) -> dict[str, int]:
    """What a model guest printed of the frequencies that it had measured: Hz, by clock and way of measuring."""
    found = {}
    for pattern in (*_CALIBRATIONS, re.compile(r"^cpu0: (TSC freq DELAY) (\d+) Hz$")):
        for match in filter(None, map(pattern.match, log.splitlines())):
            found[match[1]] = int(match[2])
    return found
