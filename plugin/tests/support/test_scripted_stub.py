# SPDX-License-Identifier: MIT
"""The scripted stub itself is held against GDB and a raw client, so that tests of the relay can trust it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from rsp_client import RspClient, expand
from scripted_machine import FULL, PLAIN, SHORT, At, Layout, Machine
from scripted_quirks import FirecrackerStub, NewBhyveStub, OldStub, QemuKvmStub, QemuNoAckStub, QemuStub, VirtualBoxStub
from scripted_stub import FakeStub
from scripted_wire import run_lengths

START, CALL, BODY, END = 0x1000, 0x1010, 0x2000, 0x1020
WALK = [START, *[CALL, BODY, BODY + 1] * 3, END]


def machine(layout: Layout = FULL) -> Machine:
    return Machine(WALK, [0x5000, At(0x5001, idle=True)], layout=layout)


def run_gdb(address: str, *commands: str) -> str:
    arguments = ["gdb", "-nx", "-batch", "-ex", "set architecture i386:x86-64", "-ex", f"target remote {address}"]
    for command in commands:
        arguments += ["-ex", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    return result.stdout + result.stderr


COMMANDS = ("p $pc", "info registers rip", "x/2xb 0x1000", "stepi", "hbreak *0x2000", "continue", "p $rip", "continue",
           "info threads", "delete", "stepi", "p $rip", "continue")  # fmt: skip


@pytest.mark.parametrize("kind", [FakeStub, QemuStub, QemuNoAckStub])
def test_gdb_debugs_the_machine(kind: type[FakeStub]) -> None:
    with kind(machine()) as stub:
        text = run_gdb(stub.address, *COMMANDS)
    assert text.count("0x0000000000002000 in ?? ()") >= 2, text
    assert "$3 = (void (*)()) 0x2001" in text
    assert "exited normally" in text
    assert stub.machine.executed(BODY) == 3
    assert stub.while_running() == b""


@pytest.mark.parametrize(
    ("kind", "layout"), [(OldStub, PLAIN), (NewBhyveStub, SHORT), (FirecrackerStub, PLAIN), (VirtualBoxStub, FULL)]
)
def test_gdb_debugs_lesser_machines(kind: type[FakeStub], layout: Layout) -> None:
    with kind(machine(layout)) as stub:
        text = run_gdb(stub.address, "stepi", "p $rip", "kill")
    assert "(void (*)()) 0x1010" in text, text
    assert stub.machine.executed(START) == 1


def test_qemu_reports_a_breakpoint_again() -> None:
    with QemuStub(machine()) as stub, RspClient(stub.address) as client:
        client.greet()
        assert client.request(b"Z1,1010,1") == b"OK"
        first = client.resume()
        assert client.resume() == first
        assert stub.machine.executed(CALL) == 0
        client.resume(b"vCont;s:p1.1")
        assert stub.machine.executed(CALL) == 1


def test_qemu_stops_at_any_byte() -> None:
    with QemuStub(Machine([START], loop_to=0)) as stub, RspClient(stub.address) as client:
        client.greet()
        client.send(b"vCont;c")
        client.write(b"+")
        assert client.stop() == b"T02thread:p01.01;"
        assert stub.violations


def test_threads_that_no_action_names_stay() -> None:
    two = Machine([0x1000, 0x1001, 0x1002], [0x5000, 0x5001, 0x5002])
    with FakeStub(two) as stub, RspClient(stub.address) as client:
        client.greet()
        assert client.resume(b"vCont;s:p1.2") == b"T05thread:p1.2;"
        assert (two.vcpu(1).pc, two.vcpu(2).pc) == (0x1000, 0x5001)
        client.resume(b"vCont;s:p1.1;c")
        assert (two.vcpu(1).pc, two.vcpu(2).pc) == (0x1001, 0x5001)


def test_a_written_pc_goes_on_in_the_walk_or_leaves_it_for_a_while() -> None:
    guest = machine()
    guest.memory.map(0x9000, b"\x0f\xa2")
    with FakeStub(guest) as stub, RspClient(stub.address) as client:
        client.greet()
        client.request(b"P10=" + BODY.to_bytes(8, "little").hex().encode())
        client.resume(b"vCont;s:p1.1")
        assert guest.vcpu(1).pc == BODY + 1
        saved = client.request(b"g")
        client.request(b"P0=" + (0x40000000).to_bytes(8, "little").hex().encode())
        client.request(b"P10=" + (0x9000).to_bytes(8, "little").hex().encode())
        client.resume(b"vCont;s:p1.1")
        assert guest.vcpu(1).read("rbx") == 0x54474354
        assert client.request(b"G" + saved) == b"OK"
        client.resume(b"vCont;s:p1.1")
        assert guest.vcpu(1).pc == CALL


@pytest.mark.parametrize(("kind", "runs_on"), [(QemuStub, False), (QemuKvmStub, True)])
def test_the_tsc_stands_or_runs_on_while_the_guest_is_stopped(kind: type[FakeStub], runs_on: bool) -> None:
    """Read as a debugger does it: by borrowing an rdtsc from the guest's text."""
    guest = machine()
    guest.memory.map(0x9000, b"\x0f\x31")
    with kind(guest) as stub, RspClient(stub.address) as client:
        client.greet()
        client.request(b"qXfer:features:read:core.xml:0,10")
        readings = []
        for _ in range(2):
            client.request(b"P10=" + (0x9000).to_bytes(8, "little").hex().encode())
            client.resume(b"vCont;s:p1.1")
            readings.append(guest.vcpu(1).read("rdx") << 32 | guest.vcpu(1).read("rax"))
            time.sleep(0.05)
    assert (readings[1] - readings[0] > 40_000_000) == runs_on


def test_a_watchpoint_fires_after_the_write() -> None:
    guest = Machine([0x1000, At(0x1001, writes={0x8000: b"\1"}), 0x1002])
    with FakeStub(guest) as stub, RspClient(stub.address) as client:
        client.greet()
        client.request(b"Z2,8000,4")
        assert client.resume() == b"T05thread:p1.1;watch:8000;"
        assert guest.vcpu(1).pc == 0x1002


@pytest.mark.parametrize("length", [1, 3, 4, 7, 8, 9, 98, 99, 200, 1000])
def test_run_lengths_are_undone(length: int) -> None:
    data = b"ab" + b"0" * length + b"c"
    assert expand(run_lengths(data)) == data
    assert not set(run_lengths(data)) & set(b"#$+-")


def test_a_stub_may_be_a_unix_socket(tmp_path: Path) -> None:
    with FakeStub(machine(), unix=True) as stub:
        assert Path(stub.address).is_socket()
        with RspClient(stub.address) as client:
            assert client.greet()["multiprocess"] == "+"
    assert not Path(stub.address).exists()


def test_the_stub_closes_in_mid_packet() -> None:
    with FakeStub(machine()) as stub:
        stub.cut_after = 20
        with RspClient(stub.address) as client, pytest.raises(ConnectionError):
            client.greet()
