# SPDX-License-Identifier: MIT
"""An instruction borrowed from a stopped guest, on every kind of stub: done, or refused, and the guest as it was."""

import pytest
from relay_world import CAPABLE, make, relayed
from scripted_machine import At, Machine, Stop
from scripted_quirks import GdbserverStub, KgdbStub, QemuKvmStub, QemuStub
from scripted_stub import FakeStub

from clockscope._core import ArgumentError, RefusedError, StateError
from clockscope.standstill import tsc_runs_on

RDTSC, CPUID, ELSE = 0x9000, 0x9010, 0x9020
KERNEL = 0xFFFFFFFF81000000
USER_CS, KERNEL_CS = 0x33, 0x10


def lend(machine: Machine) -> None:
    """Text that holds instructions to borrow."""
    for address, code in ((RDTSC, b"\x0f\x31"), (CPUID, b"\x0f\xa2"), (ELSE, b"\x90\x90")):
        machine.memory.map(address, code)


def standing(cs: int, pc: int) -> QemuStub:
    machine = Machine([At(pc, registers={"cs": cs, "rax": 1, "rdx": 2, "rcx": 3, "rbx": 4}), pc + 1])
    lend(machine)
    return QemuStub(machine)


@pytest.mark.parametrize("kind", CAPABLE)
def test_the_guest_is_as_it_was(kind: type[FakeStub]) -> None:
    stub = make(kind)
    lend(stub.machine)
    with relayed(stub) as relay:
        before = bytes(stub.machine.vcpu(1).registers)
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == 0x54474354
        first, second = relay.borrow("rdtsc", RDTSC), relay.borrow("rdtsc", RDTSC)
        assert second[3] << 32 | second[0] > first[3] << 32 | first[0]
        assert bytes(stub.machine.vcpu(1).registers) == before


def test_only_what_memory_holds() -> None:
    with relayed(standing(KERNEL_CS, KERNEL)) as relay:
        with pytest.raises(RefusedError, match="0x9020 does not hold the instruction"):
            relay.borrow("rdtsc", ELSE)


def test_not_while_a_program_runs() -> None:
    stub = standing(USER_CS, 0x401000)
    with relayed(stub) as relay:
        with pytest.raises(RefusedError, match="a program runs in the guest, not its kernel"):
            relay.borrow("rdtsc", RDTSC)
    assert not stub.machine.vcpu(1).executed


def test_a_kernel_without_privileges_lends_what_it_may_execute() -> None:
    with relayed(standing(USER_CS, KERNEL)) as relay:
        relay.borrow("cpuid", CPUID)
        with pytest.raises(RefusedError, match="its hypervisor reads MSRs for it"):
            relay.borrow("rdmsr", RDTSC, 0, 0x1B)


def test_not_in_a_replay() -> None:
    with relayed(standing(KERNEL_CS, KERNEL)) as relay:
        relay.set_replay(True)
        with pytest.raises(StateError, match="in a replay"):
            relay.borrow("rdtsc", RDTSC)


class PolledMachine(Machine):
    """Each second step ends before it has executed anything, as QEMU's does when the local APIC wants to be polled."""

    polled = False

    def run(self, rounds: int) -> Stop | None:
        self.polled = not self.polled
        return Stop(1) if self.polled and "s" in self.actions.values() else super().run(rounds)


def test_a_step_that_executes_nothing() -> None:
    machine = PolledMachine([KERNEL, KERNEL + 1])
    lend(machine)
    with relayed(QemuStub(machine)) as relay:
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == 0x54474354
    assert machine.executed(CPUID) == 1 and machine.vcpu(1).pc == KERNEL


@pytest.mark.parametrize("kind, expected", [(QemuStub, False), (QemuKvmStub, True), (GdbserverStub, False)])
def test_whether_the_tsc_runs_on(kind: type[FakeStub], expected: bool) -> None:
    """Places that the kernel has patched meanwhile are passed over."""
    stub = make(kind)
    lend(stub.machine)
    with relayed(stub) as relay:
        assert tsc_runs_on(relay, [ELSE, RDTSC]) is expected
        assert tsc_runs_on(relay, [ELSE]) is None


def test_nothing_else_is_borrowed() -> None:
    with relayed(standing(KERNEL_CS, KERNEL)) as relay:
        with pytest.raises(ArgumentError, match="only rdtsc, cpuid and rdmsr are borrowed, not hlt"):
            relay.borrow("hlt", RDTSC)


def test_the_guest_then_goes_on_with_all_its_threads() -> None:
    """Without vCont a step is preceded by the choice of its thread, which would hold for what follows."""
    stub = make(KgdbStub)
    lend(stub.machine)
    with relayed(stub) as relay:
        relay.borrow("rdtsc", RDTSC)
        relay.resume()
        relay.wait(5)
        assert stub.packets(b"Hc")[-1] == b"Hc-1"
