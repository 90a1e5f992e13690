# SPDX-License-Identifier: MIT
"""What recordings borrow a guest's instructions for: equal to what a program in the guest is told, and not noticed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import DETERMINISTIC, GUESTS, Guest, Machine, existing, machine, parse_messages
from model import model
from recorded import Recorded, cached_record
from stub_without import NoRegisterWrites

from clockscope.arch import cpuid_leaves
from clockscope.model import told
from clockscope._core import Trace
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from clockscope.kernel.hints import of_kernel
from clockscope.live.quiet_windows import Windows

# A kernel's own choices at its start: whether programs may use XSAVE (leaf 1) and protection keys (leaf 7).
CHOSEN = {(1, 0): (0, 0, 1 << 27, 0), (7, 0): (0, 0, 1 << 4, 0)}


def offset(leaf: int, subleaf: int) -> int:
    """Where the kernel's cpuid driver has a leaf."""
    return subleaf << 32 | leaf


ASKED = (
    "told_leaves=" + ",".join(str(offset(*leaf)) for leaf in cpuid_leaves.LEAVES),
    "told_msrs=" + ",".join(str(number) for number in cpuid_leaves.MSRS),
)
# Without sleep=off, where each stop of an idle guest lets the clock jump to its next timer.
OPTIONS = [*("-icount", "shift=7"), *DETERMINISTIC[2:]]
TELLING = machine(*ASKED, options=[*OPTIONS, "-initrd", str(existing(GUESTS / "initramfs-told.gz"))])


@pytest.fixture(scope="module")
def recorded(shared_directory: Path) -> Recorded:
    return cached_record(TELLING, shared_directory)


def said(log: str, driver: str) -> dict[int, list[int]]:
    """What the guest's program read through a driver: by place, the numbers that it printed."""
    lines = re.findall(rf"clockscope-guest {driver} (\d+): ([0-9a-f ]+)$", log, re.MULTILINE)
    return {int(place): [int(number, 16) for number in numbers.split()] for place, numbers in lines}


def reading(recorded: Recorded, moment: str) -> told.Told:
    with Trace(str(recorded.trace)) as trace:
        return told.of_trace(trace, moment)


def test_leaves_equal_what_a_program_reads(recorded: Recorded, untouched: Callable[[Machine], str]) -> None:
    """In this boot and in one that nobody touched."""
    found = reading(recorded, told.END).leaves
    assert len(found) > 8 and (0x80000007, 0) in found
    for log in (recorded.log, untouched(TELLING)):
        there = said(log, "cpuid")
        for leaf, registers in found.items():
            assert list(registers) == there[offset(*leaf)], f"{leaf[0]:#x}"


def test_msrs_equal_what_a_program_reads(recorded: Recorded, untouched: Callable[[Machine], str]) -> None:
    for moment in (told.BEGIN, told.END):
        found = reading(recorded, moment)
        assert 0x1B in found.msrs and not found.refused
        for log in (recorded.log, untouched(TELLING)):
            there = said(log, "msr")
            assert {number: [value] for number, value in found.msrs.items()}.items() <= there.items()


def test_the_first_reading_lacks_only_what_the_kernel_chose_since(recorded: Recorded) -> None:
    first, last = reading(recorded, told.BEGIN).leaves, reading(recorded, told.END).leaves
    assert first.keys() == last.keys()
    for leaf, registers in first.items():
        chosen = CHOSEN.get(leaf, (0, 0, 0, 0))
        assert [value | bits for value, bits in zip(registers, chosen)] == [
            value | bits for value, bits in zip(last[leaf], chosen)
        ]


def test_the_guest_notices_nothing(recorded: Recorded, untouched: Callable[[Machine], str]) -> None:
    """It prints the same lines, but for numbers; devices are found in no fixed order."""

    def lines(log: str) -> list[str]:
        plain = (re.sub(r"^\[ *[\d.]+\] ", "", line) for line in log.splitlines())
        return sorted(re.sub(r"\S*\d\S*", "N", line) for line in plain)

    assert lines(recorded.log) == lines(untouched(TELLING))


def test_tsc_at_each_event(recorded: Recorded) -> None:
    """The guest's own time from event to event is that between the lines of its log."""
    ticks = [event["tsc"] for event in recorded.events]
    assert ticks == sorted(set(ticks)) and ticks[0] > 0
    (frequency,) = [clock["frequency_hz"] for clock in recorded.timeline["clocks"] if clock["name"] == "tsc"]
    seconds = {f"{line.subsystem}: {line.text}": line.seconds for line in parse_messages(recorded.log).lines}
    pairs = [
        (event["tsc"] / frequency, seconds[event["values"]["message"]])
        for event in recorded.events
        if "message" in event["values"] and seconds[event["values"]["message"]] > 1
    ]
    assert len(pairs) > 3
    for (ours, theirs), (our_next, their_next) in zip(pairs, pairs[1:]):
        assert our_next - ours == pytest.approx(their_next - theirs, rel=0.002, abs=0.005)


# ---------------------------------------------------------------- timing windows


def test_windows_of_a_kernel() -> None:
    elf = ElfFile(str(model("netbsd").vmlinux))
    windows = Windows(elf, 0x1000, of_kernel(elf, profile.load("netbsd").branches))
    (calibration,) = elf.functions("lapic_calibrate_timer")
    inside = [at for at in range(calibration.address, calibration.address + 0x400) if elf.analyser.in_window(at)]
    assert inside
    entry = calibration.address + 0x1000
    assert not windows.hold(entry, [entry])
    assert windows.hold(inside[0] + 0x1000, [inside[0] + 0x1000])
    # Called from there: a frame further out stands behind its call. Inlined functions stand where the inner one does.
    assert windows.hold(entry, [entry, inside[-1] + 1 + 0x1000])
    assert not windows.hold(entry, [entry, entry, entry + 1])


# The i8254 is read in a loop that waits for it.
IN_A_WINDOW = """
[[event]]
rule = "i8254-read"
what = "x-clock.read"
function = "gettick"
when = "$hits <= 2"
"""


def test_nothing_is_borrowed_in_a_window(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    own = tmp_path / "netbsd.toml"
    own.write_text(Path(profile.load("netbsd").path).read_text() + IN_A_WINDOW)
    guest = model("netbsd")
    transcript = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"),
        f"clock record -o {tmp_path}/boot.trace --until exit --no-branches --profile {own}",
    ])  # fmt: skip
    assert transcript.status == 0, transcript.text
    with Trace(str(tmp_path / "boot.trace")) as trace:
        events = trace.timeline()["events"]
        assert trace.meta()["told.end"] == "the guest ended"
    read = [event["tsc"] for event in events if event["rule"] == "i8254-read"]
    assert read[0] is not None and read[1] is None  # the first read begins the window
    others = [event["tsc"] for event in events if event["rule"] != "i8254-read"]
    assert others == sorted(others) and None not in others


def test_what_went_wrong_is_said_once_and_kept(
    boot: Callable[..., Guest], gdb: Callable[..., Transcript], tmp_path: Path
) -> None:
    """A stub that writes no registers: the guest is as it was, and is recorded to its end."""
    machine, trace = model(options=()), tmp_path / "boot.trace"
    guest = boot(machine)
    with NoRegisterWrites(guest.socket) as stub:
        record = f"clock record -o {trace} --no-branches --until exit"
        said = gdb([f"file {machine.vmlinux}", f"clock attach {stub.address}", record]).text
    assert said.count("Your guest lends no instructions any more: ") == 1, said
    assert "The guest is as it was. Nothing more is borrowed from this stub." in said
    assert f"to {trace}, complete: the guest ended" in said and "model: done" in guest.log()
    with Trace(str(trace)) as opened:
        meta = opened.meta()
        assert "the stub refuses" in meta["stub.borrowing"] == meta["told.begin"]
        assert all(event["tsc"] is None for event in opened.timeline()["events"])
