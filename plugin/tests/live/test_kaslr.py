# SPDX-License-Identifier: MIT
"""Kernels that choose their place while they boot (KASLR), on Debian's own bzImage. The kernel says where it was when it
panics: "Kernel Offset: 0x… from 0xffffffff81000000"."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbrun import Transcript
from guest import Guest, Machine, parse_messages, read_serial
from stub_without import NoWatchpoints

from clockscope._core import Trace
from clockscope.kernel.elffile import ElfFile
from clockscope.model import late

Gdb = Callable[..., Transcript]
GUEST = Machine(("rdinit=/none", "no_timer_check"), image=True)  # it panics for want of an init
FIXED = Machine((*GUEST.parameters, "nokaslr"), image=True)
# What decides alike in every boot, with addresses in its text; and where a boot has done most of it.
TRACED = ("__clocksource_register_scale", "clocksource_enqueue", "setup_per_cpu_areas", "sched_init", "tsc_init")
REACHED = "clock.registered:tsc-early"


def offset_in(log: str) -> int | None:
    """What the kernel says of itself."""
    found = re.search(r"Kernel Offset: (0x[0-9a-f]+) from", log)
    return int(found[1], 16) if found else None


def calls(recorded: Trace, function: str) -> list[tuple[object, ...]]:
    """What a function did, call by call: whence, on whose behalf, each decision, each block."""
    found = recorded.rows(
        "SELECT i.* FROM invocation i JOIN function f ON f.id = i.function WHERE f.name = ? ORDER BY i.seq", [function]
    )
    return [
        (
            *(one[key] for key in ("caller", "caller_name", "task", "returned", "complete", "consistent")),
            *(
                tuple(tuple(row.values()) for row in recorded.rows(query, [one["id"]]))
                for query in (
                    "SELECT address, taken FROM decision WHERE invocation = ? ORDER BY ordinal",
                    "SELECT block FROM step WHERE invocation = ? ORDER BY ordinal",
                )
            ),
        )
        for one in found
    ]


def hold_against_a_boot_in_its_place(moved: Path, gdb: Gdb, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.trace"
    launch = FIXED.launch(tmp_path / "fixed.log")
    record = f"clock record -o {fixed} --until {REACHED} --functions {','.join(TRACED)}"
    assert f"reached {REACHED}" in gdb([f"file {FIXED.vmlinux}", launch, record, "kill"]).text
    with Trace(str(moved)) as there, Trace(str(fixed)) as here:
        assert "guest.offset" not in here.meta()
        for function in TRACED:
            expected = [call for call in calls(here, function) if "not seen" not in call]  # the last one stops midway
            assert calls(there, function)[: len(expected)] == expected, function
        assert sum(len(calls(here, function)) for function in TRACED) > 6
        for table in ("block", "edge", "probe", "instruction"):
            columns = "text" if table == "instruction" else "*"
            query = f"SELECT {columns} FROM {table} JOIN function f ON f.id = function WHERE f.name = ?"
            for function in TRACED:
                rows = [[tuple(row.values()) for row in each.rows(query, [function])] for each in (there, here)]
                assert rows[0] == rows[1], (table, function)


def refused(command: str) -> str:
    """A command whose error ends no script."""
    lines = ["try:", f"  gdb.execute({command!r})", "except gdb.error as error:", "  print(error)"]
    return f"python exec({chr(10).join(lines)!r})"


def test_a_boot_from_its_first_instruction(gdb: Gdb, program: Callable[..., Any], tmp_path: Path) -> None:
    """Found, and told to GDB; the trace has link addresses, so that boots can be compared."""
    serial, trace = tmp_path / "serial.log", tmp_path / "boot.trace"
    options = f"--functions {','.join(TRACED)},tsc_show --watch tsc_khz --force tsc_read_refs:330=not,times=1"
    options += " --return unsynchronized_tsc=0 --set tsc_init:1540:lpj_fine=lpj_fine"
    script = [f"file {GUEST.vmlinux}", GUEST.launch(serial), f"clock record -o {trace} --until exit {options}"]
    said = gdb(script).text
    log = read_serial(serial)
    offset = offset_in(log)
    assert offset, log
    assert f"runs {offset:#x} further than its file says (KASLR)" in said
    for changed in ("times=1", "unsynchronized_tsc=0", "lpj_fine=lpj_fine"):
        assert f"{changed} was made once" in said, said
    elf = ElfFile(str(GUEST.vmlinux))
    with Trace(str(trace)) as recorded:
        assert recorded.complete() and recorded.meta()["guest.offset"] == f"{offset:#x}"
        assert "rdinit=/none" in recorded.meta()["guest.command_line"]
        events = recorded.rows("SELECT what, clock, address, function FROM event ORDER BY seq")
        counters = {row["function"]: row for row in recorded.rows("SELECT * FROM counter")}
        frames = recorded.rows("SELECT address FROM frame WHERE function <> '??'")
    registered = [event["clock"] for event in events if event["what"] == "clock.registered"]
    assert [clock.name for clock in parse_messages(log).registered] == registered
    assert any(event["clock"] == "tsc_khz" for event in events)
    assert counters["tsc_init"]["hits"] == 1 and counters["tsc_show"]["hits"] == 0
    assert counters["tsc_init"]["address"] % (1 << 64) == elf.find("tsc_init")
    assert all(elf.function_at(event["address"] % (1 << 64)) for event in events)
    assert all(elf.read(frame["address"] % (1 << 64), 1) for frame in frames)  # startup code is in no function
    hold_against_a_boot_in_its_place(trace, gdb, tmp_path)
    difference = program("diff", trace, tmp_path / "fixed.trace").stdout
    assert "offset" not in difference and "begun late" not in difference, difference


@dataclass(frozen=True)
class Resettable(Machine):
    """It boots again when it is reset; its kernel stands still when it panics."""

    def command(self, serial: Path, *more: str) -> list[str]:
        return [word for word in super().command(serial, *more) if word != "-no-reboot"]


def told(path: Path) -> tuple[str, list[tuple[object, ...]]]:
    """The offset of a trace that is whole, and its events."""
    with Trace(str(path)) as trace:
        events = trace.rows("SELECT what, clock, address, function, line FROM event ORDER BY seq")
        assert trace.complete()
        return trace.meta()["guest.offset"], [tuple(event.values()) for event in events]


def test_a_kernel_that_boots_again(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    """It lies elsewhere then: the next boot is found by itself; once it is up, whoever comes late finds it as well."""
    guest = boot(Resettable(("rdinit=/none", "panic=0", "no_timer_check"), image=True))
    record = f"clock record --functions {TRACED[0]} --watch tsc_khz --until clock.registered:refined-jiffies"
    begin = [f"file {guest.machine.vmlinux}", f"clock attach {guest.socket}"]
    reset = ["thbreak timekeeping_init", f"{record} -o {tmp_path}/b.trace --boots 2", "monitor system_reset"]
    said = gdb([*begin, *reset, "continue", "continue", "detach"]).text
    assert "Recording boot 2 of 2" in said and "reached clock.registered:refined-jiffies" in said
    first, second = told(tmp_path / "b.trace"), told(tmp_path / "b-2.trace")
    # Whether the PIT calibrates is luck on a busy host: what both boots have lies at the same place in the file.
    both = [row for row in first[1] if row in second[1]]
    assert ("clock.registered", "refined-jiffies") in {row[:2] for row in both} and len(second[1]) > 2, said
    deadline = time.monotonic() + 120
    while offset_in(guest.log()) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert f"{offset_in(guest.log()):#x}" == second[0]
    attach_late(guest, gdb, tmp_path)


def attach_late(guest: Guest, gdb: Gdb, tmp_path: Path) -> None:
    other = [f"file {Machine(kernel='6.12').vmlinux}", f"clock attach {guest.socket}"]
    said = gdb([*other, f"clock record -o {tmp_path}/other.trace --until idle"]).text
    assert len(re.findall(r"your guest runs another kernel \(.+\) than", said, re.IGNORECASE)) == 2, said
    offset, link = offset_in(guest.log()), ElfFile(str(guest.machine.vmlinux)).find("linux_banner")
    assert offset and link
    script = [
        f"file {guest.machine.vmlinux}",
        f"clock attach {guest.socket}",
        "print/x (long)&linux_banner",
        f"clock record --no-branches -o {tmp_path}/late.trace",
        "clock record --stop",
        f"set clockscope kaslr {offset:#x}",
        f"clock record --no-branches -o {tmp_path}/told.trace",
        "clock record --stop",
        "set clockscope kaslr off",
        f"clock record --no-branches -o {tmp_path}/off.trace",
        "print/x (long)&linux_banner",
    ]
    done = gdb(script)
    assert f"runs {offset:#x} further" in done.text
    assert re.findall(r"^\$\d+ = (0x[0-9a-f]+)$", done.text, re.MULTILINE) == [f"{link + offset:#x}", f"{link:#x}"]
    for name in ("late", "told"):
        with Trace(str(tmp_path / f"{name}.trace")) as recorded:
            assert recorded.meta()["guest.offset"] == f"{offset:#x}"
            found = late.of(recorded.meta())
        assert found is not None and not found["doubts"]
        assert [(device["cpu"], device["name"]) for device in found["devices"]] == [(0, "lapic")]


def test_a_stub_without_watchpoints(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    """Then breakpoints stand in all places; the search is Ctrl-C's to end, and a wrong offset is one line."""
    guest, trace = boot(GUEST), tmp_path / "boot.trace"
    with NoWatchpoints(guest.socket) as hidden:
        script = [
            f"file {GUEST.vmlinux}",
            f"clock attach {hidden.address}",
            refused("clock record --boots 2 --until exit"),
        ]
        said = gdb(
            [
                *script,
                f"clock record --functions {TRACED[0]} -o {trace} --until clock.registered:refined-jiffies",
                "kill",
            ]
        ).text
    assert "further than its file says (KASLR)" in said and "reached clock.registered:refined-jiffies" in said
    assert "has no watchpoint to spare to see the next one by, or boot it with nokaslr" in said and "is up" not in said
    with Trace(str(trace)) as recorded:
        assert [call[1:4] for call in calls(recorded, TRACED[0])] == [
            ("register_refined_jiffies+0xa1", "swapper", "not seen")
        ]


def test_another_kernels_symbols(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest, other = boot(GUEST), Machine(kernel="6.12").vmlinux
    script = [f"file {other}", f"clock attach {guest.socket}"]
    said = gdb([*script, f"clock record -o {tmp_path}/x.trace --until exit"]).text
    assert re.search(r"your guest runs another kernel \(.*\) than .*linux-6\.12/vmlinux \(build id", said)
    assert not (tmp_path / "x.trace").exists()
