# SPDX-License-Identifier: MIT
"""A boot that is recorded against the same boot untouched."""

import re
import time
from pathlib import Path

from gdbrun import run_gdb
from guest import Guest, Machine
from rsp_client import RspClient

from bench.measure import paired, show

PAIRS = 5


def untouched(machine: Machine, directory: Path) -> float:
    """Seconds from the first instruction to QEMU's end, with no probe: one bare `c`, then nobody looks."""
    with Guest(machine, directory) as guest, RspClient(str(guest.socket)) as client:
        client.request(b"?")
        began = time.monotonic()
        client.send(b"c")
        guest.wait()
        return time.monotonic() - began


def recorded(machine: Machine, directory: Path) -> float:
    """Seconds that `clock record` takes for it, once GDB has read the symbols and is attached."""
    result = run_gdb(
        [
            f"file {machine.vmlinux}",
            machine.launch(directory / "serial.log"),
            "python import time; began = time.monotonic()",
            f"clock record --overwrite -o {directory}/boot.trace --until exit",
            "python print('seconds:', time.monotonic() - began)",
        ],
        directory,
    )
    found = re.search(r"^seconds: ([\d.]+)$", result.text, re.MULTILINE)
    if result.status or not found:
        raise RuntimeError(f"the recording failed:\n{result.text}")
    return float(found[1])


def run(directory: Path) -> None:
    # Without its first process the guest panics, and ends, as soon as its clocks are up: no idle seconds
    # that would flatter the ratio.
    to_panic = Machine(("rdinit=/none",))
    for what, machine in (("boot to its panic", to_panic), ("the demo's boot", Machine())):
        pairs = paired(PAIRS, lambda: recorded(machine, directory), lambda: untouched(machine, directory))
        show(what, pairs, ("recorded", "untouched"), "s", "aim: at most 1.15")
