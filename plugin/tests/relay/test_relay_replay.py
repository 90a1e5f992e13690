# SPDX-License-Identifier: MIT
"""A replay is recognised by its stub, and nothing of it is changed; one that is being recorded is none."""

from __future__ import annotations

import pytest
from relay_world import BODY, CALL, END, START, debugged, hits, relayed, run_out
from scripted_machine import At, Machine
from scripted_quirks import QemuStub
from scripted_stub import FakeStub
from scripted_wire import Reply

from clockscope._core import RefusedError, StateError

NOP = b"\x90"
WALK: list[int | At] = [START, At(CALL, NOP), At(BODY, NOP), At(CALL, NOP), END]


class QemuReplay(QemuStub):
    """What QEMU 7.2 says in a replay."""

    features = QemuStub.features | {"ReverseStep": "+", "ReverseContinue": "+"}
    said = "Replaying execution 'boot.rr': instruction count = {count}\r\n"

    def monitor(self, command: str) -> str | None:
        count = len(self.machine.vcpu(1).executed)
        return self.said.format(count=count) if command == "info replay" else super().monitor(command)


class QemuRecord(QemuReplay):
    """… and while it records: it goes forward only."""

    features = QemuStub.features
    said = "Recording execution 'boot.rr': instruction count = {count}\r\n"


class BackwardsRecord(QemuRecord):
    """A QEMU that goes backwards while it records (by snapshots), should there be one."""

    features = QemuReplay.features


class Rr(FakeStub):
    """rr: it replays a program, and has no monitor commands."""

    features = FakeStub.features | {"ReverseContinue": "+", "ReverseStep": "+"}

    def qRcmd(self, command: str) -> Reply:
        return ""


class GoesForward(FakeStub):
    """It says that it does not go backwards."""

    features = FakeStub.features | {"ReverseContinue": "-", "ReverseStep": "-"}


def made(kind: type[FakeStub]) -> FakeStub:
    machine = Machine(WALK)
    machine.memory.map(0x9000, b"\x0f\x31")
    return kind(machine)


@pytest.mark.parametrize("kind", [QemuReplay, Rr])
def test_a_replay(kind: type[FakeStub]) -> None:
    """Instructions are stepped, none is worked out by writing registers, none is borrowed."""
    stub = made(kind)
    with debugged(stub) as (relay, client):
        assert relay.replay
        relay.add_counter(CALL, "call")
        client.request(b"Z1,%x,1" % BODY)
        client.resume()
        with pytest.raises(StateError, match="in a replay nothing can be executed beside what was recorded"):
            relay.borrow("rdtsc", 0x9000)
        client.request(b"z1,%x,1" % BODY)
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": 2}
    assert stub.packets("vCont;s") and not any(stub.packets(kind) for kind in "GPMX")
    assert not stub.machine.executed(0x9000)


def test_the_time_of_first_hits_is_exact() -> None:
    stub = made(QemuReplay)
    with relayed(stub) as relay:
        assert relay.instructions() == 0
        relay.add_counter(BODY, "body")
        run_out(relay)
        assert relay.counters()[0]["first_icount"] == 2


def test_a_replay_that_does_not_count() -> None:
    with relayed(made(Rr)) as relay, pytest.raises(RefusedError):
        relay.instructions()


@pytest.mark.parametrize("kind", [QemuStub, QemuRecord, BackwardsRecord, GoesForward])
def test_no_replay(kind: type[FakeStub]) -> None:
    stub = made(kind)
    with debugged(stub) as (relay, client):
        assert not relay.replay
        if kind is not GoesForward:
            with pytest.raises(RefusedError, match="is not a QEMU replay"):
                relay.instructions()
        client.request(b"Z1,%x,1" % CALL)
        client.resume()
        relay.borrow("rdtsc", 0x9000)
    assert stub.machine.executed(0x9000) == 1
