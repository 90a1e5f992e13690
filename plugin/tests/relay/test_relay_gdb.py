# SPDX-License-Identifier: MIT
"""A debugger on the relay's socket: it sees the stub as if it were alone with it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence

import pytest
from relay_world import BODY, CALL, CAPABLE, END, ROUNDS, START, WALK, debugged, hits, make, relayed
from rsp_client import RspClient
from scripted_machine import At, Machine
from scripted_quirks import (
    ChattyStub,
    FirecrackerStub,
    GdbserverStub,
    LostStopStub,
    NewQemuUserStub,
    OldStub,
    QemuNoAckStub,
    QemuStub,
    QemuUserStub,
    VirtualBoxStub,
)
from scripted_stub import FakeStub

from clockscope._core import StateError

BOTH = [FakeStub, QemuStub]
RELAYS_OWN = {"PacketSize", "QStartNoAckMode"}  # between GDB and the relay, whatever the stub does


def bp(kind: int, address: int, insert: bool = True) -> bytes:
    return f"{'Z' if insert else 'z'}{kind},{address:x},1".encode()


# --- what is offered, what passes ---


@pytest.mark.parametrize("kind", CAPABLE)
def test_gdb_is_offered_no_more_than_stub_and_relay_can(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        offered = client.greet()
    assert set(offered) - RELAYS_OWN <= set(stub.features)
    assert int(offered["PacketSize"], 16) <= int(stub.features.get("PacketSize", "190"), 16)


def test_features_that_the_relay_cannot_carry_are_not_offered() -> None:
    class Boastful(FakeStub):
        features = FakeStub.features | {
            "QNonStop": "+",
            "ConditionalBreakpoints": "+",
            "BreakpointCommands": "+",
            "fork-events": "+",
            "tracenz": "+",
            "binary-upload": "+",
            "qXfer:memory-map:read": "+",
            "swbreak": "-",
        }

    stub = make(Boastful)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        offered = client.greet()
        assert client.request(b"QNonStop:1") == b""
    for name in ("QNonStop", "ConditionalBreakpoints", "BreakpointCommands", "fork-events", "tracenz", "binary-upload"):
        assert name not in offered
    assert offered["qXfer:memory-map:read"] == "+"
    assert offered.get("swbreak", "-") == "-"


QUESTIONS = [
    b"g",
    b"p10",
    b"m1000,40",
    b"m999999,4",
    b"qC",
    b"qfThreadInfo",
    b"qsThreadInfo",
    b"qAttached",
    b"T1",
    b"T9",
    b"Hg1",
    b"qXfer:features:read:target.xml:0,ffb",
    b"qXfer:features:read:core.xml:0,100",
    b"qXfer:features:read:core.xml:100,ff",
    b"qXfer:features:read:none.xml:0,100",
    b"qThreadExtraInfo,1",
    b"qRcmd,696e666f20737461747573",
    b"vMustReplyEmpty",
    b"qTStatus",
    b"qUnheardOf",
]


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, OldStub, GdbserverStub, VirtualBoxStub])
@pytest.mark.parametrize("no_ack", [False, True])
def test_answers_are_the_stubs_own(kind: type[FakeStub], no_ack: bool) -> None:
    with make(kind) as stub, RspClient(stub.address) as client:
        client.greet()
        client.request(b"?")
        client.request(b"qXfer:features:read:core.xml:0,10")
        direct = [client.request(question) for question in QUESTIONS]
    with debugged(make(kind)) as (_, client):
        if no_ack:
            client.start_no_ack()
        assert [client.request(question) for question in QUESTIONS] == direct


def test_memory_and_registers_are_written_through() -> None:
    stub = make(QemuStub)
    stub.machine.memory.map(0x9000, b"")
    with debugged(stub) as (_, client):
        assert client.request(b"M9000,3:010203") == b"OK"
        assert client.request(b"X9010,4:#$}*") == b"OK"
        assert client.request(b"P0=efbeadde00000000") == b"OK"
    assert stub.machine.memory.read(0x9000, 3) == b"\1\2\3"
    assert stub.machine.memory.read(0x9010, 4) == b"#$}*"
    assert stub.machine.vcpu(1).read("rax") == 0xDEADBEEF


def test_packets_may_come_in_any_shape() -> None:
    """A byte at a time, several at once, damaged: each gets its own answer, in order."""
    with debugged(make(QemuStub)) as (_, client):
        for byte in b"$qC#b4":
            client.write(bytes([byte]))
            time.sleep(0.002)
        assert client.receive() == b"QCp01.01"
        client.send(b"qC")
        client.send(b"m1000,2")
        client.send(b"qAttached")
        assert [client.receive() for _ in range(3)] == [b"QCp01.01", b"f4f4", b"1"]
        client.write(b"$qC#00")
        client.send(b"qAttached")
        assert client.receive() == b"1"


def test_a_refused_packet_is_repeated_to_gdb() -> None:
    with debugged(make(QemuStub)) as (_, client):
        client.acknowledges = False
        assert client.request(b"qAttached") == b"1"
        client.write(b"-")
        assert client.receive() == b"1"
        client.write(b"+")


def test_large_packets_pass() -> None:
    stub = make(FakeStub)
    stub.largest_read = 0x7FF
    with debugged(stub) as (_, client):
        size = int(client.greet()["PacketSize"], 16)
        assert size == stub.packet_size
        stub.machine.memory.map(0x9000, b"")
        data = b"ab" * ((size - 20) // 2)
        assert client.request(b"M9000,%x:" % (len(data) // 2) + data) == b"OK"
        assert client.request(b"m9000,7b0") == data[: 2 * 0x7B0]


def test_a_packet_that_would_abort_the_emulator_stays_here() -> None:
    """QEMU advertises reverse steps only in a replay, and `bs` aborts it otherwise."""
    stub = make(QemuStub)
    with debugged(stub) as (_, client):
        assert client.request(b"bs") == b""
        assert client.request(b"bc") == b""
        assert client.request(b"qC") == b"QCp01.01"


def test_asking_why_the_guest_stands_costs_no_probe() -> None:
    """QEMU drops all breakpoints at `?`."""
    stub = make(QemuStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.request(b"?").startswith(b"T05thread:p")
            assert client.resume() == b"W00"
        assert hits(relay) == {"call": ROUNDS}


# --- running ---


@pytest.mark.parametrize("kind", CAPABLE)
def test_gdb_never_sees_a_probe(kind: type[FakeStub]) -> None:
    stub = make(kind)
    stub.grace = 0.002
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.resume(b"vCont;c" if "vContSupported" in stub.features else b"c") == b"W00"
        assert hits(relay) == {"call": ROUNDS, "body": ROUNDS}
        assert relay.statistics()["own_stops"] > 0
    assert stub.while_running() == b""


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("type_", [0, 1])
@pytest.mark.parametrize("probe_first", [True, False])
def test_gdb_and_the_relay_at_one_address(kind: type[FakeStub], type_: int, probe_first: bool) -> None:
    """GDB steps over its breakpoint as it does: takes it out, steps, puts it back, continues."""
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        if probe_first:
            relay.add_counter(CALL, "call")
        assert client.request(bp(type_, CALL)) == b"OK"
        if not probe_first:
            relay.add_counter(CALL, "call")
        for round_number in range(1, ROUNDS + 1):
            stop = client.resume()
            assert stop.startswith(b"T05"), stop
            assert stub.machine.vcpu(1).pc == CALL
            assert hits(relay) == {"call": round_number}
            assert client.request(bp(type_, CALL, insert=False)) == b"OK"
            assert client.resume(b"vCont;s:p1.1;c").startswith(b"T05")
            assert stub.machine.vcpu(1).pc == BODY
            assert client.request(bp(type_, CALL)) == b"OK"
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": ROUNDS}
    assert stub.machine.vcpu(1).executed == WALK


@pytest.mark.parametrize("kind", BOTH)
def test_one_lets_go_and_the_other_stays(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        number = relay.add_counter(CALL, "call")
        for type_ in (0, 1):
            assert client.request(bp(type_, CALL)) == b"OK"
            assert client.request(bp(type_, CALL, insert=False)) == b"OK"
        assert stub.machine.breakpoints
        client.request(bp(0, CALL))
        client.request(bp(1, CALL))
        relay.remove_counter(number)
        assert client.resume().startswith(b"T05")
        client.request(bp(0, CALL, insert=False))
        client.request(bp(1, CALL, insert=False))
        assert stub.machine.breakpoints == set()
        assert client.resume() == b"W00"


@pytest.mark.parametrize("kind", BOTH)
def test_gdb_steps_onto_over_and_off_probes(kind: type[FakeStub]) -> None:
    for steps in range(1, 8):
        stub = make(kind)
        with relayed(stub) as relay, RspClient(relay.socket_path) as client:
            client.greet()
            relay.add_counter(CALL, "call")
            relay.add_counter(BODY, "body")
            for done in range(1, steps + 1):
                assert client.resume(b"vCont;s:p1.1;c").startswith(b"T05thread:p")
                assert stub.machine.vcpu(1).executed == WALK[:done]
            assert client.resume() == b"W00"
            assert hits(relay) == {"call": ROUNDS, "body": ROUNDS}


@pytest.mark.parametrize("kind", BOTH)
def test_a_probe_hit_by_another_thread_during_a_step(kind: type[FakeStub]) -> None:
    """Thread 1 runs first in each round, and so hits the probe while GDB steps thread 2."""
    stub = make(kind, [CALL, BODY, CALL, BODY, CALL, *range(0x5000, 0x5010)], list(range(0x3000, 0x3010)))
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        for done in range(1, 6):
            stop = client.resume(b"vCont;s:p1.2;c")
            assert re.match(rb"T05thread:p0?1\.0?2;", stop), stop
            assert len(stub.machine.vcpu(2).executed) == done
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": 3}


@pytest.mark.parametrize("kind", BOTH)
def test_threads_that_gdb_leaves_standing_stay(kind: type[FakeStub]) -> None:
    stub = make(kind, list(WALK), [0x5000, 0x5001, 0x5002])
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        client.request(bp(1, END))
        assert client.resume(b"vCont;c:p1.1").startswith(b"T05")
        assert stub.machine.vcpu(1).pc == END
        assert stub.machine.vcpu(2).executed == []
        assert hits(relay) == {"call": ROUNDS}


@pytest.mark.parametrize("kind", BOTH)
def test_a_thread_at_a_probe_stays_when_gdb_lets_only_others_run(kind: type[FakeStub]) -> None:
    """GDB's `set scheduler-locking on`: thread 2 stands at a probe, thread 1 runs."""
    stub = make(kind, [At(0x5000, idle=True), 0x5001, 0x5002, 0x5003], [START, CALL, BODY, END])
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        client.request(bp(1, CALL))
        client.request(bp(1, 0x5002))
        assert re.match(rb"T05thread:p0?1\.0?2;", client.resume())
        client.request(bp(1, CALL, insert=False))
        client.send(b"vCont;c:p1.1")
        time.sleep(0.1)
        client.interrupt()
        client.stop()
        assert re.match(rb"T05thread:p0?1\.0?1;", client.resume(b"vCont;c:p1.1"))
        assert stub.machine.vcpu(2).executed == [START]
        client.request(bp(1, 0x5002, insert=False))
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": 1}


def test_the_thread_that_gdb_chose_is_still_chosen_after_own_stops() -> None:
    stub = make(QemuStub, [START, CALL, At(BODY, idle=True), END], [0x5000, At(0x5001, idle=True), 0x5002])
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        client.send(b"vCont;c")
        time.sleep(0.2)
        client.interrupt()
        assert client.stop().startswith(b"T02")
        assert client.request(b"Hgp1.2") == b"OK"
        relay.read_registers("p01.01")
        assert client.request(b"p10") == (0x5001).to_bytes(8, "little").hex().encode()


@pytest.mark.parametrize("kind", BOTH)
def test_the_next_gdb_finds_the_thread_chosen_that_it_is_told_of(kind: type[FakeStub]) -> None:
    """The one before it was looking at another when it left."""
    stub = make(kind, [START, CALL, END], [0x5000, At(0x5001, idle=True)])
    with relayed(stub) as relay:
        with RspClient(relay.socket_path) as client:
            client.greet()
            client.request(bp(1, CALL))
            assert re.match(rb"T05thread:p0?1\.0?1;", client.resume())
            assert client.request(b"Hgp1.2") == b"OK"
        time.sleep(0.1)
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert re.match(rb"T05thread:p0?1\.0?1;", client.request(b"?"))
            assert client.request(b"p10") == CALL.to_bytes(8, "little").hex().encode()


def test_a_watchpoint_is_gdbs() -> None:
    stub = make(QemuStub, [START, CALL, At(BODY, writes={0x8000: b"\1"}), CALL, END])
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        assert client.request(b"Z2,8000,4") == b"OK"
        assert client.resume() == b"T05thread:p01.01;watch:8000;"
        assert client.resume() == b"W00"
        assert hits(relay) == {"call": 2}


def test_console_output_reaches_gdb() -> None:
    stub = make(ChattyStub, [START, At(CALL, output="boot\n"), END])
    with debugged(stub) as (_, client):
        assert client.resume() == b"W00"
        assert client.output == b"boot\nhello from the guest\n"


# --- Ctrl-C ---


@pytest.mark.parametrize("kind", BOTH)
def test_ctrl_c_stops_an_idle_guest(kind: type[FakeStub]) -> None:
    stub = make(kind, [START, At(CALL, idle=True), END])
    with debugged(stub) as (_, client):
        client.send(b"vCont;c")
        time.sleep(0.1)
        client.interrupt()
        assert client.stop().startswith(b"T02")
        assert client.resume() == b"W00"
    assert stub.while_running() == b"\x03"


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, QemuUserStub, NewQemuUserStub, GdbserverStub])
def test_ctrl_c_is_never_lost_among_own_stops(kind: type[FakeStub]) -> None:
    """A guest that runs from probe to probe: whenever it is interrupted it stops, and once for each time."""
    stub = kind(Machine([CALL, BODY, END], loop_to=0))
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        for number in range(60):
            client.send(b"vCont;c")
            time.sleep(0.0007 * (number % 13))
            client.interrupt()
            assert client.stop(5).startswith(b"T02")
            assert client.request(b"qAttached") == b"1"
        client.send(b"vCont;c")
        with pytest.raises(TimeoutError):  # no interrupt, no stop
            client.stop(0.3)
        client.interrupt()
        client.stop()
        assert client.request(b"qAttached") == b"1"  # it has read the stop: the guest stays as it is
        counted = hits(relay)["call"]
    executed = stub.machine.executed(CALL)
    assert counted - 1 <= executed <= counted


def test_a_late_interrupt_hurts_nobody() -> None:
    """GDB's 0x03 crosses the stop on the way."""
    with debugged(make(QemuStub)) as (_, client):
        client.request(bp(1, CALL))
        stop = client.resume()
        client.interrupt()
        assert client.request(b"qAttached") == b"1"
        assert stop.startswith(b"T05")


def test_pythons_interrupt_stops_gdbs_guest() -> None:
    stub = make(QemuStub, [START, At(CALL, idle=True), END])
    with debugged(stub) as (relay, client):
        client.send(b"vCont;c")
        time.sleep(0.1)
        assert relay.state == "running"
        relay.interrupt()
        assert client.stop().startswith(b"T02")


def test_who_drives_the_guest() -> None:
    with debugged(make(QemuStub)) as (relay, _), pytest.raises(StateError):
        relay.resume()


# --- coming and going ---


@pytest.mark.parametrize("kind", BOTH)
def test_a_debugger_may_come_while_the_guest_runs(kind: type[FakeStub]) -> None:
    """What it says before the guest has come to a stand is answered all the same."""
    stub = make(kind, [START, At(CALL, idle=True), BODY, END])
    with relayed(stub) as relay:
        relay.resume()
        time.sleep(0.1)
        stub.delay = 0.2
        with RspClient(relay.socket_path) as client:
            client.greet()
            stub.delay = 0.0
            assert client.request(b"?").startswith(b"T02")
            assert client.request(b"p10")[:4] == b"1010"
            assert client.resume() == b"W00"


def test_a_second_debugger_is_turned_away() -> None:
    with debugged(make(QemuStub)) as (relay, client):
        with RspClient(relay.socket_path) as second, pytest.raises(ConnectionError):
            second.greet()
        assert client.request(b"qAttached") == b"1"


def test_a_debugger_that_leaves_in_mid_request() -> None:
    """The reply to it must not be taken for the answer to the next question."""
    stub = make(QemuStub)
    stub.delay = 0.1
    with relayed(stub) as relay:
        for _ in range(3):
            with RspClient(relay.socket_path) as client:
                client.greet()
                client.send(b"m1000,10")
            assert relay.request(b"qAttached") == b"1"
        stub.delay = 0.0
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.request(b"qC") == b"QCp01.01"


def test_a_debugger_that_leaves_takes_its_breakpoints_along_and_the_probes_stay() -> None:
    stub = make(QemuStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        with RspClient(relay.socket_path) as client:
            client.greet()
            client.request(bp(1, END))
        deadline = time.monotonic() + 5
        while (1, END) in stub.machine.breakpoints and time.monotonic() < deadline:
            time.sleep(0.01)
        relay.resume()
        assert relay.wait(5) == b"W00"
        assert hits(relay) == {"call": ROUNDS}


OF_GDB = (b"Z2,8000,4", b"Z4,8000,8", b"Z3,9000,1", b"Z2,a000,1", b"z2,a000,1")


def test_the_watchpoints_of_a_debugger_that_leaves_stop_nobody() -> None:
    stub = make(QemuStub, [START, At(CALL, writes={0x8000: b"\1"}), END])
    with relayed(stub) as relay:
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert [client.request(one) for one in OF_GDB] == [b"OK"] * len(OF_GDB)
        deadline = time.monotonic() + 5
        while stub.machine.watched and time.monotonic() < deadline:
            time.sleep(0.01)
        relay.resume()
        assert relay.wait(5) == b"W00"


@pytest.mark.parametrize("running", [False, True])
def test_what_is_watched_when_all_is_closed_stops_nobody(running: bool) -> None:
    stub = make(QemuStub, [START, At(CALL, idle=True), BODY, END])
    with relayed(stub) as relay:
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert [client.request(one) for one in OF_GDB] == [b"OK"] * len(OF_GDB)
            if running:
                client.send(b"vCont;c")
                deadline = time.monotonic() + 5
                while relay.state != "running" and time.monotonic() < deadline:
                    time.sleep(0.01)
            relay.close()
    assert not stub.machine.watched and not stub.violations


def test_python_asks_while_a_debugger_is_there() -> None:
    """Requests of both sides interleave; each gets its own answer."""
    stub = make(QemuStub)
    with debugged(stub) as (relay, client):
        for number in range(50):
            client.send(b"m%x,1" % (START + number % 4))
            assert relay.request(b"qAttached") == b"1"
            assert client.receive() == b"f4"


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, FirecrackerStub, VirtualBoxStub, OldStub])
def test_detach_takes_the_probes_out_first(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        assert client.request(b"D;1" if "multiprocess" in stub.features else b"D") == b"OK"
        deadline = time.monotonic() + 5
        while relay.state != "closed" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "detach" in relay.reason
    kinds = [packet[:1] for packet in stub.packets()]
    assert kinds.index(b"z") < kinds.index(b"D")


@pytest.mark.parametrize("packet", [b"k", b"vKill;1"])
def test_kill(packet: bytes) -> None:
    stub = make(FakeStub)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        client.send(packet)
        if packet != b"k":
            assert client.receive() == b"OK"
        with pytest.raises(ConnectionError):
            client.receive()
        assert relay.state == "exited"
        assert "killed" in relay.reason
    assert stub.killed


def test_the_stub_dies_under_gdb() -> None:
    stub = make(LostStopStub)
    with debugged(stub) as (relay, client):
        client.send(b"vCont;c")
        with pytest.raises(ConnectionError):
            client.receive()
        assert relay.state == "closed"


# --- GDB itself ---

COMMANDS = (
    "p $pc",
    "stepi",
    "hbreak *0x2000",
    "continue",
    "p $rip",
    "info threads",
    "x/4xb 0x1000",
    "continue",
    "stepi",
    "stepi",
    "p $rip",
    "info registers rip eflags cs",
    "break *0x1010",
    "continue",
    "delete",
    "monitor info status",
    "set $rax = 0x1234",
    "p $rax",
    "p *(char *) 0x99999999",
    "continue",
)


def transcript(address: str, commands: Sequence[str] = COMMANDS) -> str:
    arguments = ["gdb", "-nx", "-batch", "-ex", f"target remote {address}"]
    for command in commands:
        arguments += ["-ex", f"echo > {command}\\n", "-ex", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    return (result.stdout + result.stderr).replace(address, "ADDRESS")


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, QemuNoAckStub, GdbserverStub, FirecrackerStub])
def test_gdb_shows_the_same_with_the_relay_between(kind: type[FakeStub]) -> None:
    walks: list[list[int | At]] = [list(WALK), [At(0x5000, idle=True)]]
    with make(kind, *walks) as stub:
        plain = transcript(stub.address)
    stub = make(kind, *walks)
    with relayed(stub) as relay:
        for address in (START, CALL, BODY, BODY + 1):
            relay.add_counter(address, hex(address))
        assert transcript(relay.socket_path) == plain
        assert hits(relay) == {hex(each): stub.machine.executed(each) for each in (START, CALL, BODY, BODY + 1)}
    assert "exited normally" in plain


WATCHING = ("watch *(int *) 0x8000", "continue", "p $rip", "continue", "p $rip", "delete", "continue")


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, GdbserverStub])
def test_gdb_watches_the_same_with_the_relay_between(kind: type[FakeStub]) -> None:
    """Whether the host's processor hands its watchpoints on or not: test_peers.py asks a real one."""
    walk: list[int | At] = [
        START,
        CALL,
        At(BODY, writes={0x8000: b"\x2a"}),
        CALL,
        At(BODY, writes={0x8000: b"\x2b"}),
        CALL,
        END,
    ]

    def stub() -> FakeStub:
        made = make(kind, walk)
        made.machine.memory.map(0x8000, bytes(4))
        return made

    with stub() as plain:
        expected = transcript(plain.address, WATCHING)
    with relayed(stub()) as relay:
        for address in (CALL, BODY):
            relay.add_counter(address, hex(address))
        assert transcript(relay.socket_path, WATCHING) == expected
        assert hits(relay) == {hex(CALL): 3, hex(BODY): 2}
    for text in ("New value = 42", "Old value = 42", "New value = 43", "exited normally"):
        assert text in expected
