# SPDX-License-Identifier: MIT
"""Getting off a probe by a step: what a step may do instead of executing one instruction and coming back."""

from __future__ import annotations

import gc
import time

import pytest
from relay_world import BODY, CALL, END, START, debugged, hits, make, relayed, run_out
from scripted_machine import At, Machine, Stop
from scripted_quirks import FirecrackerStub, GdbserverStub, QemuNoAckStub, QemuStub
from scripted_stub import FakeStub
from scripted_wire import Reply

from clockscope._core import StateError

MOV = b"\x48\x8b\x07"  # mov (%rdi),%rax: nobody can work it out
REP_STOS = b"\xf3\x48\xab"
JUMP_SELF = b"\xeb\xfe"


class Halting(Machine):
    """A step over `hlt` does not come back, for it holds interrupts off (QEMU's does so); the instruction is executed."""

    quirks: tuple[str, ...] = ("endless-step",)

    def run(self, rounds: int) -> Stop | None:
        vcpu = self.vcpu(1)
        if self.actions.get(1) == "s" and vcpu.place.code == b"\xf4":
            vcpu.step()
            self.actions = {1: "waits"}
        return None if self.actions.get(1) == "waits" else super().run(rounds)


@pytest.mark.parametrize("kind", [QemuStub, QemuNoAckStub, GdbserverStub, FakeStub])
def test_a_step_over_hlt(kind: type[FakeStub]) -> None:
    """The guest is stopped as by Ctrl-C, and goes on; nobody hears of it."""
    stub = kind(Halting([START, At(CALL, b"\xf4"), BODY, At(CALL, b"\xf4"), BODY, END]))
    stub.pace = 0.01
    with relayed(stub) as relay:
        relay.add_counter(CALL, "halts")
        relay.add_counter(BODY, "wakes")
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"halts": 2, "wakes": 2}
    assert stub.machine.vcpu(1).executed == [START, CALL, BODY, CALL, BODY, END]


@pytest.mark.parametrize("kind", [QemuStub, FakeStub])
def test_gdbs_own_step_over_hlt(kind: type[FakeStub]) -> None:
    """It waits for Ctrl-C, as without the relay."""
    stub = kind(Halting([START, At(CALL, b"\xf4"), BODY, END]))
    stub.pace = 0.01
    with debugged(stub) as (relay, client):
        relay.add_counter(BODY, "wakes")
        client.request(b"Z1,%x,1" % CALL)
        client.resume()
        client.request(b"z1,%x,1" % CALL)
        client.send(b"vCont;s:p1.1")
        with pytest.raises(TimeoutError):
            client.stop(1)
        client.interrupt()
        assert client.stop().startswith(b"T02")
        assert relay.state == "stopped" and stub.machine.vcpu(1).pc == BODY


class SlowGdbserver(GdbserverStub):
    """A busy host: a step takes longer than anybody waits. It reads an interrupt only then, and keeps it."""

    deaf = True

    def run_slice(self) -> None:
        if "s" in self.machine.actions.values():
            time.sleep(0.4)
        super().run_slice()


def test_an_interrupt_that_crosses_the_end_of_a_step() -> None:
    """It was the relay's: GDB hears of its breakpoint, and of no interrupt."""
    stub = SlowGdbserver(Machine([START, At(CALL, MOV), At(BODY, MOV), At(BODY + 3, MOV), END, END + 1]))
    with debugged(stub) as (relay, client):
        relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        for address in (BODY, END):
            client.request(b"Z1,%x,1" % address)
        for address in (BODY, END):
            assert client.resume().startswith(b"T05") and stub.machine.vcpu(1).pc == address
            client.request(b"z1,%x,1" % address)
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": 1, "body": 1}
    assert any(entry.kind == "byte" for entry in stub.log)


class Polled(Machine):
    """So many steps of three end before they have executed anything, as QEMU's do when the local APIC wants to be polled."""

    quirks: tuple[str, ...] = ("idle-step",)
    idle_steps = 1
    steps = 0

    def run(self, rounds: int) -> Stop | None:
        if "s" not in self.actions.values():
            return super().run(rounds)
        self.steps += 1
        return Stop(1) if self.steps % 3 < self.idle_steps else super().run(rounds)


@pytest.mark.parametrize("idle_steps", [1, 2])
@pytest.mark.parametrize("kind", [QemuStub, FakeStub, FirecrackerStub])
def test_steps_that_execute_nothing(kind: type[FakeStub], idle_steps: int) -> None:
    """The instruction is executed once, and counts once."""
    stub = make(kind, [START, *[At(CALL, MOV), At(BODY, MOV)] * 9, END])
    stub.machine.__class__ = Polled
    assert isinstance(stub.machine, Polled)
    stub.machine.idle_steps = idle_steps
    if isinstance(stub, FirecrackerStub):
        stub.paging = True
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"call": 9, "body": 9}
    assert stub.machine.executed(CALL) == stub.machine.executed(BODY) == 9


@pytest.mark.parametrize("kind", [QemuStub, FakeStub])
def test_gdbs_steps_that_execute_nothing(kind: type[FakeStub]) -> None:
    """GDB steps again, as without the relay; the instruction counts once."""
    stub = make(kind, [START, *[At(CALL, MOV), At(BODY, MOV)] * 3, END])
    stub.machine.__class__ = Polled
    with debugged(stub) as (relay, client):
        relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        while stub.machine.vcpu(1).pc != END:
            assert client.resume(b"vCont;s:p1.1").startswith(b"T05")
        assert hits(relay) == {"call": 3, "body": 3}


class NeverMoves(Machine):
    def run(self, rounds: int) -> Stop | None:
        return Stop(1) if "s" in self.actions.values() else super().run(rounds)


def test_steps_that_never_execute_anything() -> None:
    """Somebody must know: whoever drives the guest gets the stop."""
    stub = QemuStub(NeverMoves([START, At(CALL, MOV), END]))
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.resume()
        stop = relay.wait(10)
        assert stop is not None and stop.startswith(b"T05") and stub.machine.vcpu(1).pc == CALL
        assert (1, CALL) in stub.machine.breakpoints or (0, CALL) in stub.machine.breakpoints


def test_a_jump_to_itself() -> None:
    """Each round is one execution."""
    stub = QemuStub(Machine([START, *[At(CALL, JUMP_SELF)] * 3, At(BODY, MOV), END]))
    with relayed(stub) as relay:
        relay.set_replay(True)  # nothing is worked out
        for address, name in ((CALL, "jump"), (BODY, "body")):
            relay.add_counter(address, name)
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"jump": 3, "body": 1}


def test_a_repeated_string_instruction_is_one() -> None:
    """Its registers say how far it is."""
    rounds = [At(CALL, REP_STOS, {"rcx": left, "rdi": 0x8000 - 8 * left}) for left in (3, 2, 1)]
    stub = QemuStub(Machine([START, *rounds, At(BODY, MOV), *rounds, END]))
    with relayed(stub) as relay:
        relay.add_counter(CALL, "clear")
        relay.add_counter(BODY, "body")
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"clear": 2, "body": 1}
    assert stub.machine.executed(CALL) == 6


# ---------------------------------------------------------------- breakpoints that the stub does not lift


class LiftsLater(QemuStub):
    """It refuses to lift a breakpoint as often as it is told."""

    refusals = 2
    asked = 0

    def z(self, kind: int, address: int, length: int) -> Reply:
        self.asked += 1
        return "E14" if self.asked <= self.refusals else super().z(kind, address, length)


def test_lifting_is_tried_again() -> None:
    """Stops there are nobody's meanwhile, and the counter is as it was when it was removed."""
    stub = LiftsLater(Machine([START, *[At(CALL, b"\x90"), At(BODY, b"\x90")] * 9, END]))
    with debugged(stub) as (relay, client):
        number = relay.add_counter(CALL, "call")
        client.request(b"Z1,%x,1" % BODY)
        client.resume()
        assert hits(relay) == {"call": 1}
        relay.remove_counter(number)
        gc.collect()
        for _ in range(8):
            assert client.resume().startswith(b"T05") and stub.machine.vcpu(1).pc == BODY
        assert hits(relay) == {"call": 1}
        assert stub.asked == stub.refusals + 1 and not any(at == CALL for _, at in stub.machine.breakpoints)
        client.request(b"z1,%x,1" % BODY)
        assert client.resume() == b"W00"


def test_a_stub_that_never_lifts_is_not_asked_at_each_stop() -> None:
    stub = LiftsLater(Machine([START, *[At(CALL, b"\x90"), At(BODY, b"\x90")] * 99, END]))
    stub.refusals = 1 << 30
    with relayed(stub) as relay:
        number = relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        relay.remove_counter(number)
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"call": 0, "body": 99}
        assert stub.asked < 12


def test_a_counter_is_not_removed_while_the_guest_runs() -> None:
    """Its breakpoint is in place still: it says so, whether or not the guest stands a moment later."""
    stub = QemuStub(Machine([START, *[At(CALL, b"\x90")] * 3, At(BODY, b"\x90", idle=True), END]))
    with relayed(stub) as relay:
        number = relay.add_counter(BODY + 5, "never")
        relay.resume()
        with pytest.raises(StateError, match="is running"):
            relay.remove_counter(number)
        relay.interrupt()
        relay.wait(5)
        assert relay.counters()[0]["planted"]
        relay.remove_counter(number)
        assert not relay.counters()[0]["planted"]
