# SPDX-License-Identifier: MIT
"""Each of GDB's requests is judged by what it is: Ctrl-C that comes while the guest stands, leaving and killing that a stub
refuses, a debugger that has negotiated less than the relay, a stub that keeps everybody waiting."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Sequence

import pytest
from relay_world import BODY, CALL, END, ROUNDS, START, WALK, debugged, hits, make, relayed
from rsp_client import RspClient
from scripted_machine import Machine
from scripted_quirks import (
    ClingingStub,
    FirecrackerStub,
    GdbserverStub,
    KgdbStub,
    NewBhyveStub,
    NoVKillStub,
    OldStub,
    QemuNoAckStub,
    QemuStub,
    ThreadlessStub,
    UnleavableStub,
    VirtualBoxStub,
    VmwareStub,
)
from scripted_stub import FakeStub
from scripted_wire import RUN_ON, Hangup, Reply

from clockscope._core import Relay


def bp(kind: int, address: int, insert: bool = True) -> bytes:
    return f"{'Z' if insert else 'z'}{kind},{address:x},1".encode()


def framed(payload: bytes) -> bytes:
    return b"$%s#%02x" % (payload, sum(payload) & 0xFF)


def settled(relay: Relay, *states: str, limit: float = 5.0) -> str:
    """The relay's state once it is one of those."""
    deadline = time.monotonic() + limit
    while relay.state not in states and time.monotonic() < deadline:
        time.sleep(0.01)
    return relay.state


def plain_gdb(address: str, *commands: str, settings: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    options = [word for each in (*settings, "set architecture i386:x86-64") for word in ("-iex", each)]
    script = [word for each in (f"target remote {address}", *commands) for word in ("-ex", each)]
    return subprocess.run(
        ["gdb", "-nx", "-batch", *options, *script], capture_output=True, text=True, timeout=60, check=False
    )


def said(run: subprocess.CompletedProcess[str], address: str) -> str:
    text = run.stdout + run.stderr
    assert "internal-error" not in text and run.returncode >= 0, text
    return text.replace(address, "ADDRESS")


# --- Ctrl-C while the guest stands ---

# With each stub's own acknowledgements, and without. KGDB takes no Ctrl-C at all, bhyve answers with a trap.
KINDS = [FakeStub, QemuStub, QemuNoAckStub, GdbserverStub, KgdbStub, NewBhyveStub, VirtualBoxStub, ThreadlessStub]


def resume_of(stub: FakeStub) -> bytes:
    return b"vCont;c" if "vContSupported" in stub.features else b"c"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("no_ack", [False, True])
def test_ctrl_c_is_kept_for_the_next_resume(kind: type[FakeStub], no_ack: bool) -> None:
    """And for no later one, and the guest has not moved."""
    stub = make(kind)
    with debugged(stub) as (relay, client):
        relay.add_counter(CALL, "call")
        if no_ack:
            client.start_no_ack()
        client.interrupt()
        assert client.request(b"m1000,2").lower() == b"f4f4"
        stop = client.resume(resume_of(stub))
        assert re.match(rb"[ST]02", stop), stop
        assert stub.machine.vcpu(1).executed == []
        assert client.resume(resume_of(stub)) == b"W00"
        assert hits(relay) == {"call": ROUNDS}


QUESTION, RESUME = framed(b"qAttached"), framed(b"vCont;c")
GLUED = {
    "before": b"\x03" + QUESTION + RESUME,
    "between": QUESTION + b"\x03" + RESUME,
    "behind": QUESTION + RESUME + b"\x03",
    "among acknowledgements": b"+\x03+" + QUESTION + b"+" + RESUME,
    "twice": b"\x03" + QUESTION + b"\x03" + RESUME,
}


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, QemuNoAckStub, GdbserverStub])
@pytest.mark.parametrize("place", GLUED)
def test_ctrl_c_glued_to_packets(kind: type[FakeStub], place: str) -> None:
    stub = kind(Machine([CALL, BODY, END], loop_to=0))
    with debugged(stub) as (relay, client):
        relay.add_counter(CALL, "call")
        for _ in range(5):
            client.write(GLUED[place])
            assert client.receive() == b"1"
            assert client.stop().startswith(b"T02")
            client.send(b"vCont;c")
            with pytest.raises(TimeoutError):  # one stop for it, no more
                client.stop(0.1)
            client.interrupt()
            assert client.stop().startswith(b"T02")


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, GdbserverStub])
def test_ctrl_c_that_another_stop_has_crossed(kind: type[FakeStub]) -> None:
    """GDB steps, and judges each stop by a condition that does not hold: of its Ctrl-C nobody has told it yet."""
    stub = kind(Machine([CALL, BODY, END], loop_to=0))
    with debugged(stub) as (_, client):
        for number in range(20):
            stops = []
            for step in range(8):
                client.write(framed(b"vCont;s:p1.1;c") + (b"\x03" if step == 3 else b""))
                time.sleep(0.0003 * (number % 4))
                stops.append(client.stop()[:3])
            assert stops.count(b"T02") == 1 and stops.index(b"T02") in (3, 4), stops


def test_ctrl_c_takes_no_signal_from_the_guest() -> None:
    """A resume with a signal is carried out, and the stop comes behind it."""

    class Signalled(GdbserverStub):
        signals: list[str] = []

        def vCont(self, items: list[tuple[str, str]]) -> Reply:
            self.signals = [*self.signals, *(action for action, _ in items if action[0] == "C")]
            return super().vCont(items)

    stub = Signalled(Machine([START, CALL, END], loop_to=0))
    with debugged(stub) as (_, client):
        client.interrupt()
        assert client.resume(b"vCont;C0e:p1.1;c").startswith(b"T02")
        assert stub.signals == ["C0e"]


def test_ctrl_c_stops_a_thread_that_was_resumed() -> None:
    stub = make(QemuStub, list(WALK), [0x5000, 0x5001, 0x5002])
    with debugged(stub) as (_, client):
        for packet, thread in ((b"vCont;c:p1.2", b"2"), (b"vCont;s:p1.2;c", b"2"), (b"vCont;c", b"2")):
            client.interrupt()
            assert re.match(rb"T02thread:p0?1\.0?%s;$" % thread, client.resume(packet))
        assert stub.resumes() == 0


def test_ctrl_c_before_the_first_word_asks_for_a_guest_that_stands() -> None:
    """`set remote interrupt-on-connect on`: it does stand, and nothing is left to be done."""
    with relayed(make(QemuStub)) as relay, RspClient(relay.socket_path) as client:
        client.interrupt()
        client.greet()
        assert client.resume() == b"W00"


def test_ctrl_c_of_one_debugger_does_not_stop_anothers_guest() -> None:
    with relayed(make(QemuStub)) as relay:
        with RspClient(relay.socket_path) as client:
            client.greet()
            client.interrupt()
            assert client.request(b"qAttached") == b"1"
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.resume() == b"W00"


# --- leaving and killing ---


@pytest.mark.parametrize("kind", [NoVKillStub, FirecrackerStub, VirtualBoxStub, VmwareStub, OldStub])
def test_a_stub_without_vkill_is_killed_by_k(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        assert client.request(b"vKill;1") == b""
        assert (relay.state, relay.reason, stub.killed) == ("stopped", "", False)
        assert client.request(b"m1000,2").lower() == b"f4f4"
        client.send(b"k")
        assert settled(relay, "exited", "closed") == "exited"
        assert relay.reason == "GDB killed the guest"
    assert stub.killed


@pytest.mark.parametrize("kind", [QemuStub, GdbserverStub, FakeStub])
@pytest.mark.parametrize("packet", [b"k", b"vKill;1"])
def test_a_stub_that_kills(kind: type[FakeStub], packet: bytes) -> None:
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        client.send(packet)
        if packet != b"k":
            assert client.receive() == b"OK"
        with pytest.raises(ConnectionError):
            client.receive()
        assert (relay.state, relay.reason) == ("exited", "GDB killed the guest")
    assert stub.killed


@pytest.mark.parametrize("kind", [UnleavableStub, NewBhyveStub, KgdbStub])
def test_k_that_does_not_kill_is_not_called_so(kind: type[FakeStub]) -> None:
    """bhyve does not know it; KGDB lets its kernel run on, and says nothing."""
    stub = make(kind)
    with relayed(stub) as relay:
        with RspClient(relay.socket_path) as client:
            client.greet()
            client.send(b"k")
        assert settled(relay, "closed", "exited") == "closed"
        assert "may run on" in relay.reason
    assert not stub.killed


@pytest.mark.parametrize("kind", [ClingingStub, UnleavableStub])
@pytest.mark.parametrize("packet", [b"D;1", b"vKill;1"])
def test_what_a_stub_refuses_has_not_happened(kind: type[FakeStub], packet: bytes) -> None:
    """The guest stands, its memory is read, its probes count, and GDB may leave it for good in another way."""
    stub = make(kind)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        relay.add_counter(CALL, "call")
        assert client.request(packet) == (b"E01" if kind is ClingingStub else b"")
        assert (relay.state, relay.reason) == ("stopped", "")
        assert client.request(b"m1000,2") == b"f4f4"
        assert client.request(bp(1, END)) == b"OK"
        assert client.resume().startswith(b"T05")
        assert hits(relay) == {"call": ROUNDS}
    assert not stub.detached and not stub.killed


def test_another_process_may_go() -> None:
    """Of the machines that have several, GDB may leave one that is not the guest."""

    class Two(FakeStub):
        def _process(self, text: str, handler: object) -> Reply:
            return "OK"

    with debugged(make(Two)) as (relay, client):
        for packet in (b"D;2", b"vKill;2"):
            assert client.request(packet) == b"OK"
            assert client.request(b"qAttached") == b"1"
            assert relay.state == "stopped"


def test_a_detach_that_ends_the_connection_is_none() -> None:
    class Leaves(FakeStub):
        def D(self) -> Reply:
            raise Hangup

    with debugged(make(Leaves)) as (relay, client):
        client.send(b"D;1")
        with pytest.raises(ConnectionError):
            client.receive()
        assert relay.state == "closed" and "detached" not in relay.reason and "runs on" not in relay.reason


def test_detach_from_python_that_is_refused() -> None:
    stub = make(ClingingStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        with pytest.raises(Exception, match="refuses"):
            relay.detach()
        assert relay.state == "stopped"
        relay.resume()
        assert relay.wait(5) == b"W00"
        assert hits(relay) == {"call": ROUNDS}


@pytest.mark.parametrize("answer", [RUN_ON, ""])
def test_restart_has_no_reply(answer: Reply) -> None:
    """VirtualBox has one all the same: it is no answer to what GDB asks next. What was planted is planted anew."""

    class Restarts(FakeStub):
        def R(self) -> Reply:
            self.machine.breakpoints.clear()
            return answer

    stub = make(Restarts)
    with debugged(stub) as (relay, client):
        relay.add_counter(CALL, "call")
        assert client.request(bp(1, END)) == b"OK"
        client.send(b"R00")
        assert client.request(b"qAttached") == b"1"
        assert client.request(b"m1000,2") == b"f4f4"
        assert client.request(bp(1, END)) == b"OK"
        assert client.resume().startswith(b"T05")
        assert hits(relay) == {"call": ROUNDS}


def test_a_guest_that_ends_while_it_stands() -> None:
    """That is no answer to a question, and the end is what the next resume shows."""

    class Ends(FakeStub):
        def m(self, address: int, length: int) -> Reply:
            return "W03;process:1"

    with debugged(make(Ends)) as (relay, client):
        assert client.request(b"m1000,2") == b"E01"
        assert relay.state == "exited"
        assert client.resume() == b"W03"


ON, OFF = "auto", "off"  # whether GDB knows of processes
LEAVING = [
    *((NoVKillStub, "kill", each) for each in (ON, OFF)),
    *((ClingingStub, "kill", each) for each in (ON, OFF)),
    *((UnleavableStub, "kill", each) for each in (ON, OFF)),
    *((GdbserverStub, "kill", each) for each in (ON, OFF)),
    *((QemuStub, "kill", each) for each in (ON, OFF)),
    *((kind, "kill", ON) for kind in (KgdbStub, NewBhyveStub, VirtualBoxStub, VmwareStub, OldStub, FirecrackerStub)),
    *((ClingingStub, "detach", each) for each in (ON, OFF)),
    (UnleavableStub, "detach", ON),
    (KgdbStub, "detach", ON),
    *((GdbserverStub, "detach", each) for each in (ON, OFF)),
    *((QemuStub, "detach", each) for each in (ON, OFF)),
]


@pytest.mark.parametrize(("kind", "command", "processes"), LEAVING)
def test_gdb_leaves_as_without_the_relay(kind: type[FakeStub], command: str, processes: str) -> None:
    """The same words, the same fate of the guest, and no GDB that aborts."""
    settings = [f"set remote multiprocess-feature-packet {processes}"]
    with make(kind) as stub:
        direct = said(plain_gdb(stub.address, command, "info threads", settings=settings), stub.address)
        fate = stub.killed, stub.detached
    stub = make(kind)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        address = relay.socket_path
        assert said(plain_gdb(address, command, "info threads", settings=settings), address) == direct
        gone = any(fate) or "Inferior 1 (Remote target) killed" in direct
        assert settled(relay, "closed", "exited", limit=5.0 if gone else 0) in ("closed", "exited") or not gone
        reason = relay.reason
        assert (stub.killed, stub.detached) == fate
    assert stub.killed or "killed" not in reason
    assert stub.detached or "runs on" not in reason or kind is FirecrackerStub  # leaving it kills


# --- what GDB has not negotiated ---

PLAIN = b"qSupported:vContSupported+;xmlRegisters=i386"


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, GdbserverStub, ThreadlessStub])
def test_a_debugger_that_knows_no_processes(kind: type[FakeStub]) -> None:
    stub = make(kind, list(WALK), [0x5000, 0x5001, 0x5002])
    stub.machine.ending = b"W3;process:1"
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        offered = client.request(PLAIN)
        for name in (b"multiprocess", b"swbreak", b"hwbreak", b"qXfer:threads"):
            assert name not in offered
        assert stub.multiprocess
        relay.add_counter(CALL, "call")
        replies = [
            client.request(each)
            for each in (b"?", b"qC", b"qfThreadInfo", b"qsThreadInfo", b"Hg2", b"p10", b"T2", b"T9", b"Hc-1")
        ]
        assert not any(b"p1" in reply or b"p0" in reply for reply in replies), replies
        assert [int(each, 16) for each in replies[2][1:].split(b",")] == [1, 2]
        assert replies[4:5] == [b"OK"] and replies[5][:4] == b"0050" and replies[6:] == [b"OK", b"E22", b"OK"]
        assert client.request(bp(1, END)) == b"OK"
        for packet in (b"vCont;s:1;c", b"vCont;c"):
            stop = client.resume(packet)
            assert stop.startswith(b"T05") and b"p" not in stop and b"break" not in stop, stop
        assert client.request(bp(1, END, insert=False)) == b"OK"
        assert client.resume(b"vCont;c") == b"W3"
        assert hits(relay) == {"call": ROUNDS}


@pytest.mark.parametrize("end", [b"X09;process:1", b"W00;process:1", b"X0b;process:1;core:2"])
def test_ends_without_processes(end: bytes) -> None:
    stub = make(FakeStub)
    stub.machine.ending = end
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.request(PLAIN)
        assert client.resume() == end[:3]
        assert client.request(b"?") == end[:3]


def test_a_debugger_that_says_nothing_of_itself() -> None:
    """No qSupported at all."""
    with relayed(make(FakeStub)) as relay, RspClient(relay.socket_path) as client:
        assert client.request(b"?") == b"T05thread:1;"
        assert client.request(b"qC") == b"QC1"
        assert client.request(b"D") == b"OK"
        assert settled(relay, "closed") == "closed" and "detached" in relay.reason


def test_the_next_debugger_negotiates_for_itself() -> None:
    with relayed(make(QemuStub)) as relay:
        with RspClient(relay.socket_path) as client:
            client.request(PLAIN)
            assert client.request(b"qC") == b"QC01"
        with RspClient(relay.socket_path) as client:
            client.greet()
            assert client.request(b"qC") == b"QCp01.01"
        with RspClient(relay.socket_path) as client:
            assert client.request(b"qC") == b"QC01"


@pytest.mark.parametrize("packet", [b"k", b"vKill;a410", b"D"])
def test_leaving_without_processes(packet: bytes) -> None:
    """GDB names none, or one that it has made up (42000): the stub wants the right one."""
    stub = make(QemuStub)
    with relayed(stub) as relay, RspClient(relay.socket_path) as client:
        client.request(PLAIN)
        client.send(packet)
        if packet != b"k":
            assert client.receive() == b"OK"
        assert settled(relay, "closed", "exited") == ("closed" if packet == b"D" else "exited")
    assert stub.detached if packet == b"D" else stub.killed


NEGOTIATIONS = [
    "set remote multiprocess-feature-packet off",
    "set remote swbreak-feature-packet off",
    "set remote hwbreak-feature-packet off",
    "set remote threads-packet off",
    "set remote verbose-resume-packet off",
    "set remote noack-packet off",
]
DEBUGGING = ("info threads", "hbreak *0x2000", "continue", "stepi", "x/2xb 0x1000", "delete", "thread", "continue")


@pytest.mark.parametrize(
    ("kind", "off"),
    [
        *((GdbserverStub, [each]) for each in NEGOTIATIONS),
        *((kind, NEGOTIATIONS[:4]) for kind in (FakeStub, QemuStub, GdbserverStub)),
    ],
)
def test_gdb_with_features_switched_off(kind: type[FakeStub], off: list[str]) -> None:
    with make(kind) as stub:
        stub.machine.ending = b"W03"
        direct = said(plain_gdb(stub.address, *DEBUGGING, settings=off), stub.address)
    assert "exited with code 03" in direct
    stub = make(kind)
    stub.machine.ending = b"W3;process:1" if "multiprocess" in off[0] else b"W03"
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        assert said(plain_gdb(relay.socket_path, *DEBUGGING, settings=off), relay.socket_path) == direct
        assert hits(relay) == {"call": ROUNDS}


# --- a stub that keeps everybody waiting ---


class Stalls(FakeStub):
    """It takes long, once, over the reading of one place, and over the choosing of a thread for it."""

    reading = choosing = 0.0

    def m(self, address: int, length: int) -> Reply:
        if address == BODY:
            time.sleep(self.reading)
            self.reading = 0.0
        return super().m(address, length)

    def H(self, what: str, thread: str) -> Reply:
        time.sleep(self.choosing)
        self.choosing = 0.0
        return super().H(what, thread)


@pytest.mark.parametrize("packet", ["off", "auto"])
def test_gdb_stays_in_step_with_a_stub_that_stalls(packet: str) -> None:
    """Longer than GDB waits, with all its tries: what comes late is the answer to its own question, and to no other. A
    relay that asks for itself on the way to the answer is no more silent."""
    stub = Stalls(Machine(WALK, [0x5000, 0x5001]))
    settings = ["set remotetimeout 1", f"set remote noack-packet {packet}"]
    with relayed(stub, timeout=30.0) as relay:
        relay.add_counter(CALL, "call")
        stub.reading = 4.0
        stub.choosing = 4.0 if packet == "auto" else 0.0
        run = plain_gdb(relay.socket_path, "x/2xb 0x2000", "x/2xb 0x1000", "p $rip", "kill", settings=settings)
        text = said(run, relay.socket_path)
    assert "0x2000:\t0xf4\t0xf4" in text and "0x1000:\t0xf4\t0xf4" in text and "= (void (*)()) 0x1000" in text
    for word in ("Ignoring packet error", "timed out", "Timed out", "Invalid", "rror"):
        assert word not in text, text
    assert stub.killed and not stub.reading and not stub.choosing


def test_gdb_is_kept_waiting_for_what_others_ask() -> None:
    """Its request is not even read while Python's is under way."""
    stub = Stalls(Machine(WALK))
    with debugged(stub) as (relay, client):
        client.start_no_ack()
        stub.reading = 1.5
        asking = threading.Thread(target=relay.request, args=(b"m2000,2",))
        asking.start()
        time.sleep(0.1)
        client.send(b"qC")
        began = time.monotonic()
        assert client.peek(1.0) == b"+"
        assert client.receive() == b"QCp1.1" and time.monotonic() - began > 1.0
        asking.join()


@pytest.mark.parametrize("no_ack", [False, True])
def test_a_debugger_that_lost_patience(no_ack: bool) -> None:
    """It asked for the reply again and again, and went on: the late reply is not taken for the next one's."""
    stub = Stalls(Machine(WALK))
    with debugged(stub) as (_, client):
        if no_ack:
            client.start_no_ack()
        stub.reading = 0.5
        client.send(b"m2000,2")
        time.sleep(0.1)
        client.write(b"---")
        client.send(b"qAttached")
        assert client.receive() == b"1"
        assert client.request(b"m2000,2") == b"f4f4"
        assert client.request(b"qC") == b"QCp1.1"


def test_impatience_gets_one_answer() -> None:
    """A reply that was asked for again before it came is sent once."""
    stub = Stalls(Machine(WALK))
    with debugged(stub) as (_, client):
        stub.reading = 0.5
        client.send(b"m2000,2")
        time.sleep(0.1)
        client.write(b"-")
        assert client.receive() == b"f4f4"
        assert client.request(b"qAttached") == b"1"
        assert client.request(b"qC") == b"QCp1.1"


def test_no_question_of_gdbs_waits_for_ever() -> None:
    stub = make(FakeStub)
    with relayed(stub, timeout=0.5) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        stub.mute = ("m",)
        client.send(b"m1000,2")
        assert client.receive() == b"E01"
        assert relay.state == "closed" and "does not answer GDB's last request" in relay.reason
