# SPDX-License-Identifier: MIT
"""An ordinary program under a real stub, and GDB's transcript of it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clockscope._core import Relay


@dataclass
class Program:
    path: Path
    symbols: dict[str, int]


@dataclass
class Peer:
    """A program that waits at a stub; `output()` ends it."""

    address: str
    process: subprocess.Popen[str]

    def output(self) -> str:
        return self.process.communicate(timeout=20)[0]


def compile_program(source: str, directory: Path, *options: str) -> Program:
    (directory / "peer.c").write_text(source)
    subprocess.run(["gcc", "-g", "-O1", "-no-pie", *options, "-o", "peer", "peer.c"], cwd=directory, check=True)
    listing = subprocess.run(["nm", "peer"], cwd=directory, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return Program(directory / "peer", {row[2]: int(row[0], 16) for row in rows if len(row) == 3})


def start_gdbserver(program: Program, directory: Path, *arguments: str) -> Peer:
    """What it says goes to a file: it says a lot, and a pipe that nobody empties would hold it up."""
    said = directory / f"gdbserver-{time.monotonic_ns()}"
    with said.open("w") as file:
        process = subprocess.Popen(
            ["gdbserver", "--once", "127.0.0.1:0", str(program.path), *arguments],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if match := re.search(r"Listening on port (\d+)", said.read_text()):
            return Peer(f"127.0.0.1:{match[1]}", process)
        time.sleep(0.01)
    raise AssertionError("gdbserver does not listen")


def listens(socket: Path) -> bool:
    """Whether somebody accepts connections there; without connecting, for the first one is the only one."""
    accepting = "00010000"  # the flags of a listening socket, proc(5)
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return any(row[-1] == str(socket) and row[3] == accepting for row in rows)


def start_qemu(program: Program, directory: Path, *arguments: str) -> Peer:
    socket = directory / f"gdb-{time.monotonic_ns()}"
    process = subprocess.Popen(
        ["qemu-x86_64", "-g", str(socket), str(program.path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 10
    while not listens(socket) and time.monotonic() < deadline:
        time.sleep(0.01)
    return Peer(str(socket), process)


@contextmanager
def relay_to(peer: Peer) -> Iterator[Relay]:
    relay = Relay(peer.address)
    try:
        yield relay
    finally:
        relay.close()


def transcript(program: Program, address: str, script: str, settings: Sequence[str] = ()) -> str:
    """What GDB prints, without what differs from run to run."""
    arguments = [
        "gdb",
        "-nx",
        "-batch",
        "-ex",
        "set remotetimeout 20",
        "-ex",
        "set debuginfod enabled off",
        "-ex",
        "set sysroot /",
    ]
    arguments += [word for setting in settings for word in ("-ex", setting)]
    arguments += ["-ex", f"target remote {address}"]
    for line in script.strip().splitlines():
        arguments += ["-ex", "echo > " + line.replace("\\", "\\\\") + "\\n", "-ex", line]
    result = subprocess.run([*arguments, str(program.path)], capture_output=True, text=True, timeout=120, check=False)
    text = (result.stdout + result.stderr).replace(address, "ADDRESS")
    text = re.sub(r"0x[0-9a-f]{5,}", "0xADDRESS", text)
    return re.sub(r"(process|Thread|Process|pid) \d+(\.\d+)?", r"\1 PID", text)
