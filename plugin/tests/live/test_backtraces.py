# SPDX-License-Identifier: MIT
"""The backtrace of each event equals GDB's own `bt` at a plain breakpoint on an untraced boot."""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Transcript
from guest import DETERMINISTIC, Guest, Machine, machine
from model import model
from recorded import Recorded, cached_record

Gdb = Callable[..., Transcript]
Frames = list[tuple[str, str]]

# Stops at each of the addresses, until the guest ends.
LOOP = """\
python
for address in {addresses}:
    gdb.execute(f"hbreak *{{address}}", to_string=True)
try:
    while True:
        gdb.execute("continue", to_string=True)
        print("@ %#x" % (int(gdb.newest_frame().pc())))
        gdb.execute("bt 32")
except gdb.error as error:
    print("ended:", error)
end
"""
FRAME = re.compile(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S+) \(.*?\)(?: at (\S+))?$")


def frames_of(event: dict[str, Any]) -> Frames:
    return [(frame["function"], frame["source"]) for frame in event["backtrace"]]


def backtraces(text: str) -> dict[int, list[Frames]]:
    """By address, what `bt` printed at each stop there."""
    found: dict[int, list[Frames]] = defaultdict(list)
    for line in text.splitlines():
        if line.startswith("@ "):
            current: Frames = []
            found[int(line[2:], 16)].append(current)
        elif match := FRAME.match(line):
            current.append((match[1], match[2] or ""))
    return found


@pytest.mark.parametrize(
    ("here", "events_at_least"),
    [
        (machine(kernel="6.1", options=DETERMINISTIC), 16),
        (machine(kernel="6.12", options=DETERMINISTIC), 16),
        (model(), 15),
    ],
    ids=["linux-6.1", "linux-6.12", "netbsd"],
)
def test_backtraces_equal_gdbs(
    here: Machine, events_at_least: int, shared_directory: Path, boot: Callable[..., Guest], gdb: Gdb
) -> None:
    recorded: Recorded = cached_record(here, shared_directory)
    by_address: dict[int, list[Frames]] = defaultdict(list)
    for event in recorded.events:
        by_address[int(event["backtrace"][0]["address"], 16)].append(frames_of(event))
    guest = boot(here)
    # GDB knows the ABI of no BSD; what it then takes is Linux's too.
    script = ["set osabi none", "set print frame-arguments none", f"file {here.vmlinux}"]
    script.append(f"target remote {guest.socket}")
    loop = LOOP.format(addresses=[f"{address:#x}" for address in by_address])
    said = backtraces(gdb([*script, loop], plugin=False).text)
    for address, events in by_address.items():
        # A stop is not always an event, for a rule may have a condition; it may also be two.
        stops = said[address]
        for frames in events:
            assert frames in stops, f"{address:#x}: {frames}\nis none of {said[address]}"
            stops = stops[stops.index(frames) :]
    assert len(recorded.events) >= events_at_least
