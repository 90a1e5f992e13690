# SPDX-License-Identifier: MIT
"""An instruction borrowed from a stopped guest, on every kind of stub: done, or refused, and the guest as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from relay_world import BODY, CALL, CAPABLE, START, debugged, make
from rsp_client import RspClient
from scripted_machine import At, Machine, Stop
from scripted_quirks import GdbserverStub, KgdbStub, QemuKvmStub, QemuStub, VirtualBoxStub
from scripted_stub import FakeStub
from scripted_wire import Hangup, Reply

from clockscope._core import ArgumentError, ClosedError, RefusedError, Relay, StateError
from clockscope.live.standstill import tsc_runs_on

RDTSC, CPUID, ELSE = 0x9000, 0x9010, 0x9020
KERNEL = 0xFFFFFFFF81000000
USER_CS, KERNEL_CS = 0x33, 0x10
TCG = 0x54474354  # "TCGT": what leaf 0x40000000 says
TF, IF = 1 << 8, 1 << 9


def lend(machine: Machine) -> None:
    """Text that holds instructions to borrow."""
    for address, code in ((RDTSC, b"\x0f\x31"), (CPUID, b"\x0f\xa2"), (ELSE, b"\x90\x90")):
        machine.memory.map(address, code)


def standing(cs: int, pc: int, kind: type[FakeStub] = QemuStub) -> FakeStub:
    """A guest that comes to PC, with registers of its own there."""
    registers = {"cs": cs, "rax": 1, "rdx": 2, "rcx": 3, "rbx": 4, "rsp": 0x8800, "eflags": IF | 2}
    machine = Machine([pc - 1, At(pc, b"\x90", registers=registers), *range(pc + 1, pc + 40)])
    lend(machine)
    return kind(machine)


def plant(client: RspClient, address: int) -> None:
    """A breakpoint of GDB's, in hardware where the stub has it."""
    assert any(client.request(b"Z%d,%x,1" % (kind, address)) == b"OK" for kind in (1, 0))


@contextmanager
def stopped(stub: FakeStub, at: int = KERNEL, *, timeout: float = 5.0) -> Iterator[tuple[Relay, RspClient]]:
    """The guest has run into a breakpoint of GDB's."""
    with debugged(stub, timeout=timeout) as (relay, client):
        plant(client, at)
        client.resume(b"vCont;c" if relay.capabilities()["vcont"] else b"c")
        assert stub.machine.vcpu(1).pc == at
        yield relay, client


def state(stub: FakeStub) -> tuple[bytes, set[tuple[int, int]]]:
    return bytes(stub.machine.vcpu(1).registers), set(stub.machine.breakpoints)


@pytest.mark.parametrize("kind", [kind for kind in CAPABLE if kind is not VirtualBoxStub])
def test_the_guest_is_as_it_was(kind: type[FakeStub]) -> None:
    stub = make(kind)
    lend(stub.machine)
    with stopped(stub, CALL) as (relay, _):
        before = state(stub)
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == TCG
        first, second = relay.borrow("rdtsc", RDTSC), relay.borrow("rdtsc", RDTSC)
        assert second[3] << 32 | second[0] > first[3] << 32 | first[0]
        assert state(stub) == before
    assert stub.machine.executed(RDTSC) == 2 and not relay.borrow_refusal


def test_it_is_never_single_stepped() -> None:
    """Under KVM a step over these does not come back. Only the thread that lends runs."""
    stub = standing(KERNEL_CS, KERNEL)
    with stopped(stub) as (relay, _):
        relay.borrow("cpuid", CPUID)
        relay.borrow("rdtsc", RDTSC)
    assert not stub.packets("vCont;s") and not stub.packets("s")
    assert stub.packets("vCont;c:p1.1") and len(stub.packets("Z1,9002")) == len(stub.packets("z1,9002")) == 1


class Flags(Machine):
    """It keeps the flags with which the borrowed instruction runs."""

    seen = -1

    def _special(self, vcpu: object) -> None:
        if self.vcpu(1).astray:
            self.seen = self.vcpu(1).read("eflags")
        super()._special(self.vcpu(1))


def test_interrupts_are_held_off() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    stub.machine.__class__ = Flags
    with stopped(stub) as (relay, _):
        relay.borrow("rdtsc", RDTSC)
        assert isinstance(stub.machine, Flags) and stub.machine.seen == 2
        assert stub.machine.vcpu(1).read("eflags") == IF | 2


# ---------------------------------------------------------------- where nothing is borrowed


def refused(relay: Relay, why: str, instruction: str = "rdtsc", address: int = RDTSC) -> None:
    """Refused here and now; elsewhere it may be borrowed."""
    with pytest.raises(RefusedError, match=why):
        relay.borrow(instruction, address)
    assert relay.borrow_refusal == ""


def test_only_what_memory_holds() -> None:
    with stopped(standing(KERNEL_CS, KERNEL)) as (relay, _):
        refused(relay, "0x9020 does not hold the instruction", address=ELSE)


def test_not_while_a_program_runs() -> None:
    stub = standing(USER_CS, 0x401000)
    with stopped(stub, 0x401000) as (relay, _):
        refused(relay, "a program runs in the guest, not its kernel")
    assert not stub.machine.executed(RDTSC)


def test_a_kernel_without_privileges_lends_what_it_may_execute() -> None:
    with stopped(standing(USER_CS, KERNEL)) as (relay, _):
        relay.borrow("cpuid", CPUID)
        refused(relay, "its hypervisor reads MSRs for it", "rdmsr")


def test_not_in_a_replay() -> None:
    with stopped(standing(KERNEL_CS, KERNEL)) as (relay, _):
        relay.set_replay(True)
        with pytest.raises(StateError, match="in a replay"):
            relay.borrow("rdtsc", RDTSC)


def test_not_where_a_debugger_has_just_come_to() -> None:
    """Nobody knows within what the guest was stopped."""
    stub = standing(KERNEL_CS, KERNEL)
    with debugged(stub) as (relay, _):
        before = state(stub)
        refused(relay, "it may stand within an instruction")
        assert state(stub) == before


@pytest.mark.parametrize("kind", [QemuStub, GdbserverStub, FakeStub])
def test_not_where_ctrl_c_landed(kind: type[FakeStub]) -> None:
    """Not even where there happens to be a breakpoint, or the stub calls it a trap."""
    machine = Machine([START, At(KERNEL, registers={"cs": KERNEL_CS}, idle=True), KERNEL + 1])
    lend(machine)
    stub = kind(machine)
    with debugged(stub) as (relay, client):
        client.send(b"vCont;c")
        client.interrupt()
        client.stop()
        refused(relay, "let it run into one")
        plant(client, stub.machine.vcpu(1).pc)
        refused(relay, "let it run into one")


class TrapsOnInterrupt(FakeStub):
    """It tells an interrupt as a trap, as bhyve does."""

    def stop(self, stop: Stop) -> None:
        super().stop(Stop(stop.thread, 5, stop.reason, stop.address, stop.exit))


def test_not_where_an_interrupt_is_called_a_trap() -> None:
    machine = Machine([START, At(KERNEL, registers={"cs": KERNEL_CS}, idle=True), KERNEL + 1])
    lend(machine)
    with debugged(TrapsOnInterrupt(machine)) as (relay, client):
        client.send(b"vCont;c")
        client.interrupt()
        client.stop()
        plant(client, machine.vcpu(1).pc)
        refused(relay, "let it run into one")


def test_not_at_a_watchpoint() -> None:
    machine = Machine([START, At(KERNEL, writes={0x8000: b"\1"}), KERNEL + 1, KERNEL + 2])
    lend(machine)
    with debugged(FakeStub(machine)) as (relay, client):
        client.request(b"Z2,8000,4")
        client.resume()
        plant(client, machine.vcpu(1).pc)
        refused(relay, "let it run into one")


def test_gdb_takes_its_breakpoints_out_before_it_says_that_the_guest_stands() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    with stopped(stub) as (relay, client):
        assert client.request(b"z1,%x,1" % KERNEL) == b"OK"
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == TCG
        client.resume(b"vCont;s:p1.1")
        refused(relay, "at no breakpoint")


@pytest.mark.parametrize(
    ("code", "before"), [(b"\xec", b"\x90"), (b"\x6e", b"\x90"), (b"\xe6\x80", b"\x90"), (b"\x90", b"\xfb")]
)  # fmt: skip
def test_not_next_to_what_waits_for_a_device(code: bytes, before: bytes) -> None:
    """in, outs, out; and behind sti, which holds interrupts off for one instruction."""
    stub = standing(KERNEL_CS, KERNEL)
    stub.machine.memory.write(KERNEL - 1, before + code)
    with stopped(stub) as (relay, _):
        refused(relay, "waits for, or drives, a device")


def test_not_while_the_guest_steps_itself() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    with stopped(stub) as (relay, _):
        stub.machine.vcpu(1).write("eflags", TF | 2)
        refused(relay, "single-steps itself")


def test_not_where_a_breakpoint_is_in_its_way() -> None:
    with stopped(standing(KERNEL_CS, KERNEL)) as (relay, client):
        plant(client, RDTSC)
        refused(relay, "there is a breakpoint at the instruction to borrow")


def test_a_breakpoint_that_is_there_already_is_enough() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    with stopped(stub) as (relay, client):
        plant(client, RDTSC + 2)
        before = state(stub)
        relay.borrow("rdtsc", RDTSC)
        assert state(stub) == before


def test_not_without_vcont_on_several_processors() -> None:
    """The others would run too, and stop where nobody expects it."""
    stub = make(KgdbStub, [START, CALL, CALL + 1], [START, BODY])
    lend(stub.machine)
    with stopped(stub, CALL) as (relay, _):
        refused(relay, "cannot let one processor run alone")


# ---------------------------------------------------------------- few breakpoints


@pytest.mark.parametrize("kind", [0, 1])
def test_the_breakpoint_is_of_a_kind_that_has_hit(kind: int) -> None:
    """Of one kind a stub may take every breakpoint, and hit none; int3 kills some guests."""
    stub = standing(KERNEL_CS, KERNEL)
    with debugged(stub) as (relay, client):
        client.request(b"Z%d,%x,1" % (kind, KERNEL))
        client.resume()
        relay.borrow("rdtsc", RDTSC)
    assert stub.packets(b"Z%d,%x,1" % (kind, RDTSC + 2)) and not stub.packets(b"Z%d,%x,1" % (1 - kind, RDTSC + 2))


class OneSlot(QemuKvmStub):
    slots = 1


def test_the_slot_of_the_breakpoint_at_hand() -> None:
    stub = standing(KERNEL_CS, KERNEL, OneSlot)
    with stopped(stub) as (relay, _):
        before = state(stub)
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == TCG
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == TCG
        assert state(stub) == before


class NoOther(QemuStub):
    """It takes the first breakpoint, and no other."""

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return super().Z(kind, address, length) if address == KERNEL else "E28"


def test_no_slot_is_left() -> None:
    stub = standing(KERNEL_CS, KERNEL, NoOther)
    with stopped(stub) as (relay, _):
        before = state(stub)
        refused(relay, 'refuses "Z1,9002,1"')
        assert state(stub) == before and not stub.packets("G") and stub.resumes() == 1


class LosesIts(NoOther):
    """Its slots are taken by somebody else as soon as one is free."""

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return "E28" if self.packets("z") else super().Z(kind, address, length)

    def z(self, kind: int, address: int, length: int) -> Reply:
        return super().z(kind, address, length) if (kind, address) in self.machine.breakpoints else "E22"


def test_a_breakpoint_that_is_lost_is_told() -> None:
    stub = standing(KERNEL_CS, KERNEL, LosesIts)
    with stopped(stub) as (relay, _):
        with pytest.raises(RefusedError, match="the breakpoint at 0xffffffff81000000, lent for a moment, is lost"):
            relay.borrow("rdtsc", RDTSC)
        assert "is lost" in relay.borrow_refusal


def test_a_breakpoint_that_cannot_be_lifted() -> None:
    """One is enough: its stops, in what reads the clock, are ignored, and there will be no more of them."""
    stub = make(VirtualBoxStub)
    lend(stub.machine)
    with stopped(stub, CALL) as (relay, _):
        before = bytes(stub.machine.vcpu(1).registers)
        relay.borrow("cpuid", CPUID)
        assert bytes(stub.machine.vcpu(1).registers) == before
        with pytest.raises(RefusedError, match='the stub refuses "z1,9012,1"'):
            relay.borrow("rdtsc", RDTSC)
    assert not stub.machine.executed(RDTSC)


# ---------------------------------------------------------------- what goes wrong


def never_again(stub: FakeStub, relay: Relay, *said: str) -> None:
    """It fails, says what happened and what state the guest is in, and is not tried again."""
    with pytest.raises(RefusedError) as caught:
        relay.borrow("rdtsc", RDTSC)
    for text in said:
        assert text in str(caught.value)
    requests = len(stub.packets())
    with pytest.raises(RefusedError) as again:
        relay.borrow("cpuid", CPUID)
    assert str(again.value) == relay.borrow_refusal == str(caught.value)
    assert len(stub.packets()) == requests and relay.state == "stopped"


class NeverHit(QemuStub):
    """Behind a borrowed instruction its breakpoints do not hit, though it takes them."""

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return "OK" if address == RDTSC + 2 else super().Z(kind, address, length)

    def z(self, kind: int, address: int, length: int) -> Reply:
        return "OK" if address == RDTSC + 2 else super().z(kind, address, length)


def test_a_breakpoint_that_is_never_hit() -> None:
    stub = standing(KERNEL_CS, KERNEL, NeverHit)
    stub.pace = 0.01
    stub.machine.vcpu(1).loop_to = 3
    with stopped(stub) as (relay, client):
        before = state(stub)
        never_again(stub, relay, "did not end there", "its time was over", "what it wrote to memory cannot be undone")
        assert state(stub) == before
        # The connection is as it was, and the guest goes on.
        plant(client, KERNEL + 9)
        assert client.resume(b"vCont;c").startswith(b"T05")
        assert stub.machine.vcpu(1).pc == KERNEL + 9


class Elsewhere(Machine):
    """An interrupt comes before the borrowed instruction: the guest stops in its handler, at a breakpoint there."""

    def run(self, rounds: int) -> Stop | None:
        vcpu = self.vcpu(1)
        if self.lent(vcpu):
            vcpu.write("rip", KERNEL + 30)
            vcpu.write("rsp", vcpu.read("rsp") - 40)
            return Stop(1)
        return super().run(rounds)


class Scheduled(Machine):
    """Another task comes to the very instruction."""

    def run(self, rounds: int) -> Stop | None:
        vcpu = self.vcpu(1)
        if self.lent(vcpu):
            vcpu.write("rip", RDTSC + 2)
            vcpu.write("rsp", 0x6000)
            return Stop(1)
        return super().run(rounds)


class OtherThread(Machine):
    """Another processor stops first, for a reason of its own."""

    def run(self, rounds: int) -> Stop | None:
        stop = super().run(rounds)
        return Stop(2) if stop is not None and self.vcpu(1).pc == RDTSC + 2 else stop


class Watched(Machine):
    """The breakpoint behind the instruction is called a watchpoint, as QEMU did on kvm_pvm: that is not trusted."""

    quirks: tuple[str, ...] = ("breakpoint-as-watchpoint",)

    def run(self, rounds: int) -> Stop | None:
        stop = super().run(rounds)
        if stop is not None and self.vcpu(1).pc == RDTSC + 2:
            return Stop(1, reason="awatch", address=RDTSC + 2)
        return stop


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Elsewhere, "0xffffffff8100001e"), (Scheduled, "0x9002"), (OtherThread, "0x9002")],
)
def test_it_stops_elsewhere(kind: type[Machine], said: str) -> None:
    stub = standing(KERNEL_CS, KERNEL)
    stub.machine.__class__ = kind
    with stopped(stub) as (relay, _):
        before = state(stub)
        never_again(stub, relay, f"the guest was stopped at {said} (signal 5)", "registers have been put back")
        assert state(stub) == before


def test_a_breakpoint_that_is_called_a_watchpoint() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    stub.machine.__class__ = Watched
    with stopped(stub) as (relay, _):
        before = state(stub)
        never_again(stub, relay, "(0x9002), which the stub calls a watchpoint", "The guest is as it was")
        assert state(stub) == before


class SlowMachine(Machine):
    """A busy host: the guest does not run at once."""

    waited = 0

    def run(self, rounds: int) -> Stop | None:
        if self.lent(self.vcpu(1)) and self.waited < 15:
            self.waited += 1
            return None
        return super().run(rounds)


def test_a_slow_host() -> None:
    stub = standing(KERNEL_CS, KERNEL)
    stub.machine.__class__ = SlowMachine
    stub.pace = 0.02
    with stopped(stub) as (relay, _):
        before = state(stub)
        assert relay.borrow("cpuid", CPUID, 0x40000000)[1] == TCG
        assert state(stub) == before
    assert stub.machine.executed(CPUID) == 1 and stub.while_running() == b"\x03\x03"


class ReadOnly(QemuStub):
    """Registers cannot be written."""

    def G(self, data: bytes) -> Reply:
        return ""

    def P(self, number: int, value: bytes) -> Reply:
        return ""


class SaysSo(ReadOnly):
    """It says that it writes them, and does not."""

    def G(self, data: bytes) -> Reply:
        return "OK"


class KeepsFlags(QemuStub):
    """It does not let interrupts be held off."""

    def G(self, data: bytes) -> Reply:
        offset, size = self.machine.layout.place["eflags"]
        flags = self.machine.vcpu(1).registers[offset : offset + size]
        return super().G(data[:offset] + bytes(flags) + data[offset + size :])


class OnlyRip(QemuStub):
    """It writes RIP alone."""

    def G(self, data: bytes) -> Reply:
        return ""

    def P(self, number: int, value: bytes) -> Reply:
        return super().P(number, value) if self.machine.layout.registers[number].name == "rip" else "E01"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ReadOnly, 'the stub refuses "P10='),
        (SaysSo, "does not write the registers"),
        (KeepsFlags, "does not write the registers"),
        (OnlyRip, 'the stub refuses "P0='),
    ],
)
def test_registers_that_cannot_be_written(kind: type[FakeStub], said: str) -> None:
    stub = standing(KERNEL_CS, KERNEL, kind)
    with stopped(stub) as (relay, _):
        before = state(stub)
        never_again(stub, relay, said, "The guest is as it was")
        assert state(stub) == before and not stub.machine.executed(RDTSC)


class NoWayBack(QemuStub):
    """Once something has run, no register is written any more."""

    def G(self, data: bytes) -> Reply:
        return "E01" if self.machine.executed(RDTSC) else super().G(data)

    def P(self, number: int, value: bytes) -> Reply:
        return "E01" if self.machine.executed(RDTSC) else super().P(number, value)


class OneByOne(NoWayBack):
    """… but one by one."""

    def P(self, number: int, value: bytes) -> Reply:
        return QemuStub.P(self, number, value)


def test_registers_that_cannot_be_put_back() -> None:
    stub = standing(KERNEL_CS, KERNEL, NoWayBack)
    with stopped(stub) as (relay, _):
        never_again(
            stub, relay, "could not be put back", "it stands at 0x9002 instead of 0xffffffff81000000", "started again"
        )
        assert not any(address == RDTSC + 2 for _, address in stub.machine.breakpoints)


def test_registers_that_are_put_back_one_by_one() -> None:
    stub = standing(KERNEL_CS, KERNEL, OneByOne)
    with stopped(stub) as (relay, _):
        before = state(stub)
        relay.borrow("rdtsc", RDTSC)
        assert state(stub) == before


class RefusesToRun(QemuStub):
    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        return "E01" if self.machine.lent(self.machine.vcpu(1)) else super().vCont(items)


def test_a_resume_that_is_refused() -> None:
    stub = standing(KERNEL_CS, KERNEL, RefusesToRun)
    with stopped(stub) as (relay, _):
        before = state(stub)
        never_again(stub, relay, 'answers a resume with "E01"', "The guest is as it was")
        assert state(stub) == before


class HangsUpRunning(QemuStub):
    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        if self.machine.lent(self.machine.vcpu(1)):
            raise Hangup
        return super().vCont(items)


class HangsUpRestoring(QemuStub):
    def G(self, data: bytes) -> Reply:
        if self.machine.executed(RDTSC):
            raise Hangup
        return super().G(data)


class EndsRunning(QemuStub):
    """The guest ends."""

    def run_slice(self) -> None:
        if self.machine.lent(self.machine.vcpu(1)):
            self.stop(Stop(1, exit=b"W00"))
        else:
            super().run_slice()


@pytest.mark.parametrize("kind", [HangsUpRunning, HangsUpRestoring, EndsRunning])
def test_the_stub_goes_away_in_between(kind: type[FakeStub]) -> None:
    with stopped(standing(KERNEL_CS, KERNEL, kind)) as (relay, _):
        with pytest.raises(ClosedError, match="An instruction was being borrowed: a guest that still lives has"):
            relay.borrow("rdtsc", RDTSC)
        assert relay.state == "closed" and "PC 0x9000 instead of 0xffffffff81000000" in relay.reason


# ---------------------------------------------------------------- the TSC


@pytest.mark.parametrize("kind, expected", [(QemuStub, False), (QemuKvmStub, True), (GdbserverStub, False)])
def test_whether_the_tsc_runs_on(kind: type[FakeStub], expected: bool) -> None:
    """Places that the kernel has patched meanwhile are passed over."""
    stub = make(kind)
    lend(stub.machine)
    with stopped(stub, CALL) as (relay, _):
        assert tsc_runs_on(relay, [ELSE, RDTSC]) is expected
        assert tsc_runs_on(relay, [ELSE]) is None


def test_nothing_else_is_borrowed() -> None:
    with stopped(standing(KERNEL_CS, KERNEL)) as (relay, _):
        with pytest.raises(ArgumentError, match="only rdtsc, cpuid, rdmsr are borrowed, not hlt"):
            relay.borrow("hlt", RDTSC)


def test_the_guest_then_goes_on_with_all_its_threads() -> None:
    """Without vCont a resume is preceded by the choice of its thread, which would hold for what follows."""
    stub = make(KgdbStub)
    lend(stub.machine)
    with stopped(stub, CALL) as (relay, client):
        relay.borrow("rdtsc", RDTSC)
        client.resume(b"c")
        assert stub.packets(b"Hc")[-1] == b"Hc-1"
