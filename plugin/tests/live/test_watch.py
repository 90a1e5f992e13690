# SPDX-License-Identifier: MIT
"""`clock record --watch`: each write to a variable, with what it held before and after, and who wrote."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bare
import pytest
from gdbrun import Transcript
from guest import Guest, Machine, read_serial
from model import model, parse_clocks
from stub_without import NoWatchpoints

Event = dict[str, Any]
Program = Callable[..., "subprocess.CompletedProcess[str]"]

PEER = r"""
#include <string.h>

volatile int level = 5;
char name[8], wide[64];

__attribute__((noinline)) void set(int n) { level = n; }
__attribute__((noinline)) void through(volatile int *p) { *p = 99; }

int main(void)
{
	set(42);
	set(42);
	through(&level);
	set(7);
	memset(name, 'x', sizeof(name) - 1);
	return wide[0];
}
"""


def writes(program: Program, trace: Path, name: str) -> list[Event]:
    """The trace's events of a watched variable."""
    done = program("timeline", "--format", "json", trace)
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout)["events"] if event["clock"] == name]


def states(program: Program, trace: Path) -> dict[str, tuple[str, int | None]]:
    """What became of each watched variable, and how often it was written."""
    content = json.loads(program("timeline", "--format", "json", trace).stdout)
    watches = [one for one in content["coverage"] if one["what"] == "variable.written"]
    assert all(one["from_ns"] is not None and one["to_ns"] is not None for one in watches)
    return {one["function"]: (one["state"], one["reached"]) for one in watches}


def changes(events: list[Event]) -> list[tuple[object, object]]:
    return [(event["values"]["old"], event["values"]["new"]) for event in events]


def record(gdb: Callable[..., Transcript], symbols: Path, launch: str, *options: str) -> Transcript:
    return gdb([f"file {symbols}", launch, " ".join(["clock record", *options])])


@pytest.mark.parametrize("bare", [False, True], ids=["dwarf", "symbols only"])
def test_writes_are_what_the_guest_printed(
    bare: bool, gdb: Callable[..., Transcript], program: Program, tmp_path: Path
) -> None:
    """From the reset vector on: long before the variable's memory is mapped."""
    machine, serial, trace = model(), tmp_path / "serial.log", tmp_path / "boot.trace"
    symbols = machine.vmlinux
    if bare:
        symbols = tmp_path / "bare.elf"
        subprocess.run(["objcopy", "--strip-debug", machine.vmlinux, symbols], check=True)
    record(gdb, symbols, machine.launch(serial), f"-o {trace} --watch lapic_per_second --until exit")
    found = writes(program, trace, "lapic_per_second")
    first, second = [hertz for _, hertz in parse_clocks(read_serial(serial)).calibrated]
    assert changes(found) == [(0, first), (first, second)]
    assert [event["function"] for event in found] == ["lapic_calibrate_timer"] * 2
    callers = [[frame["function"] for frame in event["backtrace"]][1] for event in found]
    # Without debug information GDB guesses at frames, and misses one.
    assert callers == ["cpu_configure" if bare else "cpu_attach", "lapic_initclock"]


def test_the_line_is_the_stores_own(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    machine, trace = model(), tmp_path / "boot.trace"
    record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), f"-o {trace} --watch lapic_per_second --until exit")
    answer = program("writers", machine.vmlinux, "lapic_per_second", "--format", "json").stdout
    static = {writer["address"]: writer["source"] for writer in json.loads(answer)["writers"]}
    for event in writes(program, trace, "lapic_per_second"):
        store = event["backtrace"][0]
        assert static[store["address"]] == store["source"] == event["source"]


def test_fields_and_pointers(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    """A pointer to what has a symbol is shown as that symbol."""
    machine, trace = model("netbsd", "kvm"), tmp_path / "boot.trace"
    watched = "i8254_timecounter.tc_next,x86_initclock_func,timecounter"
    record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), f"-o {trace} --watch {watched} --until exit")
    assert changes(writes(program, trace, "i8254_timecounter.tc_next"))[-1][1] is not None
    assert changes(writes(program, trace, "timecounter"))[0] == ("dummy_timecounter", "i8254_timecounter")
    assert changes(writes(program, trace, "x86_initclock_func")) == [("i8254_initclocks", "lapic_initclock")]


def test_until_a_variable_is_written(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    machine, trace = model(), tmp_path / "boot.trace"
    options = f"-o {trace} --watch lapic_per_second,lapic_from_cpuid --until variable.written:lapic_per_second"
    said = record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), options).text
    assert "complete: reached variable.written:lapic_per_second" in said
    assert len(writes(program, trace, "lapic_per_second")) == 1
    # The boot went on: that the other was not written says nothing of the rest of it.
    assert states(program, trace) == {"lapic_per_second": ("happened", 1), "lapic_from_cpuid": ("ended early", 0)}


def test_never_written(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    machine, trace = model(), tmp_path / "boot.trace"
    options = f"-o {trace} --watch lapic_from_cpuid --until exit"
    record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), options)
    assert states(program, trace) == {"lapic_from_cpuid": ("did not happen", 0)}
    said = program("timeline", trace).stdout
    line = next(line for line in said[said.index("Did not happen") :].splitlines() if "watch-lapic_from_cpuid" in line)
    assert "variable written" in line and "watched from" in line
    functions = program("reached", trace, "*").stdout.split()
    assert "tsc_freq_cpuid" in functions
    assert not {"lapic_from_cpuid", "tsc_freq_cpuid:return"}.intersection(functions)


def test_the_timeline_shows_the_change(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    machine, serial, trace = model(), tmp_path / "serial.log", tmp_path / "boot.trace"
    options = f"-o {trace} --no-branches --watch lapic_per_second --until exit"
    record(gdb, machine.vmlinux, machine.launch(serial), options)
    first = parse_clocks(read_serial(serial)).calibrated[0][1]
    lines = [" ".join(line.split()) for line in program("timeline", trace).stdout.splitlines()]
    shown = f"variable written lapic_per_second 0 → {first} lapic_calibrate_timer"
    assert any(shown in line for line in lines)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lapic_per_secnd", "no variable lapic_per_secnd in .* \\(did you mean lapic_per_second\\?\\)"),
        ("lapic_timecounter", "it has 64 bytes, a watch takes 1, 2, 4 or 8; name one of its fields"),
    ],
)
def test_what_cannot_be_watched(name: str, said: str, gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    machine, trace = model(), tmp_path / "boot.trace"
    transcript = record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), f"-o {trace} --watch {name}")
    (line,) = [line for line in transcript.text.splitlines() if name in line and "Error" not in line]
    assert re.search(said, line)
    assert transcript.status != 0
    assert not trace.exists()


# ---------------------------------------------------------------- stubs without watchpoints


def test_without_watchpoints_the_stores_are_probed(
    boot: Callable[..., Guest], gdb: Callable[..., Transcript], program: Program, tmp_path: Path
) -> None:
    """The same writes, on the same model, by the other way."""
    machine, trace = model(options=()), tmp_path / "boot.trace"
    guest = boot(machine)
    with NoWatchpoints(guest.socket) as stub:
        options = f"-o {trace} --watch lapic_per_second,lapic_from_cpuid --until exit"
        said = record(gdb, machine.vmlinux, f"clock attach {stub.address}", options).text
    assert stub.asked
    # A write through a pointer would not be seen.
    assert states(program, trace) == {"lapic_per_second": ("happened", 2), "lapic_from_cpuid": ("not seen", None)}
    assert "Not seen, by a watch that does not see all" in program("timeline", trace).stdout
    answer = program("writers", machine.vmlinux, "lapic_per_second", "--format", "json").stdout
    stores = len(json.loads(answer)["writers"])
    note = f"no watchpoint: breakpoints on {stores} of {stores} instructions that store to it by its name"
    assert stores and f"--watch lapic_per_second: {note}" in said
    first, second = [hertz for _, hertz in parse_clocks(guest.log()).calibrated]
    found = writes(program, trace, "lapic_per_second")
    assert changes(found) == [(0, first), (first, second)]
    assert [event["function"] for event in found] == ["lapic_calibrate_timer"] * 2


def test_a_real_stub_that_has_none(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    """qemu-x86_64 debugs programs, without watchpoints. A write through a pointer is not seen; the next old value is."""
    (tmp_path / "peer.c").write_text(PEER)
    subprocess.run(["gcc", "-g", "-O1", "-no-pie", "-static", "-o", "peer", "peer.c"], cwd=tmp_path, check=True)
    peer, socket, trace = tmp_path / "peer", tmp_path / "s", tmp_path / "peer.trace"
    process = subprocess.Popen(["qemu-x86_64", "-g", str(socket), str(peer)])
    try:
        wait = f"python import os, time\nwhile not os.path.exists('{socket}'): time.sleep(0.01)"
        script = ["python", *wait.removeprefix("python ").split("\n"), "end", f"file {peer}", f"clock attach {socket}"]
        gdb([*script, f"clock record -o {trace} --watch level,name --until exit"])
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert changes(writes(program, trace, "level")) == [(5, 42), (42, 42), (99, 7)]
    assert changes(writes(program, trace, "name"))[-1][1] == "xxxxxxx"


def test_a_repeated_store_is_one_write(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    """Linux clears its uninitialised data byte by byte, by one instruction; pointers are told by their symbols."""
    trace = tmp_path / "boot.trace"
    options = f"-o {trace} --no-branches --watch curr_clocksource --until variable.written:curr_clocksource"
    machine = Machine()
    record(gdb, machine.vmlinux, machine.launch(tmp_path / "log"), options)
    (cleared,) = writes(program, trace, "curr_clocksource")
    assert cleared["function"] == "clear_bss"
    assert changes([cleared]) == [(0, 0)]


# ---------------------------------------------------------------- stops that are no writes

STORES = """
        lea level(%rip), %rbx
        movl $1, level(%rip)
        movl $1, (%rbx)
        xorl %eax, %eax
        xorl %edx, %edx
        lock cmpxchgl %edx, level(%rip)
        movl $1, %eax
        movl $1, %edx
        lock cmpxchgl %edx, (%rbx)
        lock orl $0, (%rbx)
        xorl %eax, %eax
        lock xaddl %eax, (%rbx)
        movq %rax, -9(%rbx)
        movq %rax, -8(%rbx)
        movq %rax, 4(%rbx)
        movl %eax, 5(%rbx)
        movw %ax, -3(%rbx)
        movups %xmm0, -16(%rbx)
        movl $7, (%rbx)
        movl $7, %eax
        xchgl %eax, (%rbx)
        movl $9, %edx
        lock cmpxchgl %edx, (%rbx)
        movl $9, %eax
        movq %rbx, %rdi
        stosl
        movl $0x900, %eax
        movl %eax, -1(%rbx)
"""
LEVEL = """
        .data
        .align 16
        .skip 16
        .globl level
        .type level, @object
        .size level, 4
level:  .long 5
        .skip 12
"""


def test_what_is_no_write(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    """Unaligned stores beside the variable, and atomic ways to read it; what stores the same value is a write."""
    guest = bare.build(tmp_path, bare.function("body", STORES + bare.END) + LEVEL)
    elf, trace = guest.vmlinux, tmp_path / "k.trace"
    record(gdb, elf, f"clock launch -- {guest.command()}", f"-o {trace} --watch level --until exit")
    found = writes(program, trace, "level")
    assert changes(found) == [(5, 1), (1, 1), (1, 7), (7, 7), (7, 9), (9, 9), (9, 9)]
    answer = json.loads(program("writers", elf, "level", "--format", "json").stdout)
    assert [writer.get("perhaps") for writer in answer["writers"]] == [None, True]
    assert "# level, may write" in program("writers", elf, "level").stdout
