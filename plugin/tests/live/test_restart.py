# SPDX-License-Identifier: MIT
"""A trace is one boot: where the guest restarts, it ends, and the next boot goes to the next trace if that is wanted."""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Transcript
from guest import read_serial
from model import Model, parse_clocks
from scripted_machine import At, Machine
from scripted_quirks import NoVContStub
from scripted_stub import FakeStub

from clockscope._core import Trace
from clockscope.live.restart_signs import ANOTHER, RESTARTED, Signs

Gdb = Callable[..., Transcript]
RESET_VECTOR = 0xFFF0

# ---------------------------------------------------------------- the signs


class Kernel:
    """What the guest's memory holds: the kernel, another one, or nothing that could be read."""

    there: bool | None = True

    def still(self) -> bool | None:
        return self.there


def signs(*, replay: bool = False, begun: bool | None = None) -> tuple[Signs, Kernel]:
    kernel = Kernel()
    made = Signs(kernel, replay=replay)
    made.begun = begun
    return made, kernel


@pytest.mark.parametrize(("begun", "hits"), [(None, [False, True, True]), (False, [False, True]), (True, [True, True])])
def test_the_early_function_is_entered_once_a_boot(begun: bool | None, hits: list[bool]) -> None:
    """What came past it before the recording began enters it for the second time."""
    made, _ = signs(begun=begun)
    assert [made.entered(None) for _ in hits] == hits


def test_an_event_is_a_sign_that_it_came_past() -> None:
    made, _ = signs()
    made.at_event(0, None)
    assert made.entered(None)


def test_a_replay_may_be_run_backwards() -> None:
    made, _ = signs(replay=True)
    assert [made.entered(count) for count in (500, 500, 400, None, 500, 900)] == [False] * 5 + [True]


def test_another_kernel_at_an_event() -> None:
    made, kernel = signs()
    assert made.at_event(0, 5) == ""
    kernel.there = None  # as in user mode, where the kernel is not mapped
    assert made.at_event(0, 6) == ""
    kernel.there = False
    assert made.at_event(0, 7) == ANOTHER


def test_a_tsc_that_goes_back_counts_where_nothing_else_is_seen() -> None:
    made, _ = signs()
    assert [made.at_event(cpu, tsc) for cpu, tsc in ((0, 100), (1, 50), (0, None), (0, 101))] == [""] * 4
    assert made.at_event(1, 49).startswith(RESTARTED)
    made.watched = True
    assert made.at_event(0, 1) == ""


def test_a_guest_that_stands_in_its_firmware() -> None:
    made, kernel = signs()
    kernel.there = None
    assert made.at_stop(lambda: True) == ""  # its first boot
    made.entered(None)
    assert made.at_stop(lambda: False) == ""
    assert made.at_stop(lambda: True).startswith(RESTARTED)
    kernel.there = True
    assert made.at_stop(lambda: True) == ""


# ---------------------------------------------------------------- guests that restart by themselves


class Restarting(Model):
    """Without ACPI the model ends in a triple fault; without -no-reboot the machine then boots again."""

    def command(self, serial: Path, *more: str) -> list[str]:
        words = [word for word in super().command(serial, *more) if word != "-no-reboot"]
        words[words.index("-M") + 1] += ",acpi=off"
        return words


NETBSD = Restarting(parameters=(), options=("-icount", "shift=7"), flavour="netbsd")
FREEBSD = Restarting(parameters=(), options=("-icount", "shift=7"), flavour="freebsd")


def start(guest: Model, tmp_path: Path) -> list[str]:
    return [f"file {guest.vmlinux}", f"clock launch -- {shlex.join(guest.command(tmp_path / 'serial.log'))}"]


def read(path: Path) -> dict[str, Any]:
    with Trace(str(path)) as trace:
        content: dict[str, Any] = trace.timeline()
        content["meta"] = trace.meta()
        content["invocations"] = trace.rows("SELECT count(*) AS n FROM invocation")[0]["n"]
        return content


def steps(content: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["what"], event["clock"]) for event in content["events"]]


@pytest.mark.parametrize("guest", [NETBSD, FREEBSD], ids=["netbsd", "freebsd"])
def test_each_boot_has_a_trace_of_its_own(guest: Model, gdb: Gdb, tmp_path: Path) -> None:
    """Numbered, and no file of the user's is overwritten."""
    (tmp_path / "boot-2.trace").write_text("the user's")
    trace = tmp_path / "boot.trace"
    result = gdb([
        *start(guest, tmp_path), f"clock record -o {trace} --boots 3 --until exit",
        "clock status", "maint info breakpoints", "show breakpoint always-inserted", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    assert (tmp_path / "boot-2.trace").read_text() == "the user's"
    names = ["boot.trace", "boot-3.trace", "boot-4.trace"]
    boots = [read(tmp_path / name) for name in names]
    said = parse_clocks(read_serial(tmp_path / "serial.log").split("model: done")[0])
    for number, (name, boot) in enumerate(zip(names, boots, strict=True), start=1):
        assert f"to {tmp_path / name}, complete: your guest restarted." in result.text
        assert boot["complete"] and boot["end_reason"] == "your guest restarted"
        assert (boot["meta"]["boot.number"], boot["meta"]["boot.of"]) == (str(number), "3")
        assert "restarted" in boot["meta"]["told.end"]  # nobody is asked for what another boot is told
        assert [event["clock"] for event in boot["events"] if event["what"] == "clock.registered"] == [
            clock for clock, _, _ in said.registered
        ]
        assert steps(boot) == steps(boots[0]) and boot["invocations"] == boots[0]["invocations"] > 0
        times = [event["run_ns"] for event in boot["events"]]
        assert times == sorted(times)
    # Each boot's time is its own.
    assert boots[1]["events"][0]["run_ns"] < boots[0]["events"][-1]["run_ns"]
    assert "recording   none" in result.text and "No breakpoints" in result.text
    assert "Always inserted breakpoint mode is off" in result.text


def test_gdb_goes_on_into_the_next_boot(gdb: Gdb, tmp_path: Path) -> None:
    """An armed recording ends without a stop; GDB's own breakpoints and views are those of the boot that runs."""
    trace, again = tmp_path / "boot.trace", tmp_path / "again.trace"
    result = gdb([
        *start(NETBSD, tmp_path), f"clock record -o {trace}", "hbreak tsc_tc_init", "continue", "info breakpoints",
        "continue", "backtrace", "info registers rip", "clock status", "maint info breakpoints",
        "show breakpoint always-inserted", f"clock record -o {again} --until clock.selected:TSC", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    assert f"to {trace}, complete: your guest restarted." in result.text
    first = read(trace)
    assert steps(first).count(("clock.registered", "TSC")) == 1
    assert result.text.count("Breakpoint 1, tsc_tc_init ()") == 2
    assert len(re.findall(r"^#0 +tsc_tc_init \(\)", result.text, re.MULTILINE)) == 1
    assert "recording   none" in result.text and "Always inserted breakpoint mode is off" in result.text
    # What goes on being recorded there is the second boot's rest.
    assert ("clock.registered", "i8254") not in steps(read(again))
    assert read(again)["end_reason"] == "reached clock.selected:TSC"


def test_what_is_waited_for_did_not_come(gdb: Gdb, tmp_path: Path) -> None:
    """The command ends with the boot, and the guest stands where the next one begins."""
    trace = tmp_path / "boot.trace"
    wished = "clock.selected:nothing"
    result = gdb([
        *start(NETBSD, tmp_path), f"clock record -o {trace} --until {wished}", "info symbol $pc", "kill",
    ])  # fmt: skip
    assert f"incomplete: your guest restarted before {wished}." in result.text
    assert "main in section .text" in result.text and not read(trace)["complete"]


def test_a_goal_counts_in_the_last_boot(gdb: Gdb, tmp_path: Path) -> None:
    trace = tmp_path / "boot"
    result = gdb([
        *start(NETBSD, tmp_path), f"clock record -o {trace} --boots 2 --until clock.selected:TSC",
        "clock status", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    first, second = read(trace), read(tmp_path / "boot-2")
    assert (first["end_reason"], second["end_reason"]) == ("your guest restarted", "reached clock.selected:TSC")
    assert steps(second) == steps(first)[: len(steps(second))]


def test_a_reset_from_outside(gdb: Gdb, tmp_path: Path) -> None:
    """By the emulator's own command, in mid-boot; the guest then stands in its firmware, and boots again."""
    trace = tmp_path / "boot.trace"
    result = gdb([
        *start(NETBSD, tmp_path), f"clock record -o {trace} --boots 2", "thbreak tsc_tc_init", "continue",
        "monitor system_reset", "stepi", "echo \\n", "clock status",
        "thbreak tsc_tc_init", "continue", "clock record --stop", "kill",
    ])  # fmt: skip
    assert f"to {trace}, complete: your guest restarted: its kernel is gone." in result.text
    assert re.search(r"^boot +2 of 2$", result.text, re.MULTILINE)
    first, second = read(trace), read(tmp_path / "boot-2.trace")
    assert steps(first) == steps(second) and ("clock.registered", "lapic") in steps(first)
    assert second["meta"]["boot.number"] == "2"


@pytest.mark.parametrize("boots", ["0", "-1", "x", "1.5"])
def test_how_many_boots(boots: str, gdb: Gdb, tmp_path: Path) -> None:
    result = gdb([*start(NETBSD, tmp_path), f"clock record -o {tmp_path / 'a'} --boots={boots}"])
    assert result.status == 1 and "a number from 1 on is expected" in result.text
    assert not (tmp_path / "a").exists()


# ---------------------------------------------------------------- a stub that knows no more than the protocol


def segments(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where an ELF file's bytes go."""
    data = path.read_bytes()
    (table,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    for number in range(count):
        kind, _, offset, virtual, _, held, space = struct.unpack_from("<IIQQQQQ", data, table + number * size)
        if kind == 1 and virtual >> 63:
            yield virtual, data[offset : offset + held] + bytes(space - held)


def address(path: Path, name: str) -> int:
    from clockscope.kernel.elffile import ElfFile

    found = ElfFile(str(path)).find(name)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", [FakeStub, NoVContStub])
def test_a_stub_without_a_monitor(kind: type[FakeStub], gdb: Gdb, tmp_path: Path) -> None:
    kernel = NETBSD.vmlinux
    main, register = (address(kernel, name) for name in ("main", "tc_init"))
    stack = {"rsp": 0x9000, "cs": 8}

    def boot(clock: str) -> list[int | At]:
        registers = {**stack, "rdi": address(kernel, clock)}
        return [
            At(RESET_VECTOR, registers={"cs": 0xF000}),
            At(main, registers=stack),
            main + 1,
            At(register, registers=registers),
            register + 1,
        ]

    walk = [*boot("i8254_timecounter"), *boot("lapic_timecounter"), At(main + 2, idle=True)]
    machine = Machine(walk)
    for where, data in segments(kernel):
        machine.memory.map(where, data)
    machine.memory.map(0x8000, bytes(0x2000))
    trace = tmp_path / "boot.trace"
    with kind(machine) as stub:
        result = gdb([
            f"file {kernel}", f"clock attach {stub.address}",
            f"clock record -o {trace} --no-branches --boots 2 --until clock.registered:lapic", "detach",
        ])  # fmt: skip
    first, second = read(trace), read(tmp_path / "boot-2.trace")
    assert steps(first) == [("clock.registered", "i8254")], result.text
    assert first["end_reason"] == "your guest restarted"
    assert ("clock.registered", "lapic") in steps(second) and ("clock.registered", "i8254") not in steps(second)
    assert not stub.violations and not machine.breakpoints
