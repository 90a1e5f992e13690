# SPDX-License-Identifier: MIT
"""How the cost of a fleet's reports grows with its boots: processor time and memory of `fleet table` and its likes."""

import time
from pathlib import Path

import many_boots
from guest import ROOT
from peak import ended

from clockscope.fleet import database

COUNTS = (1_000, 10_000, 100_000)
PROGRAM = ROOT / "build" / "clockscope"
ADDED = 200


def run(directory: Path) -> None:
    for count in COUNTS:
        place = directory / f"{count}.db"
        fleet = database.opened(str(place), make=True)
        many_boots.fill(fleet, count)
        began = time.monotonic()
        for number in range(count, count + ADDED):
            fleet.add([many_boots.boot(number)])
        each = (time.monotonic() - began) / ADDED * 1000
        print(f"a fleet of {count} boots: {place.stat().st_size >> 10} kB, {each:.1f} ms to add one more", flush=True)
        asked: list[list[str | Path]] = [
            ["table"],
            ["table", "--boots"],
            ["diff"],
            ["page", "-o", directory / "page.html", "--overwrite"],
        ]
        for words in asked:
            began = time.monotonic()
            done = ended([PROGRAM, "fleet", words[0], place, *words[1:]])
            took = time.monotonic() - began
            print(
                f"    fleet {words[0]!s:5} {'--boots' * ('--boots' in words):7}  {took:6.2f} s  {done.memory >> 20:4} MB",
                flush=True,
            )
