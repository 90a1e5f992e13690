# SPDX-License-Identifier: MIT
"""Guests to test with: how they are booted, their serial logs, and what their kernels say of their clocks."""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[3]
GUESTS = ROOT / "build" / "guests"

# An untouched boot takes some five seconds on an idle machine; tests share theirs.
BOOT_LIMIT = 240.0

# With these a boot is repeatable to the byte: the virtual clock counts instructions, and nothing is random.
DETERMINISTIC = (
    *("-icount", "shift=7,sleep=off"),
    *("-rtc", "base=2024-01-01T00:00:00,clock=vm"),
    *("-seed", "1"),
    *("-cpu", "max,-rdrand,-rdseed"),
)

# This machine has no tick but the PIT's and no reference clock. Where instructions are not counted it is luck,
# on a busy host, whether the PIT calibrates the TSC, and without the TSC the boot hangs.
MICROVM = ("-M", "microvm", "-icount", "shift=7,sleep=off")


def existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `make -f setup.mk test-guests`")
    return path


@dataclass(frozen=True)
class Machine:
    """What to boot: kernel parameters and QEMU options beyond those of examples/linux/qemu-command."""

    parameters: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    kernel: str = "6.1"
    xen: bool = False  # the kernel as the first domain of Xen (6.1 only)
    image: bool = False  # as people boot it: a bzImage, which chooses its place (6.1 only)

    @property
    def vmlinux(self) -> Path:
        """The kernel with its symbols."""
        return existing(GUESTS / f"linux-{self.kernel}" / "vmlinux")

    def environment(self, serial: Path) -> dict[str, str]:
        kernel = existing(self.vmlinux.parent / "modules" / "vmlinuz") if self.image else self.vmlinux
        environment = {**os.environ, "KERNEL": str(kernel), "SERIAL": f"file:{serial}"}
        if self.xen:
            xen = GUESTS / "xen-4.17"
            environment.update(XEN=str(existing(xen / "xen")), KERNEL=str(existing(xen / "dom0")))
        return environment

    def command(self, serial: Path, *more: str) -> list[str]:
        """The QEMU command line, its console going to the file `serial`."""
        line = subprocess.run(
            [ROOT / "examples/linux/qemu-command", *self.parameters, "--", *self.options, *more],
            env=self.environment(serial),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return shlex.split(line)

    def launch(self, serial: Path, *options: str) -> str:
        """The GDB command that starts this guest: `clock launch OPTIONS -- qemu-system-x86_64 …`."""
        return shlex.join(["clock", "launch", *options, "--", *self.command(serial)])


class Bootable(Protocol):
    """What a Guest needs to know of what it boots."""

    @property
    def vmlinux(self) -> Path:
        ...

    def command(self, serial: Path, *more: str) -> list[str]:
        ...


class Guest:
    """A QEMU process with its gdbstub on a private Unix socket; killed when the `with` block ends.

    The guest waits at its first instruction for a debugger unless `stopped` is false. A `timeout`
    process stands between, so that no QEMU outlives a test run that was itself killed.
    """

    def __init__(self, machine: Bootable, directory: Path, *, stopped: bool = True, limit: float = BOOT_LIMIT) -> None:
        self.machine = machine
        self.serial = directory / "serial.log"
        # Not below `directory`: a socket's path may have 107 bytes, and pytest's folders are long.
        self._private = Path(tempfile.mkdtemp(prefix="clockscope-test-"))
        self.socket = self._private / "gdb"
        self._stderr = directory / "qemu.err"
        stub = ["-gdb", f"unix:{self.socket},server=on,wait=off", *(["-S"] if stopped else [])]
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                ["timeout", "--kill-after=5", str(limit), *machine.command(self.serial, *stub)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            self._await_stub()
        except BaseException:
            self.close()
            raise

    def _await_stub(self) -> None:
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"QEMU did not start: {self._stderr.read_text(errors='replace')}")
            time.sleep(0.01)

    def log(self) -> str:
        """What the guest has written to its console so far."""
        return read_serial(self.serial)

    def wait(self, limit: float = BOOT_LIMIT) -> int:
        """Wait for QEMU's end; its exit status."""
        return self.process.wait(limit)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()  # `timeout` passes it on
            self.process.wait(30)
        shutil.rmtree(self._private, ignore_errors=True)

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_serial(path: Path) -> str:
    """A serial log as text, with the terminal's line ends made plain."""
    if not path.exists():
        return ""
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def boot_untouched(machine: Machine, directory: Path, limit: float = BOOT_LIMIT) -> str:
    """Boot without any debugger until QEMU ends; the serial log."""
    serial = directory / "serial.log"
    subprocess.run(
        ["timeout", "--kill-after=5", str(limit), *machine.command(serial)],
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
    )
    return read_serial(serial)


def cached_boot(machine: Machine, cache: Path) -> str:
    """The serial log of an untouched boot, made once per machine and `cache`, whichever process asks first."""
    key = hashlib.sha256(repr(machine).encode()).hexdigest()[:16]
    directory = cache / f"boot-{key}"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / "done"
        if not done.exists():
            boot_untouched(machine, directory)
            done.touch()
    return read_serial(directory / "serial.log")


@dataclass(frozen=True)
class Message:
    """A line of the kernel's log that has a subsystem in front: `[    0.04] tsc: Detected …`."""

    seconds: float
    subsystem: str
    text: str


@dataclass(frozen=True)
class Registered:
    """What __clocksource_register_scale prints of a clocksource."""

    name: str
    mask: int
    max_cycles: int
    max_idle_ns: int


@dataclass
class Messages:
    """What a guest said of its clocks, in its own order."""

    lines: list[Message] = field(default_factory=list)  # every line with a subsystem in front
    tsc: list[str] = field(default_factory=list)  # the text after "tsc: "
    registered: list[Registered] = field(default_factory=list)
    switched: list[str] = field(default_factory=list)
    unstable: list[tuple[str, str]] = field(default_factory=list)  # clock, reason
    available: list[str] = field(default_factory=list)  # sysfs, as the initramfs printed it
    current: str = ""

    @property
    def clock_lines(self) -> list[Message]:
        """The lines that a timeline must explain, in order."""
        return [line for line in self.lines if line.subsystem in ("tsc", "clocksource")]


_LINE = re.compile(r"^\[ *(\d+\.\d+)\](?:\[[^]]*\])? ([A-Za-z][\w-]*): (.*)$")
_REGISTERED = re.compile(
    r"^(\S+): mask: 0x([0-9a-f]+) max_cycles: 0x([0-9a-f]+), max_idle_ns: (\d+) ns$",
)
_SWITCHED = re.compile(r"^Switched to clocksource (\S+)$")
_TSC_UNSTABLE = re.compile(r"^Marking TSC unstable due to (.*)$")
_WATCHDOG = re.compile(r"Marking clocksource '([^']+)' as unstable because (.*?):?$")
_SYSFS = re.compile(r"^\[ *[\d.]+\](?:\[[^]]*\])? clockscope-guest (available|current)_clocksource: *(.*?) *$")


def parse_messages(log: str) -> Messages:
    """What a serial log says of the guest's clocks."""
    found = Messages()
    for line in log.splitlines():
        if match := _LINE.match(line):
            _take_kernel_line(found, Message(float(match[1]), match[2], match[3]))
        elif (match := _SYSFS.match(line)) and match[1] == "available":
            found.available = match[2].split()
        elif match:
            found.current = match[2]
    return found


def _take_kernel_line(found: Messages, line: Message) -> None:
    found.lines.append(line)
    if line.subsystem == "tsc":
        found.tsc.append(line.text)
        if match := _TSC_UNSTABLE.match(line.text):
            found.unstable.append(("tsc", match[1]))
    elif line.subsystem == "clocksource":
        if match := _REGISTERED.match(line.text):
            found.registered.append(Registered(match[1], int(match[2], 16), int(match[3], 16), int(match[4])))
        elif match := _SWITCHED.match(line.text):
            found.switched.append(match[1])
        elif match := _WATCHDOG.search(line.text):
            found.unstable.append((match[1], match[2]))


def machine(*parameters: str, options: Sequence[str] = (), kernel: str = "6.1", xen: bool = False) -> Machine:
    """`machine("hpet=disable", options=["-smp", "2"])`, for brevity in tests."""
    return Machine(parameters, tuple(options), kernel, xen)
