# SPDX-License-Identifier: MIT
"""A guest that is up, or in mid-boot, when its recording begins: the trace says so, and holds what the kernel has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Transcript
from guest import machine, parse_messages, read_serial
from model import model

from clockscope._core import Trace
from clockscope.model import late

Gdb = Callable[..., Transcript]


def begun(path: Path) -> dict[str, Any]:
    with Trace(str(path)) as trace:
        found = late.of(trace.meta())
    assert found is not None
    return found


def test_a_linux_that_is_up_is_what_its_sysfs_says(gdb: Gdb, tmp_path: Path) -> None:
    """Stopped where the demo's init has printed sysfs, and restarts the machine."""
    guest, trace = machine(options=["-smp", "2"]), tmp_path / "late.trace"
    result = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), "thbreak __do_sys_reboot", "continue",
        f"clock record -o {trace} --no-branches", "clock record --stop", "clock timeline", "clock diagnose", "kill",
    ])  # fmt: skip
    assert "kernel is up for " in result.text
    said, found = parse_messages(read_serial(tmp_path / "serial.log")), begun(trace)
    names = [clock["name"] for clock in found["clocks"]]
    assert [name for name in names if "jiffies" not in name] == [
        name for name in said.available if "jiffies" not in name
    ]
    assert set(said.available) <= set(names) and found["current"] == said.current and not found["doubts"]
    ratings = [clock["rating"] for clock in found["clocks"]]
    assert ratings == sorted(ratings, reverse=True) and ratings[-1] > 0
    by_name = {clock["name"]: clock for clock in found["clocks"]}
    for clock in said.registered:
        if clock.name in by_name:
            assert by_name[clock.name]["mask"] == clock.mask
    assert by_name["hpet"]["frequency_hz"] == 100_000_000
    if "tsc" in by_name:  # a busy host may make the kernel doubt it
        assert abs(by_name["tsc"]["frequency_hz"] / 1000 / found["values"]["tsc_khz"] - 1) < 1e-5
    assert [device["cpu"] for device in found["devices"]] == [0, 1] and found["devices"][0]["name"]
    assert found["since_boot_ns"] > 1_000_000_000
    with Trace(str(trace)) as opened:
        assert "console=ttyS0" in opened.meta()["guest.command_line"]
    assert "begun late: when its kernel had been up for" in result.text and "never" not in result.text
    assert "Nothing wrong found" not in result.text


@pytest.mark.parametrize(
    ("flavour", "at", "clocks", "current"),
    [
        ("netbsd", "tsc_tc_init", ["clockinterrupt", "lapic", "i8254", "dummy"], "i8254"),
        ("freebsd", "cpu_initclocks_bsp", ["i8254", "ACPI-fast", "HPET", "dummy"], None),
    ],
)
def test_a_bsd_in_mid_boot(
    flavour: str, at: str, clocks: list[str], current: str | None, gdb: Gdb, tmp_path: Path
) -> None:
    guest, trace = model(flavour), tmp_path / "late.trace"
    result = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), f"thbreak {at}", "continue",
        f"clock record -o {trace} --until exit", "clock timeline", "clock timeline --format json",
    ])  # fmt: skip
    assert result.status == 0, result.text
    found = begun(trace)
    assert set(clocks) <= {clock["name"] for clock in found["clocks"]}, found
    assert current in (None, found["current"]) and not found["doubts"]
    assert "Clocks when the recording began" in result.text and "begun late" in result.text
    content = json.loads(result.text[result.text.rindex("\n{") :].partition("\n}")[0] + "\n}")
    assert content["late"] == found


def test_a_boot_from_its_start_is_not_late(gdb: Gdb, tmp_path: Path) -> None:
    """Even where the kernel is in memory already, and about to begin."""
    guest, trace = model("netbsd"), tmp_path / "early.trace"
    gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), "thbreak kernel_main", "continue",
        f"clock record -o {trace} --until clock.registered",
    ])  # fmt: skip
    with Trace(str(trace)) as opened:
        assert late.of(opened.meta()) is None and opened.complete()


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ("*(long *)((long)timecounters + 56) = (long)timecounters", "is a circle"),
        ("*(long *)((long)timecounters + 56) = 0x123456789000", "memory that cannot be read"),
        ("*(long *)((long)timecounters + 56) = (long)&dummy_timecounter", ""),
    ],
)
def test_a_list_that_a_guest_has_spoiled(change: str, doubt: str, gdb: Gdb, tmp_path: Path) -> None:
    guest, trace = model("netbsd"), tmp_path / "late.trace"
    result = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), "thbreak tsc_tc_init", "continue",
        f"set var {change}", f"clock record -o {trace}", "clock record --stop", "clock timeline", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    found = begun(trace)
    assert [doubt in one for one in found["doubts"]] == [True] * bool(doubt)
    assert found["clocks"][0]["name"] == "clockinterrupt" and found["current"] == "i8254"
    assert not doubt or doubt in result.text


def test_a_stub_without_hardware_breakpoints(gdb: Gdb, tmp_path: Path) -> None:
    """Others serve where the kernel's text is mapped."""
    guest, trace = model("netbsd"), tmp_path / "late.trace"
    result = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), "hbreak main", "continue", "delete",
        "set remote hardware-breakpoint-limit 0", f"clock record -o {trace}",
        "tbreak lapic_initclock", "continue", "clock record --stop", "kill",
    ])  # fmt: skip
    with Trace(str(trace)) as opened:
        assert "clock.registered" in {event["what"] for event in opened.timeline()["events"]}, result.text
    assert "takes no breakpoint" not in result.text
