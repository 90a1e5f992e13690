# SPDX-License-Identifier: MIT
"""What each example guest measures of its clocks, recorded and untouched: medians of BENCH_BOOTS boots each, in turn."""

import os
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from frequencies import frequencies
from gdbrun import run_gdb
from guest import MICROVM, Machine, boot_untouched, machine, read_serial
from model import model

BOOTS = int(os.environ.get("BENCH_BOOTS", "5"))
LIMIT = 1e-4
# The virtual clock counts instructions: what differs is the recording's doing.
COUNTED = ("-icount", "shift=3")
GUESTS: Mapping[str, Machine] = {
    "Linux 6.1": Machine(),
    "Linux 6.1, no HPET": machine("hpet=disable"),
    "Linux 6.1, microvm": machine("reboot=t", options=MICROVM),
    "Linux 6.12": machine(kernel="6.12"),
    "NetBSD model": model("netbsd", options=COUNTED),
    "NetBSD model, rounds": model("netbsd", "rounds", options=()),
    "NetBSD model, ticks": model("netbsd", "ticks", options=()),
    "FreeBSD model": model("freebsd", options=COUNTED),
}


def run(directory: Path) -> None:
    for name, guest in GUESTS.items():
        untouched: list[dict[str, float]] = []
        recorded: list[dict[str, float]] = []
        for _ in range(BOOTS):
            untouched.append(frequencies(boot_untouched(guest, directory)))
            recorded.append(frequencies(record(guest, directory)))
        for what in dict.fromkeys(key for boot in (*untouched, *recorded) for key in boot):
            show(
                f"{name}, {what}", *([boot[what] for boot in boots if what in boot] for boots in (untouched, recorded))
            )


def record(guest: Machine, directory: Path) -> str:
    """The log of a boot recorded as a user records it."""
    serial = directory / "recorded.log"
    run_gdb(
        [
            f"file {guest.vmlinux}",
            guest.launch(serial),
            f"clock record --overwrite -o {directory}/boot.trace --until exit",
        ],
        directory,
        limit=600,
    )
    return read_serial(serial)


def show(what: str, untouched: list[float], recorded: list[float]) -> None:
    if not untouched or not recorded:
        print(f"{what}: measured in {len(untouched)} untouched boots and {len(recorded)} recorded ones of {BOOTS}")
        return
    middle, spread = median(untouched), max(untouched) - min(untouched)
    apart = median(recorded) - middle
    verdict = "within" if abs(apart) <= max(spread, LIMIT * middle) else "beyond"
    print(
        f"{what}: {median(recorded):.3f} MHz recorded, {middle:.3f} untouched: {apart / middle * 1e6:+.0f} ppm,"
        f" {verdict} {LIMIT * 1e6:.0f} ppm or the spread of the untouched ones, {spread / middle * 1e6:.0f} ppm"
    )
