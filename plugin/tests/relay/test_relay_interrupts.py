# SPDX-License-Identifier: MIT
"""Ctrl-C is never lost: not while the guest stands for GDB, not where a stop crosses it, not where a stub minds."""

from __future__ import annotations

import re
import time

import pytest
from relay_world import BODY, CALL, CAPABLE, END, ROUNDS, START, debugged, hits, make, relayed, run_out
from rsp_client import RspClient
from scripted_machine import At, Machine
from scripted_quirks import (
    GdbserverStub,
    KgdbStub,
    NewQemuUserStub,
    NoVContStub,
    QemuStub,
    QemuUserStub,
    TrapsForInterruptStub,
    VmwareStub,
)
from scripted_stub import FakeStub

from clockscope._core import Relay


def bp(address: int) -> bytes:
    return f"Z1,{address:x},1".encode()


def framed(payload: bytes) -> bytes:
    return b"$%s#%02x" % (payload, sum(payload) & 0xFF)


def resume_packets(relay: Relay) -> tuple[bytes, bytes]:
    """What GDB continues and steps this stub with."""
    return (b"vCont;c", b"vCont;s:p1.1;c") if relay.capabilities()["vcont"] else (b"c", b"s")


def planted(client: RspClient, address: int) -> bool:
    return client.request(bp(address)) == b"OK" or client.request(f"Z0,{address:x},1".encode()) == b"OK"


@pytest.mark.parametrize("kind", [*CAPABLE, QemuUserStub, NewQemuUserStub])
@pytest.mark.parametrize("stepping", [False, True], ids=["continue", "step"])
def test_an_interrupt_while_the_guest_stands_is_told_at_the_next_resume(kind: type[FakeStub], stepping: bool) -> None:
    """GDB glues 0x03 to the packet that it sends next."""
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(BODY, "body")
        assert planted(client, CALL)
        resume = resume_packets(relay)
        assert client.resume(resume[0])[:1] in b"ST"
        assert stub.machine.vcpu(1).pc == CALL
        client.write(b"\x03" + framed(resume[stepping]))
        assert client.stop()[1:3] == b"02"
        assert stub.machine.vcpu(1).executed == [START], "it stands where it stood"
        for _ in range(ROUNDS - 1):  # as GDB goes on from a breakpoint: it steps first
            assert client.resume(resume[1])[1:3] == b"05", "and once is enough"
            assert client.resume(resume[0])[1:3] == b"05"
        client.resume(resume[1])
        assert client.resume(resume[0]) == b"W00"
        assert hits(relay) == {"body": ROUNDS}


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, GdbserverStub])
def test_each_interrupt_of_a_gdb_that_evaluates_conditions_is_told_once(kind: type[FakeStub]) -> None:
    """It steps and continues by itself; where in that the interrupt comes is luck."""
    stub = kind(Machine([CALL, BODY, END], loop_to=0))
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(BODY, "body")
        client.request(bp(CALL))
        for number in range(40):
            told = 0
            for turn in range(6):
                if turn == number % 3:
                    client.interrupt()
                client.send(b"vCont;s:p1.1;c" if turn % 2 else b"vCont;c")
                if turn == number % 3 and number % 2 == 0:
                    client.interrupt()
                    time.sleep(0.0005 * (number % 5))
                told += client.stop().startswith(b"T02")
            assert 1 <= told <= 2 - number % 2


def test_an_interrupt_that_crosses_a_stop_is_told_at_the_next_resume() -> None:
    """QEMU ignores it then."""
    with debugged(make(QemuStub)) as (_, client):
        client.request(bp(CALL))
        client.send(b"vCont;c")
        client.interrupt()
        stops = [client.stop()[:3], client.resume()[:3]]
        assert sorted(stops) == [b"T02", b"T05"]
        assert client.resume()[:3] == b"T05"


def test_an_interrupt_belongs_to_the_gdb_that_pressed_it() -> None:
    """One at the connection's beginning means nothing, and what one GDB wanted does not stop the next one's guest."""
    stub = make(FakeStub)
    with relayed(stub) as relay:
        with RspClient(relay.socket_path) as client:
            client.interrupt()
            client.greet()
            client.request(bp(CALL))
            assert client.resume()[:3] == b"T05"
            client.interrupt()
            assert client.request(b"qAttached") == b"1"
        time.sleep(0.1)
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.resume() == b"W00"


def test_a_trap_that_answers_an_interrupt_settles_it() -> None:
    with debugged(make(TrapsForInterruptStub, [START, At(CALL, idle=True), END])) as (_, client):
        client.send(b"vCont;c")
        time.sleep(0.1)
        client.interrupt()
        assert client.stop()[:3] == b"T05"
        assert client.resume() == b"W00"


def test_the_idle_limit_is_no_interrupt_of_gdbs() -> None:
    """It crosses GDB's own stop, and nobody is told of it afterwards."""
    walk: list[int | At] = [START, *[CALL, BODY] * 40, END]
    stub = make(QemuStub, walk)
    stub.pace, stub.rounds = 0.02, 1
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        client.request(bp(CALL))
        relay.set_idle_limit(0.03)
        stops = [client.resume() for _ in range(8)]
        relay.set_idle_limit(0)
        client.request(f"z1,{CALL:x},1".encode())
        stub.pace, stub.rounds = 0, 64
        assert {stop[:3] for stop in stops} <= {b"T05", b"T02"}
        assert client.resume() == b"W00"


@pytest.mark.parametrize("kind", [QemuStub, QemuUserStub, NewQemuUserStub])
def test_a_guest_that_runs_is_left_running(kind: type[FakeStub]) -> None:
    stub = kind(Machine([At(CALL), At(BODY), END] * 3000))
    stub.pace = 0.0005
    with stub:
        relay = Relay(stub.address, request_timeout=2.0)
        relay.add_counter(CALL, "call")
        relay.resume()
        time.sleep(0.05)
        relay.close()
        assert stub.machine.breakpoints == set()
        before = len(stub.machine.vcpu(1).executed)
        assert before > 0
    assert stub.violations == []


@pytest.mark.parametrize("kind", [NoVContStub, VmwareStub, KgdbStub])
def test_another_threads_probe_during_a_step_is_no_stop_of_gdbs(kind: type[FakeStub]) -> None:
    """A stub whose single step sets the other processors going: what they run into is the relay's all the same."""
    same = [START, *[CALL, BODY] * ROUNDS, END]
    walks = [[0x5000, *same], same, [0x5000, 0x5001, *same]]
    stub = make(kind, *walks)
    with relayed(stub) as relay:
        for address, name in ((START, "start"), (CALL, "call"), (BODY, "body"), (END, "end")):
            relay.add_counter(address, name)
        assert run_out(relay) == b"W00"
        assert hits(relay) == {"start": 3, "call": 3 * ROUNDS, "body": 3 * ROUNDS, "end": 3}
    assert [vcpu.executed for vcpu in stub.machine.vcpus] == walks


def test_gdbs_breakpoint_hit_during_anothers_step_is_gdbs() -> None:
    same = [START, CALL, BODY, END]
    stub = make(NoVContStub, [0x5000, *same], same)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        client.request(bp(BODY))
        stops = [client.resume(b"c") for _ in range(2)]
        assert sorted(re.findall(rb"thread:p1\.(\d)", b"".join(stops))) == [b"1", b"2"]
        assert client.resume(b"c") == b"W00"
        assert hits(relay) == {"call": 2}
