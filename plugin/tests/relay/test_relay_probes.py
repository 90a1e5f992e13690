# SPDX-License-Identifier: MIT
"""Entry counters, headless: each hit is counted once, whatever the stub is like, and nobody else sees it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from relay_world import BODY, CALL, CAPABLE, END, NEVER, ROUNDS, START, WALK, hits, make, relayed, run_out
from scripted_machine import PLAIN, SHORT, At, Machine
from scripted_quirks import (
    ErrorStub,
    FirecrackerStub,
    KgdbStub,
    LostStopStub,
    NoBreakpointStub,
    OldBhyveStub,
    QemuKvmStub,
    QemuNoAckStub,
    QemuStub,
    SoftOnlyStub,
    StepRefusedStub,
    VirtualBoxStub,
)
from scripted_stub import FakeStub

from clockscope._core import ClosedError, Error, ProtocolError, RefusedError, Relay, StateError, TimeoutError

ADDRESSES = {"start": START, "call": CALL, "body": BODY, "next": BODY + 1, "end": END, "never": NEVER}


def plant_all(relay: Relay, addresses: dict[str, int] = ADDRESSES) -> None:
    for name, address in addresses.items():
        relay.add_counter(address, name)


@pytest.mark.parametrize("kind", CAPABLE)
def test_counts_are_what_the_guest_executed(kind: type[FakeStub]) -> None:
    stub = make(kind)
    if isinstance(stub, FirecrackerStub | QemuKvmStub):  # four slots; the rest have to be soft
        stub.paging = True  # type: ignore[union-attr]
        stub.machine.memory.map(NEVER, b"")
    with relayed(stub) as relay:
        plant_all(relay)
        assert run_out(relay) == b"W00"
        counted = hits(relay)
    assert counted == {name: stub.machine.executed(address) for name, address in ADDRESSES.items()}
    assert counted == {"start": 1, "call": ROUNDS, "body": ROUNDS, "next": ROUNDS, "end": 1, "never": 0}
    assert stub.machine.vcpu(1).executed == WALK


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, QemuNoAckStub])
@pytest.mark.parametrize("shape", ["chunks", "runs", "late bytes"])
def test_counts_do_not_depend_on_the_wire(kind: type[FakeStub], shape: str) -> None:
    stub = make(kind)
    stub.chunk = 11 if shape == "chunks" else 0
    stub.run_length = shape == "runs"
    stub.grace = 0.003 if shape == "late bytes" else 0.0
    with relayed(stub) as relay:
        plant_all(relay)
        assert run_out(relay) == b"W00"
        assert hits(relay)["body"] == ROUNDS
    assert stub.while_running() == b""


def test_acknowledgements_are_finished_before_a_resume() -> None:
    stub = make(QemuStub)
    with relayed(stub) as relay:
        plant_all(relay)
        run_out(relay)
    resumes = [entry for entry in stub.log if entry.kind == "resume"]
    assert resumes and all(entry.unacked == 0 for entry in resumes)


EMULATED: list[tuple[str, list[int | At]]] = [
    ("nop", [At(START, b"\x90"), START + 1]),
    ("endbr64", [At(START, b"\xf3\x0f\x1e\xfa"), START + 4]),
    ("jne taken", [At(START, b"\x75\x05", {"eflags": 0x2}), START + 7]),
    ("jne not taken", [At(START, b"\x75\x05", {"eflags": 0x42}), START + 2]),
    ("jmp", [At(START, b"\xeb\x7e"), START + 0x80]),
    ("push %rbp", [At(START, b"\x55", {"rsp": 0x9008, "rbp": 0x1234}), At(START + 1, b"", {"rsp": 0x9000})]),
    ("ret", [At(START, b"\xc3", {"rsp": 0x9010}), At(0x1234, b"", {"rsp": 0x9018})]),
]


@pytest.mark.parametrize(("name", "walk"), EMULATED, ids=[name for name, _ in EMULATED])
@pytest.mark.parametrize("kind", [FakeStub, QemuStub, FirecrackerStub])
def test_an_instruction_may_be_worked_out_instead_of_stepped(
    kind: type[FakeStub], name: str, walk: list[int | At]
) -> None:
    """The guest is where, and what, it would be after a step; Firecracker writes no register, and is stepped."""
    stub = make(kind, [*walk, END])
    stub.machine.memory.map(0x9000, bytes(16) + (0x1234).to_bytes(8, "little"))
    with relayed(stub) as relay:
        relay.add_counter(START, "start")
        relay.add_counter(stub.machine.vcpu(1).walk[1].pc, "after")
        before = len(stub.packets())
        relay.resume()
        assert relay.wait(5) == b"W00"
        assert hits(relay) == {"start": 1, "after": 1}
        if name == "push %rbp" and kind is not FirecrackerStub:
            assert stub.machine.memory.read(0x9000, 8) == (0x1234).to_bytes(8, "little")
    assert stub.machine.vcpu(1).executed[:2] == [START, stub.machine.vcpu(1).walk[1].pc]
    stepped = [packet for packet in stub.packets()[before:] if packet.startswith(b"vCont;s")]
    assert len(stepped) == (2 if kind is FirecrackerStub else 1)


def test_nothing_is_worked_out_before_long_mode() -> None:
    """0x40 is a prefix in 64-bit code, and `inc %eax` before it."""
    stub = make(QemuStub, [At(START, b"\x40\x90", {"efer": 0}), START + 1, END])
    with relayed(stub) as relay:
        relay.add_counter(START, "start")
        assert run_out(relay) == b"W00"
    assert len(stub.packets("vCont;s")) == 1


def test_what_a_counter_tells() -> None:
    stub = make(QemuStub)
    with relayed(stub) as relay:
        number = relay.add_counter(CALL, "call")
        never = relay.add_counter(NEVER, "never")
        assert all(counter["planted"] for counter in relay.counters())
        run_out(relay)
        counters = {counter["number"]: counter for counter in relay.counters()}
        run_ns = relay.run_ns()
    assert counters[number]["address"] == CALL and counters[number]["name"] == "call"
    assert counters[number]["first_cpu"] == 0
    assert 0 <= counters[number]["first_run_ns"] <= run_ns
    assert counters[never]["hits"] == 0
    assert counters[never]["first_run_ns"] is None and counters[never]["first_cpu"] is None


def test_each_vcpu_is_counted_and_told_apart() -> None:
    walks = [[START, CALL, BODY, CALL, END], [0x5000, BODY, BODY, 0x5001, 0x5002, 0x5003]]
    for kind in (FakeStub, QemuStub):
        stub = make(kind, *walks)
        with relayed(stub) as relay:
            plant_all(relay, {"call": CALL, "body": BODY, "second": 0x5001})
            assert run_out(relay) == b"W00"
            assert hits(relay) == {"call": 2, "body": 3, "second": 1}
            first = {counter["name"]: counter["first_cpu"] for counter in relay.counters()}
        assert first["call"] == 0 and first["second"] == 1
        assert [vcpu.executed for vcpu in stub.machine.vcpus] == walks


def test_vcpus_that_reach_one_probe_at_once_are_both_counted() -> None:
    same = [START, CALL, BODY, CALL, BODY, END]
    for kind in (FakeStub, QemuStub, QemuNoAckStub):
        with relayed(make(kind, same, same, same)) as relay:
            plant_all(relay, {"call": CALL, "body": BODY, "start": START, "end": END})
            assert run_out(relay) == b"W00"
            assert hits(relay) == {"call": 6, "body": 6, "start": 3, "end": 3}


def test_counters_at_one_address() -> None:
    stub = make(QemuStub)
    with relayed(stub) as relay:
        first, second = relay.add_counter(CALL, "first"), relay.add_counter(CALL, "second")
        assert len(stub.machine.breakpoints) == 1
        relay.remove_counter(first)
        assert len(stub.machine.breakpoints) == 1
        run_out(relay)
        assert hits(relay) == {"first": 0, "second": ROUNDS}
        assert {each["number"]: each["planted"] for each in relay.counters()} == {first: False, second: True}


def test_a_removed_counter_is_lifted() -> None:
    stub = make(QemuStub)
    with relayed(stub) as relay:
        relay.remove_counter(relay.add_counter(CALL, "call"))
        assert stub.machine.breakpoints == set()
        assert run_out(relay) == b"W00"
    assert stub.resumes() == 1


def test_an_unknown_counter_cannot_be_removed() -> None:
    with relayed(make(QemuStub)) as relay, pytest.raises(Error):
        relay.remove_counter(4711)


def test_probes_in_a_row_take_no_resume_between_them() -> None:
    """CALL, BODY and BODY+1 follow each other: one continue for each round."""
    stub = make(QemuStub)
    with relayed(stub) as relay:
        plant_all(relay, {"call": CALL, "body": BODY, "next": BODY + 1})
        run_out(relay)
    continues = [entry for entry in stub.log if entry.kind == "resume" and b"'c'" in entry.data]
    assert len(continues) <= ROUNDS + 1


def test_an_own_stop_costs_few_packets() -> None:
    """The bound of one hit: registers, the instruction, a step, registers again, a continue."""
    stub = make(QemuStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        before = len(stub.packets())
        run_out(relay)
        assert (len(stub.packets()) - before) / ROUNDS <= 6


def test_statistics_and_times() -> None:
    stub = make(QemuStub)
    stub.pace = 0.01
    stub.rounds = 1
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        time.sleep(0.3)
        run_out(relay)
        known = relay.statistics()
        assert known["own_stops"] == ROUNDS
        assert known["probes"] == 1
        assert known["packets_to_gdb"] == 0
        assert known["packets_to_stub"] == len(stub.packets())
        assert relay.run_ns() == known["run_ns"]
    assert 0.1e9 < known["run_ns"] < 0.3e9 + 0.01e9 * len(WALK)
    assert 0 < known["own_stop_ns"] < 5e9


def test_requests_are_refused_while_the_guest_runs() -> None:
    stub = make(QemuStub, [START, At(CALL, idle=True), END])
    with relayed(stub) as relay:
        relay.resume()
        assert relay.state == "running"
        uses: list[Callable[[], object]] = [
            lambda: relay.request(b"g"),
            lambda: relay.read_memory(START, 1),
            lambda: relay.add_counter(END, "end"),
            lambda: relay.monitor("info status"),
            relay.resume,
        ]
        for use in uses:
            with pytest.raises(StateError):
                use()
        assert relay.wait(0.1) is None
        relay.interrupt()
        assert relay.wait(5) == b"T02thread:p01.01;"
        assert relay.state == "stopped"
        relay.add_counter(END, "end")
        assert run_out(relay) == b"W00"
        assert relay.state == "exited"
        assert hits(relay) == {"end": 1}
    assert stub.while_running() == b"\x03"


def test_stepping_over_a_probe_counts_it_once() -> None:
    for kind in (FakeStub, QemuStub):
        stub = make(kind)
        with relayed(stub) as relay:
            plant_all(relay)
            for _ in range(len(WALK) - 1):
                relay.resume(b"vCont;s:p1.1")
                stop = relay.wait(5)
                assert stop is not None and stop.startswith(b"T05")
            assert stub.machine.vcpu(1).executed == WALK[:-1]
            assert hits(relay)["call"] == ROUNDS
            assert run_out(relay) == b"W00"
            assert hits(relay) == {name: stub.machine.executed(address) for name, address in ADDRESSES.items()}


def test_the_guest_is_interrupted_when_nothing_happens_for_long() -> None:
    stub = make(QemuStub, [START, CALL, At(BODY, idle=True), END])
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.set_idle_limit(0.3)
        relay.resume()
        stop = relay.wait(5)
        assert stop is not None and stop.startswith(b"T00")
        assert relay.idle_reached
        relay.set_idle_limit(0)
        assert run_out(relay) == b"W00"
        assert not relay.idle_reached


@pytest.mark.parametrize("kind", [FakeStub, QemuStub])
def test_a_guest_that_jumps_from_probe_to_probe_for_ever_can_be_stopped(kind: type[FakeStub]) -> None:
    walk = [At(START, b"\xeb\x0e"), At(CALL, b"\xeb\xee")]
    stub = kind(Machine(walk, loop_to=0))
    with relayed(stub) as relay:
        relay.add_counter(START, "start")
        relay.add_counter(CALL, "call")
        relay.resume()
        time.sleep(0.1)
        relay.interrupt()
        stop = relay.wait(5)
        assert stop is not None and stop.startswith(b"T02")
        counted = hits(relay)
    assert abs(counted["start"] - counted["call"]) <= 1
    assert counted["start"] + counted["call"] - 1 <= len(stub.machine.vcpu(1).executed)


# --- what cannot be planted, stepped or lifted ---


@pytest.mark.parametrize("kind", [NoBreakpointStub, ErrorStub, OldBhyveStub])
def test_a_stub_without_breakpoints_says_so(kind: type[FakeStub]) -> None:
    stub = kind(Machine(list(WALK), layout=SHORT)) if kind is OldBhyveStub else make(kind)
    with relayed(stub) as relay:
        with pytest.raises(RefusedError) as error:
            relay.add_counter(CALL, "call")
        assert f"{CALL:x}" in str(error.value)
        assert run_out(relay) == b"W00"


def test_slots_run_out() -> None:
    """Firecracker before paging: four hardware breakpoints, and no other."""
    stub = FirecrackerStub(Machine(list(WALK), layout=PLAIN))
    with relayed(stub) as relay:
        for name in ("start", "call", "body", "next"):
            relay.add_counter(ADDRESSES[name], name)
        with pytest.raises(RefusedError):
            relay.add_counter(END, "end")
        assert run_out(relay) == b"W00"
        assert {name: count for name, count in hits(relay).items() if name != "end"} == {
            "start": 1,
            "call": ROUNDS,
            "body": ROUNDS,
            "next": ROUNDS,
        }


def test_software_breakpoints_where_there_are_no_others() -> None:
    stub = make(SoftOnlyStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        assert stub.machine.breakpoints == {(0, CALL)}
        assert run_out(relay) == b"W00"


def test_a_stub_that_cannot_step_gives_its_stop_away_and_nothing_hangs() -> None:
    stub = make(StepRefusedStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.resume()
        began = time.monotonic()
        stop = relay.wait(5)
        assert time.monotonic() - began < 4
        assert stop is not None, "the guest stands and nobody was told"
        assert relay.state == "stopped"
        assert hits(relay) == {"call": 1}


def test_a_stub_that_cannot_lift_a_breakpoint() -> None:
    """VirtualBox: what was planted stays; the stops of a counter that is gone are still the relay's."""
    stub = make(VirtualBoxStub)
    with relayed(stub) as relay:
        number = relay.add_counter(CALL, "call")
        relay.add_counter(BODY, "body")
        try:
            relay.remove_counter(number)
        except RefusedError:
            pass
        assert run_out(relay) == b"W00"
        assert hits(relay)["body"] == ROUNDS
    assert stub.machine.vcpu(1).executed == WALK


# --- the connection ends ---


def test_the_stub_dies_in_the_middle_of_a_stop() -> None:
    stub = make(LostStopStub)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.resume()
        with pytest.raises(ClosedError) as error:
            relay.wait(5)
        assert "\n" not in str(error.value)
        assert relay.state == "closed"
        assert relay.reason
        assert hits(relay) == {"call": 0}


def test_the_stub_dies_after_any_byte_of_a_run() -> None:
    """Either the run is through, or there is one clear error; never a hang, never a hit too many."""
    outcomes = set()
    for length in range(5200, 22000, 331):
        stub = make(QemuStub)
        stub.cut_after = length
        with stub:
            relay = Relay(stub.address)
            try:
                relay.add_counter(CALL, "call")
                relay.resume()
                stop = relay.wait(5)
                assert stop == b"W00"
                outcomes.add("through")
            except ClosedError as error:
                assert "\n" not in str(error)
                assert relay.state == "closed" and relay.reason
                outcomes.add("closed")
            assert hits(relay).get("call", 0) <= ROUNDS
            relay.close()
    assert outcomes == {"through", "closed"}


def test_the_stub_falls_silent() -> None:
    stub = make(QemuStub)
    stub.mute = ("m",)
    with relayed(stub, timeout=0.3) as relay:
        with pytest.raises(TimeoutError) as error:
            relay.read_memory(START, 1)
        assert stub.address in str(error.value)
        assert relay.state == "closed"
        assert "answer" in relay.reason


def test_the_stub_answers_nonsense() -> None:
    class Nonsense(FakeStub):
        def frame(self, data: bytes) -> bytes:
            return b"$*~#a8" if data == b"1" else super().frame(data)

    with relayed(make(Nonsense)) as relay:
        with pytest.raises(ProtocolError):
            relay.request(b"qAttached")
        assert relay.state == "closed"


def test_a_stub_that_cannot_be_interrupted_is_left_in_time() -> None:
    """KGDB: the guest runs on, and the probes stay; nobody waits for ever."""
    stub = make(KgdbStub, [START, At(CALL, idle=True), END])
    with stub:
        relay = Relay(stub.address, request_timeout=0.3)
        relay.add_counter(END, "end")
        relay.resume()
        began = time.monotonic()
        relay.interrupt()
        assert relay.wait(0.2) is None
        relay.close()
        assert time.monotonic() - began < 3


def test_counts_survive_the_guests_end() -> None:
    with relayed(make(QemuStub)) as relay:
        relay.add_counter(CALL, "call")
        run_out(relay)
        assert relay.state == "exited"
        assert hits(relay) == {"call": ROUNDS}


def test_closing_lifts_what_was_planted() -> None:
    for kind in (FakeStub, QemuStub):
        stub = make(kind)
        with relayed(stub) as relay:
            plant_all(relay)
            assert stub.machine.breakpoints
        assert stub.machine.breakpoints == set()
        assert not stub.detached and not stub.killed


def test_closing_while_the_guest_runs_leaves_it_running_without_probes() -> None:
    stub = make(QemuStub, [START, At(CALL, idle=True), BODY, BODY, END])
    with relayed(stub) as relay:
        relay.add_counter(BODY, "body")
        relay.resume()
    assert stub.machine.breakpoints == set()
    last = [entry.kind for entry in stub.log if entry.kind in ("resume", "stop", "close")]
    assert last[-2:] == ["resume", "close"] or last[-3:] == ["resume", "stop", "close"]


@pytest.mark.parametrize("kind", [FakeStub, QemuStub])
def test_detaching_lifts_and_lets_go(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay:
        relay.add_counter(CALL, "call")
        relay.detach()
        assert relay.state == "closed"
        assert "detached" in relay.reason
    kinds = [packet[:1] for packet in stub.packets()]
    assert stub.detached
    assert kinds.index(b"z") < kinds.index(b"D")
