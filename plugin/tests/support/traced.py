# SPDX-License-Identifier: MIT
"""Branches traced without GDB: the relay and the recorder driven from Python, live or on a replay."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from guest import BOOT_LIMIT, Bootable, Guest, Machine

from clockscope._core import ConnectError, Relay, Trace, TraceWriter
from clockscope.live.branches import BranchTrace, Options
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles.profile import Branches

# With these a replay finds what the recording had; the Xen guest names a processor of its own.
_REPEATABLE = ("-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1")

SILENCE_LIMIT = 100  # s


@dataclass(frozen=True)
class Traced:
    """What a traced boot left behind."""

    path: Path
    serial: bytes
    seconds: float  # from the first resume to the guest's end
    statistics: dict[str, int]  # the recorder's
    relay: dict[str, int]

    def open(self) -> Trace:
        return Trace(str(self.path))


def chosen(names: Sequence[str], references: Sequence[str] = ()) -> Branches:
    return Branches(tuple(names), tuple(references))


def trace(
    machine: Machine,
    directory: Path,
    branches: Branches,
    options: Options = Options(virtual=True),
    *,
    replayed: bool = False,
    arrive: Callable[[Relay], None] = lambda relay: None,
    prepare: Callable[[Relay], None] = lambda relay: None,
    limit: float = BOOT_LIMIT,
) -> Traced:
    """Boot a machine to its end while its branches are traced. `replayed`: it is a replay, whatever `options` say of
    what may be probed. `arrive` is called before the probes are planted, `prepare` after that, while it still stands.
    """
    path = directory / "paths.trace"
    writer = TraceWriter(str(path), force=True)
    with Guest(machine, directory, limit=limit) as guest:
        with contextlib.closing(connect(guest)) as relay:
            relay.set_replay(replayed)
            arrive(relay)
            recorder = BranchTrace(relay, writer, ElfFile(str(machine.vmlinux)), branches, options)
            recorder.start()
            prepare(relay)
            began = time.monotonic()
            run_to_end(relay, limit)
            seconds = time.monotonic() - began
            counts = recorder.statistics()
            recorder.stop()
            writer.close(True, relay.reason)
            guest.wait()
            return Traced(path, guest.serial.read_bytes(), seconds, counts, relay.statistics())


def connect(guest: Guest) -> Relay:
    """The socket's name is there a moment before QEMU listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return Relay(str(guest.socket), request_timeout=60)
        except ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def run_to(relay: Relay, address: int, limit: float = BOOT_LIMIT) -> None:
    """Let the guest run until it first comes to an address, and stand there."""
    relay.request(b"Z1,%x,1" % address)
    relay.resume()
    stop = relay.wait(limit)
    assert stop is not None and stop.startswith(b"T05"), f"the guest did not come to {address:#x}: {stop!r}"
    relay.request(b"z1,%x,1" % address)


def run_to_end(relay: Relay, limit: float) -> None:
    deadline = time.monotonic() + limit
    relay.resume()
    while relay.state == "running":
        relay.wait(1)
        if time.monotonic() > deadline:
            raise AssertionError("the guest did not come to its end")
    assert relay.state == "exited", f"the guest is {relay.state}: {relay.reason}"


@dataclass(frozen=True)
class Recording:
    """One boot recorded by QEMU, untouched by any debugger, and its replays."""

    machine: Machine
    directory: Path

    def _machine(self, mode: str, *more: str) -> Machine:
        icount = f"shift=7,rr={mode},rrfile={self.directory / 'boot.rr'}"
        processor = () if self.machine.xen or "-cpu" in self.machine.options else ("-cpu", "max,-rdrand,-rdseed")
        options = (*self.machine.options, *processor, *_REPEATABLE, "-icount", icount, *more)
        return replace(self.machine, options=options)

    @property
    def replayed(self) -> Machine:
        """The machine that replays the boot."""
        return self._machine("replay")

    @property
    def serial(self) -> bytes:
        return (self.directory / "recorded.log").read_bytes()

    def record(self) -> None:
        run_untouched(self._machine("record"), self.directory / "recorded.log")

    def replay(self, log: Path, *more: str) -> bytes:
        """Replay it without a debugger, with options that have it write a log; its serial output."""
        serial = self.directory / "replayed.log"
        run_untouched(self._machine("replay", *more), serial, log)
        return serial.read_bytes()


class Hung(AssertionError):
    """A QEMU that no debugger was connected to wrote nothing any more, and did not end."""


def run_untouched(machine: Bootable, *written: Path) -> None:
    """A boot to its end. The files are what it writes to, the first its serial output."""
    null, command = subprocess.DEVNULL, machine.command(written[0])
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=subprocess.PIPE, text=True) as qemu:
        told = said_at_its_end(qemu, written)
    assert qemu.returncode in (0, 1), told


def said_at_its_end(qemu: subprocess.Popen[str], written: Sequence[Path]) -> str:
    size, since = 0, time.monotonic()
    while True:
        try:
            return qemu.communicate(timeout=1)[1]
        except subprocess.TimeoutExpired:
            grown = sum(path.stat().st_size for path in written if path.exists())
        if grown != size:
            size, since = grown, time.monotonic()
        elif time.monotonic() - since > SILENCE_LIMIT:
            qemu.kill()
            raise Hung(f"QEMU wrote nothing for {SILENCE_LIMIT} s: {qemu.args!r}")
