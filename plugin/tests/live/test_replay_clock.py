# SPDX-License-Identifier: MIT
"""The time of a replay's guest, by instructions and by the clocks that go on while it idles."""

from __future__ import annotations

import pytest

from clockscope._core import RefusedError
from clockscope.live.replay_clock import ReplayClock

SHIFT = 7
HPET_FROM = 1_000_000_000
"""When the kernel enables it, ns."""
MTREE = """address-space: I/O
  0000000000000000-000000000000ffff (prio 0, i/o): io
    0000000000000600-000000000000063f (prio 0, i/o): piix4-pm
      0000000000000600-0000000000000603 (prio 0, i/o): acpi-evt
      {pm:016x}-000000000000060b (prio 0, i/o): acpi-tmr
    00000000fed00000-00000000fed003ff (prio 0, i/o): hpet
"""


class Machine:
    """What QEMU's monitor says of a machine whose clock stands at `ns`."""

    def __init__(self, pm: int | None = 0x608, hpet: bool = True) -> None:
        self.ns = 0
        self.pm = pm
        self.hpet = hpet
        self.read: list[str] = []

    def __call__(self, command: str) -> str:
        self.read.append(command)
        if command == "info mtree":
            text = MTREE.format(pm=self.pm if self.pm is not None else 0)
            gone = ["acpi-tmr"] * (self.pm is None) + ["hpet"] * (not self.hpet)
            return "\n".join(line for line in text.splitlines() if not line.endswith(tuple(gone)))
        if command == "i /1w 0x608":
            return f"portl[0x0608] = {self.ns * 3_579_545 // 10**9 % (1 << 24):#010x}\n"
        if command == "xp /1gx 0xfed000f0":
            return f"00000000fed000f0: {max(self.ns - HPET_FROM, 0) // 10:#018x}\n"
        raise RefusedError(f"unknown command {command}")


def told(machine: Machine, moments: list[tuple[int, int]]) -> list[int]:
    """By pairs of executed instructions and ns that went by idling, each after the one before: how much more than executed."""
    clock, count, machine.ns = ReplayClock(machine, SHIFT), 0, 450_000
    found = []
    for instructions, idle in moments:
        count += instructions
        machine.ns += (instructions << SHIFT) + idle
        found.append(clock.ns(count) - (count << SHIFT))
    return found


def test_what_executes_is_told_to_the_nanosecond() -> None:
    moments = [(10_000_000, 0), (7, 0), (123_456, 0), (99_999_999, 0), (1, 0)]
    assert told(Machine(), moments) == [0] * len(moments)


@pytest.mark.parametrize("hpet", [True, False])
def test_idling_is_added(hpet: bool) -> None:
    """Before the HPET runs, across its start, and after."""
    moments = [(1_000_000, 0), (2_000_000, 300_000_000), (9_000_000, 0), (50_000_000, 1_507_000_000), (5, 0)]
    found = told(Machine(hpet=hpet), moments)
    assert found == pytest.approx([0, 3e8, 3e8, 1.807e9, 1.807e9], abs=1000)


def test_a_long_idle_needs_the_hpet() -> None:
    """The PM timer is round in 4.7 s."""
    moments = [(20_000_000, 0), (1_000, 5_507_000_000), (1_000, 0), (1_000, 14_200_000_000)]
    assert told(Machine(), moments) == pytest.approx([0, 5.507e9, 5.507e9, 19.707e9], abs=1000)


def test_the_hpet_alone() -> None:
    moments = [(20_000_000, 0), (1_000, 5_507_000_000), (1_000, 0)]
    machine = Machine(pm=None)
    assert told(machine, moments) == pytest.approx([0, 5.507e9, 5.507e9], abs=1000)
    assert not any(command.startswith("i ") for command in machine.read)


@pytest.mark.parametrize("machine", [Machine(pm=None, hpet=False), Machine(pm=8, hpet=False)])
def test_what_is_not_there_is_not_read(machine: Machine) -> None:
    """Nor a PM timer to which the firmware has given no address: port 8 is the DMA controller's."""
    clock = ReplayClock(machine, SHIFT)
    assert (clock.ns(10), clock.ns(20)) == (10 << SHIFT, 20 << SHIFT) and machine.read == ["info mtree"]
    assert clock.source == "instructions alone, without the time of idling"


def test_a_stub_without_a_monitor() -> None:
    def refuse(command: str) -> str:
        raise RefusedError(command)

    assert ReplayClock(refuse, SHIFT).ns(1000) == 128_000
