# SPDX-License-Identifier: MIT
"""The harness itself: a wrong reading of a guest's messages would make every comparison worthless."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import traced
from gdbrun import Session, Transcript, run_gdb
from guest import DETERMINISTIC, MICROVM, Guest, Machine, Registered, boot_untouched, machine, parse_messages
from peak import ended

LOG = """\
[    0.000000] Linux version 6.1.0 (gcc 12: ok) #1 SMP
[    0.040000] tsc: Detected 2097.420 MHz processor
[    0.003424][    T0] clocksource: tsc-early: mask: 0xffffffffffffffff max_cycles: 0x1e3b, max_idle_ns: 440795266832 ns
[    0.835407] clocksource: Switched to clocksource tsc-early
[    1.000000] tsc: Marking TSC unstable due to clocksource watchdog
[    1.000001] clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc-early' as unstable because the skew is too large:
[    4.600000] clockscope-guest available_clocksource: hpet acpi_pm 
[    4.600100] clockscope-guest current_clocksource: hpet
"""


def test_messages_are_parsed() -> None:
    found = parse_messages(LOG)
    assert found.registered == [Registered("tsc-early", 2**64 - 1, 0x1E3B, 440795266832)]
    assert found.switched == ["tsc-early"]
    assert found.tsc == ["Detected 2097.420 MHz processor", "Marking TSC unstable due to clocksource watchdog"]
    assert found.unstable == [("tsc", "clocksource watchdog"), ("tsc-early", "the skew is too large")]
    assert (found.available, found.current) == (["hpet", "acpi_pm"], "hpet")
    assert [line.subsystem for line in found.clock_lines] == ["tsc", "clocksource", "clocksource", "tsc", "clocksource"]


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_untouched_boot_says_its_clocks(untouched: Callable[[Machine], str], kernel: str) -> None:
    found = parse_messages(untouched(Machine(kernel=kernel)))
    lost = {clock for clock, _ in found.unstable}  # on a busy host the guest's own watchdog may give the TSC up
    assert found.available == ["tsc"] * (not lost & {"tsc", "tsc-early"}) + ["hpet", "acpi_pm"]
    assert found.current == found.available[0] == found.switched[-1]
    assert {clock.name for clock in found.registered} >= {"refined-jiffies", "jiffies", "hpet", "tsc-early"}


def test_microvm_boots(untouched: Callable[[Machine], str]) -> None:
    found = parse_messages(untouched(machine(options=MICROVM)))
    assert set(found.available) == {"tsc", "refined-jiffies", "jiffies"}


def test_xen_boots_its_first_domain(untouched: Callable[[Machine], str]) -> None:
    found = parse_messages(untouched(machine(xen=True)))
    assert (found.available, found.current) == (["xen", "tsc"], "xen")


def test_deterministic_boots_are_equal_to_the_byte(tmp_path: Path) -> None:
    logs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        logs.append(boot_untouched(machine(options=DETERMINISTIC), tmp_path / name))
    assert logs[0] == logs[1]
    assert parse_messages(logs[0]).available


def test_gdb_attaches_to_a_waiting_guest(boot: Callable[..., Guest], gdb: Callable[..., Transcript]) -> None:
    guest = boot()
    # Not `kill`: QEMU may be gone before it has heard that GDB took note.
    result = gdb(
        [f"file {guest.machine.vmlinux}", f"target remote {guest.socket}", "p/x $pc", "disconnect"], plugin=False
    )
    assert result.status == 0 and "0xfff0" in result.text
    assert guest.log() == ""


def test_gdb_tracebacks_are_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="traceback"):
        run_gdb("python raise ValueError('x')", tmp_path, plugin=False)


def test_a_session_takes_commands_and_ctrl_c(gdb_session: Callable[..., Session]) -> None:
    session = gdb_session(plugin=False)
    assert session.command("print 6 * 7") == "$1 = 42\n"
    session.send("python import time; print('waiting', flush=True); time.sleep(60)\n")
    session.expect("^waiting$")
    session.interrupt()
    session.prompt(limit=20)
    assert session.command("print 1") == "$2 = 1\n"
    session.transcript = ""  # the KeyboardInterrupt was asked for


def test_memory_is_the_programs_own() -> None:
    large = bytearray(b"x") * (200 << 20)
    little = ended([sys.executable, "-S", "-c", "import sys; print('said', file=sys.stderr); sys.exit(3)"])
    assert (little.status, little.errors) == (3, "said\n")
    assert little.memory < len(large) // 2
    assert ended([sys.executable, "-S", "-c", "bytearray(b'x') * (100 << 20)"]).memory > 100 << 20


@dataclass(frozen=True)
class Silent:
    """What stands still after a word."""

    vmlinux: Path = Path()

    def command(self, serial: Path, *more: str) -> list[str]:
        return ["sh", "-c", f"echo a word >{serial}; exec sleep 1000"]


def test_a_silent_qemu_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced, "SILENCE_LIMIT", 2)
    with pytest.raises(traced.Hung, match="wrote nothing for 2 s"):
        traced.run_untouched(Silent(), tmp_path / "serial.log")
