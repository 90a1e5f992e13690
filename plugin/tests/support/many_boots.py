# SPDX-License-Identifier: MIT
"""Boots of a fleet that never were: 3 in each 415 have lost tsc, all on one processor's model, by one decision."""

from collections.abc import Iterator
from typing import Any

from clockscope.fleet import database
from clockscope.fleet.database import Fleet

Record = dict[str, Any]

CPUS = ("GenuineIntel family 6 model 85 stepping 7", "AuthenticAMD family 23 model 49 stepping 0")
ODD_CPU = "GenuineIntel family 6 model 143 stepping 8"
PIECE = 1000


def _alike(lost: bool) -> Record:
    clocks = [["acpi_pm", "clocksource", 200, "there"], ["hpet", "clocksource", 250, "in use" if lost else "there"],
              ["lapic", "event device", 100, "there"], ["tsc", "clocksource", 300, "lost" if lost else "in use"]]  # fmt: skip
    findings = ["tsc-lost-to-watchdog"] if lost else []
    return {"clocks": clocks, "current": "hpet" if lost else "tsc", "findings": findings, "whole": True}


def _calls(lost: bool) -> list[list[list[Any]]]:
    way = "true" if lost else "false"
    return [[["arch/x86/kernel/tsc.c:320", "for (i = 0; i < MAX_RETRIES; i++)", "true", 10],
             ["arch/x86/kernel/tsc.c:330", "if ((t2 - t1) < thresh)", way, 11]]]  # fmt: skip


def boot(number: int) -> Record:
    lost = number % 415 in (100, 200, 300)
    signature = "lost" if lost else "kept"
    return {
        "id": f"{number:032x}",
        "file": f"boot-{number}.trace",
        "recorded": f"2026-11-{number // 1440 % 28 + 1:02}T{number // 60 % 24:02}:{number % 60:02}:00Z",
        "os": "linux",
        "release": "6.1.0-56-cloud-amd64",
        "build_id": "3b43fad5",
        "hypervisor": "KVMKVMKVM",
        "cpu": ODD_CPU if lost else CPUS[number % 2],
        "mode": "live",
        "frequencies": {"tsc": 2_100_000_000 + number % 1000, "hpet": 100_000_000},
        "paths": {"tsc_read_refs": signature},
        "alike": _alike(lost),
        "key": signature,
        "ways": {signature: ("tsc_read_refs", _calls(lost))},
    }


def boots(count: int, first: int = 0) -> Iterator[list[Record]]:
    """In pieces, each of which is one transaction."""
    for start in range(first, first + count, PIECE):
        yield [boot(number) for number in range(start, min(start + PIECE, first + count))]


def fill(fleet: Fleet, count: int) -> None:
    """Into an empty one, faster than one after another."""
    fleet.add([boot(number) for number in (0, 100)][: min(count, 2 if count > 100 else 1)])
    for piece in boots(count):
        rows = [database.row_of(one) for one in piece if int(one["id"], 16) not in ((0, 100) if count > 100 else (0,))]
        if rows:
            with fleet.transaction(writes=True) as connection:
                connection.execute(fleet.boot.insert(), rows)
