# SPDX-License-Identifier: MIT
"""Kernels that choose their place while they boot (KASLR), on Debian's own bzImage. The kernel says where it was when it
panics: "Kernel Offset: 0x… from 0xffffffff81000000"."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from gdbrun import Transcript
from guest import Guest, Machine, parse_messages, read_serial
from stub_without import NoWatchpoints

from clockscope._core import Trace
from clockscope.kernel.elffile import ElfFile

Gdb = Callable[..., Transcript]
GUEST = Machine(("rdinit=/none", "no_timer_check"), image=True)  # it panics for want of an init


def offset_in(log: str) -> int | None:
    """What the kernel says of itself."""
    found = re.search(r"Kernel Offset: (0x[0-9a-f]+) from", log)
    return int(found[1], 16) if found else None


def test_a_boot_from_its_first_instruction(gdb: Gdb, tmp_path: Path) -> None:
    """Found, and told to GDB; the trace has link addresses, so that boots can be compared."""
    serial, trace = tmp_path / "serial.log", tmp_path / "boot.trace"
    options = "--functions tsc_init,tsc_show --watch tsc_khz --force tsc_read_refs:330=not,times=1"
    script = [f"file {GUEST.vmlinux}", GUEST.launch(serial), f"clock record -o {trace} --until exit {options}"]
    said = gdb(script).text
    log = read_serial(serial)
    offset = offset_in(log)
    assert offset, log
    assert f"runs {offset:#x} further than its file says (KASLR)" in said
    assert "times=1 was made once" in said
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


def test_a_kernel_that_is_up(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest = boot(Machine(("rdinit=/none", "panic=0", "no_timer_check"), image=True), stopped=False)
    deadline = time.monotonic() + 120
    while offset_in(guest.log()) is None and time.monotonic() < deadline:
        time.sleep(0.2)
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


def test_a_stub_without_watchpoints(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    """Then breakpoints stand in all places; the search is Ctrl-C's to end, and a wrong offset is one line."""
    guest, trace = boot(GUEST), tmp_path / "boot.trace"
    with NoWatchpoints(guest.socket) as hidden:
        script = [f"file {GUEST.vmlinux}", f"clock attach {hidden.address}"]
        said = gdb(
            [*script, f"clock record --no-branches -o {trace} --until clock.registered:refined-jiffies", "kill"]
        ).text
    assert "further than its file says (KASLR)" in said and "reached clock.registered:refined-jiffies" in said


def test_another_kernels_symbols(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest, other = boot(GUEST), Machine(kernel="6.12").vmlinux
    script = [f"file {other}", f"clock attach {guest.socket}"]
    said = gdb([*script, f"clock record -o {tmp_path}/x.trace --until exit"]).text
    assert re.search(r"your guest runs another kernel \(.*\) than .*linux-6\.12/vmlinux \(build id", said)
    assert not (tmp_path / "x.trace").exists()
