# SPDX-License-Identifier: MIT
"""What else GDB's resumes have: `vCont;r`, the step over a whole source line at once, and the reply `N`, for threads that are gone."""

from __future__ import annotations

import pytest
from relay_world import BODY, CALL, END, START, hits, make, relayed
from rsp_client import RspClient
from scripted_quirks import GdbserverStub, NobodyLeftStub, RangeStepStub
from scripted_stub import FakeStub

WALK = [START, CALL, CALL + 1, CALL, CALL + 1, BODY, END]
LINE = b"vCont;r%x,%x:p1.1;c" % (CALL, CALL + 2)


def offered(kind: type[FakeStub]) -> list[bytes]:
    with relayed(make(kind)) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        return client.request(b"vCont?").split(b";")


def test_it_is_offered_where_the_stub_has_it() -> None:
    assert b"r" in offered(RangeStepStub)
    assert b"r" not in offered(GdbserverStub)


def test_a_range_is_one_packet() -> None:
    stub = make(RangeStepStub, WALK)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(BODY, "body")
        assert client.resume(b"vCont;s:p1.1;c")[:3] == b"T05"
        before = stub.resumes()
        assert client.resume(LINE)[:3] == b"T05"
        assert stub.resumes() == before + 1
        assert stub.machine.vcpu(1).pc == BODY
        assert client.resume() == b"W00"
        assert hits(relay) == {"body": 1}


@pytest.mark.parametrize("probe", [CALL, CALL + 1])
def test_a_probe_in_the_range_is_counted_each_time(probe: int) -> None:
    """As GDB does it: on, until the PC has left the range."""
    stub = make(RangeStepStub, WALK)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(probe, "probe")
        assert client.resume(b"vCont;s:p1.1;c")[:3] == b"T05"
        steps = 0
        while CALL <= stub.machine.vcpu(1).pc < CALL + 2:
            assert client.resume(LINE)[:3] == b"T05"
            steps += 1
        assert 1 < steps <= 4
        assert client.resume() == b"W00"
        assert hits(relay) == {"probe": 2}
    assert stub.machine.vcpu(1).executed == WALK


@pytest.mark.parametrize("knows", [True, False])
def test_that_no_thread_is_left_of_those_resumed_is_said_in_gdbs_words(knows: bool) -> None:
    stub = make(NobodyLeftStub, WALK)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        offered = client.request(b"qSupported:multiprocess+;vContSupported+" + b";no-resumed+" * knows)
        assert (b"no-resumed+" in offered) == knows
        relay.add_counter(BODY, "body")
        assert client.resume() == (b"N" if knows else b"E.No unwaited-for children left.")
        assert relay.state == "stopped"
        assert client.request(b"m1000,1") == b"f4"
