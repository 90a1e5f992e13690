# SPDX-License-Identifier: MIT
"""A small trace, made by hand, with each thing that a timeline can tell."""

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from clockscope._core import TraceWriter

MS = 1_000_000

_REGISTER = [("__clocksource_register_scale", "kernel/time/clocksource.c", 1211, 0xFFFFFFFF81180A10, False)]
_HPET = [
    *_REGISTER,
    ("clocksource_register_hz", "include/linux/clocksource.h", 242, 0xFFFFFFFF82E1B0A4, True),
    ("hpet_enable", "arch/x86/kernel/hpet.c", 1082, 0xFFFFFFFF82E1B0A4, False),
]

EVENTS: list[dict[str, Any]] = [
    dict(run_ns=12 * MS + 345678, cpu=0, what="frequency.detected", rule="tsc-detected", clock="tsc",
         function="tsc_early_init", file="arch/x86/kernel/tsc.c", line=1460,
         values=[("mhz", "2903.998"), ("method", "PIT"), ("message", "tsc: Detected 2903.998 MHz processor")]),
    dict(run_ns=20 * MS, cpu=0, what="clock.registered", rule="clock-registered", clock="hpet",
         function="__clocksource_register_scale", file="kernel/time/clocksource.c", line=1211, backtrace=_HPET,
         values=[("name", "hpet"), ("rating", 250), ("frequency_hz", 100_000_000), ("mask", 2**32 - 1)]),
    dict(run_ns=21 * MS, cpu=0, what="device.registered", rule="device-registered", clock="hpet",
         function="clockevents_register_device", file="kernel/time/clockevents.c", line=449,
         values=[("name", "hpet"), ("rating", 50)]),
    dict(run_ns=22 * MS, cpu=0, what="device.selected", rule="device-selected", clock="hpet",
         function="tick_setup_device", file="kernel/time/tick-common.c", line=185),
    dict(run_ns=30 * MS, cpu=0, what="clock.registered", rule="clock-registered", clock="tsc-early",
         function="__clocksource_register_scale", file="kernel/time/clocksource.c", line=1211, backtrace=_REGISTER,
         values=[("name", "tsc-early"), ("rating", 299), ("frequency_khz", 2_903_998), ("mask", 2**64 - 1),
                 ("flags", 0x21)]),
    dict(run_ns=31 * MS, cpu=0, what="clock.selected", rule="clock-selected", clock="hpet",
         function="timekeeping_notify", file="kernel/time/timekeeping.c", line=1440),
    dict(run_ns=32 * MS, cpu=0, what="clock.selected", rule="clock-selected", clock="tsc-early",
         function="timekeeping_notify", file="kernel/time/timekeeping.c", line=1440, values=[("replaced", "hpet")]),
    dict(run_ns=1040 * MS, cpu=1, what="calibration.refused", rule="refine-refused", clock="tsc",
         function="tsc_refine_calibration_work", file="arch/x86/kernel/tsc.c", line=1325,
         values=[("delta", None), ("window_ns", 1_000_000_500)]),
    dict(run_ns=1100 * MS, cpu=1, what="clock.unstable", rule="tsc-unstable", clock="tsc-early",
         function="mark_tsc_unstable", file="arch/x86/kernel/tsc.c", line=1190,
         values=[("reason", "clocksource watchdog")]),
    dict(run_ns=1101 * MS, cpu=1, what="clock.selected", rule="clock-selected", clock="hpet",
         function="timekeeping_notify", file="kernel/time/timekeeping.c", line=1440),
]  # fmt: skip


def write_sample(path: Path, *, end: tuple[bool, str] | None = (True, "the guest was idle")) -> TraceWriter:
    """Write the sample; with `end` None the recording is left open."""
    writer = TraceWriter(str(path))
    writer.meta("guest.os", "linux")
    writer.meta("guest.release", "6.1.0-9-cloud-amd64")
    writer.meta("guest.banner", "Linux version 6.1.0-9-cloud-amd64 (debian-kernel@lists.debian.org)")
    writer.meta("tool.gdb", "13.1")
    writer.expect("clock-registered", "clock.registered", "__clocksource_register_scale", "planted")
    writer.expect("refine-finished", "calibration.finished", "tsc_refine_calibration_work", "planted")
    writer.expect("kvm-clock", "clock.registered", "kvmclock_init", "missing", "no such function")
    writer.expect("lapic", "calibration.started", "calibrate_APIC_clock", "refused", "the stub has no free slot")
    for event in EVENTS:
        writer.event(**event)
    writer.counter(function="hpet_enable", address=0xFFFFFFFF82E1B000, hits=1, first_run_ns=19 * MS, first_cpu=0,
                   first_icount=None)  # fmt: skip
    for number, function in enumerate(["kvmclock_init", "xen_time_init"]):
        writer.counter(function=function, address=0xFFFFFFFF82E00000 + number, hits=0, first_run_ns=None,
                       first_cpu=None, first_icount=None)  # fmt: skip
    if end is not None:
        writer.close(*end)
    return writer


def copy_rows(recorded: Path, path: Path) -> None:
    """A trace of this very schema, views included, with the rows of a recorded one."""
    TraceWriter(str(path)).close(True, "")
    database = sqlite3.connect(path)
    database.execute("ATTACH ? AS recorded", [str(recorded)])
    for (table,) in database.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        database.execute(f"DELETE FROM {table}")
        names = ", ".join(row[1] for row in database.execute(f"PRAGMA recorded.table_info({table})"))
        if names:  # those that its version had
            database.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM recorded.{table}")
    database.commit()
    database.close()


def view_rows(trace: Path, view: str) -> list[dict[str, Any]]:
    """The rows of a view, by the program that people use."""
    sql = f"SELECT * FROM {view}"
    done = subprocess.run(["sqlite3", "-json", trace, sql], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found
