# SPDX-License-Identifier: MIT
"""Attaching: what is asked of a stub, what it is told, and one clear line where there is none."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import tempfile
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from relay_world import CAPABLE, make, relayed
from rsp_client import RspClient
from scripted_machine import FULL, SHORT, At, Machine
from scripted_quirks import (
    OldBhyveStub,
    OldStub,
    Peer,
    QemuNoAckStub,
    QemuStub,
    VirtualBoxStub,
    drips,
    hangs_up,
    says_garbage,
    speaks_http,
    stays_silent,
)
from scripted_stub import FakeStub

from clockscope._core import ClosedError, ConnectError, Error, ProtocolError, RefusedError, Relay, TimeoutError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def one_line(error: pytest.ExceptionInfo[Error]) -> str:
    text = str(error.value)
    assert text and "\n" not in text and text.isprintable()
    return text


# --- what there is no stub behind ---


def test_nothing_listens_at_a_port() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConnectError) as error:
        Relay(address)
    assert address in one_line(error)


def test_no_such_socket(tmp_path: Path) -> None:
    with pytest.raises(ConnectError) as error:
        Relay(str(tmp_path / "none"))
    assert "none" in one_line(error)


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectError) as error:
        Relay(str(tmp_path / "file"))
    assert "file" in one_line(error)


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", "localhost:99999", "localhost:gdb!", "x" * 500])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(Error) as error:
        Relay(address)
    one_line(error)


@pytest.mark.parametrize(
    ("speak", "kinds"),
    [
        (speaks_http, (ProtocolError, ClosedError)),
        (says_garbage, (ProtocolError,)),
        (hangs_up, (ClosedError,)),
        (stays_silent, (TimeoutError,)),
        (drips, (TimeoutError,)),
    ],
)
def test_a_port_that_is_no_stub(speak: Callable[[socket.socket], None], kinds: tuple[type[Error], ...]) -> None:
    with Peer(speak) as peer:
        began = time.monotonic()
        with pytest.raises(kinds) as error:
            Relay(peer.address, request_timeout=0.5)
        assert peer.address in one_line(error)
        assert time.monotonic() - began < 3


def test_the_stub_is_busy_with_another_client() -> None:
    with make(QemuStub) as stub, RspClient(stub.address) as first:
        first.greet()
        with pytest.raises(TimeoutError) as error:
            Relay(stub.address, request_timeout=0.3)
        assert stub.address in one_line(error)
        assert first.request(b"?") == b"T05thread:p01.01;"


INTERRUPTED = """
import signal, sys, threading, time
sys.path.insert(0, sys.argv[2])
from clockscope._core import Relay
relay = Relay(sys.argv[1], request_timeout=30.0) if "attach" not in sys.argv[3] else None
threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
began = time.monotonic()
try:
    eval(sys.argv[3], {"Relay": Relay, "relay": relay, "attach": sys.argv[1]})
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 2)
"""


def interrupt(address: str, expression: str) -> str:
    """What a Python that is interrupted after 0.3 s, while it evaluates EXPRESSION, says."""
    arguments = [sys.executable, "-c", INTERRUPTED, address, str(Path(__file__).parents[2]), expression]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False).stdout


@pytest.mark.parametrize("speak", [stays_silent, drips])
def test_ctrl_c_ends_an_attach_that_hangs(speak: Callable[[socket.socket], None]) -> None:
    with Peer(speak) as peer:
        assert interrupt(peer.address, "Relay(attach, request_timeout=30.0)") == "interrupted True\n"


@pytest.mark.parametrize("expression", ["relay.request(b'qC', 30.0)", "(relay.resume(), relay.wait(30.0))"])
def test_ctrl_c_ends_a_wait(expression: str) -> None:
    stub = make(FakeStub, [At(0x1000, idle=True), 0x1001])
    stub.mute = ("qC",)
    with stub:
        assert interrupt(stub.address, expression) == "interrupted True\n"


@pytest.mark.parametrize("packet", ["qSupported", "QStartNoAckMode", "vCont?", "qXfer", "?"])
def test_a_stub_that_falls_silent_in_the_handshake(packet: str) -> None:
    stub = make(FakeStub)
    stub.mute = (packet,)
    with stub, pytest.raises(TimeoutError) as error:
        Relay(stub.address, request_timeout=0.3)
    one_line(error)


@pytest.mark.parametrize("acks", [True, False])
def test_the_stub_closes_after_any_byte_of_the_handshake(acks: bool) -> None:
    """Each length is one attach: a clear error, never a hang, until the handshake is through."""
    outcomes: set[type[Error] | None] = set()
    for length in [*range(0, 200), *range(200, 5000, 83)]:
        stub = make(FakeStub if acks else QemuNoAckStub)
        stub.cut_after = length
        with stub:
            try:
                Relay(stub.address, request_timeout=2.0).close()
            except (ClosedError, ProtocolError) as error:
                assert "\n" not in str(error)
                outcomes.add(type(error))
            else:
                outcomes.add(None)
    assert ClosedError in outcomes and TimeoutError not in outcomes


def test_a_stub_that_gives_no_reason_to_stand() -> None:
    class Evil(FakeStub):
        def question(self) -> str:
            return "\x1b[31mred\r\n"

    with make(Evil) as stub:
        with pytest.raises(ProtocolError) as error:
            Relay(stub.address)
        assert stub.address in str(error.value)


# --- what a stub is told and asked ---


@pytest.mark.parametrize("kind", CAPABLE)
def test_only_what_was_advertised_is_sent(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay:
        assert relay.state == "stopped"
    sent = [packet.decode() for packet in stub.packets()]
    assert sent[0].startswith("qSupported:")
    assert ("QStartNoAckMode" in sent) == ("QStartNoAckMode" in stub.features)
    assert any(packet.startswith("qXfer:features:read:") for packet in sent) == ("qXfer:features:read" in stub.features)
    # A stub that describes no registers is asked for them: their size tells the machine.
    known = ("qSupported", "QStartNoAckMode", "qXfer:features:read:", "vCont?", "?", "H", "qC", "qfThreadInfo", "g")
    assert [packet for packet in sent if not packet.startswith(known)] == []


@pytest.mark.parametrize("kind", CAPABLE)
def test_capabilities_are_what_the_stub_said(kind: type[FakeStub]) -> None:
    stub = make(kind)
    with relayed(stub) as relay:
        known = relay.capabilities()
    assert known["features"] == stub.features
    assert known["no_ack"] == ("QStartNoAckMode" in stub.features)
    assert known["multiprocess"] == ("multiprocess" in stub.features)
    assert known["packet_size"] == int(stub.features.get("PacketSize", "190"), 16)
    if "qXfer:features:read" in stub.features:
        layout = stub.machine.layout
        assert known["architecture"] == "i386:x86-64"
        assert {each["name"]: (each["offset"], each["bitsize"] // 8) for each in known["registers"]} == layout.place


def test_old_stubs_get_gdbs_own_layout() -> None:
    with relayed(make(OldStub)) as relay:
        known = relay.capabilities()
    assert known["vcont"] == []
    assert [(each["name"], each["offset"]) for each in known["registers"]][:24] == [
        (register.name, SHORT.place[register.name][0]) for register in SHORT.registers
    ]


def test_a_stub_that_can_do_nothing_still_reads() -> None:
    with relayed(OldBhyveStub(Machine([0x1000], layout=SHORT))) as relay:
        assert relay.read_memory(0x1000, 2) == b"\xf4\xf4"
        assert len(relay.read_registers()) == SHORT.size
        with pytest.raises(RefusedError, match="monitor"):
            relay.monitor("info status")


def test_the_registers_lie_where_capabilities_say() -> None:
    stub = make(QemuStub)
    stub.machine.vcpu(1).write("cr3", 0x12345000)
    with relayed(stub) as relay:
        place = {each["name"]: each for each in relay.capabilities()["registers"]}["cr3"]
        raw = relay.read_registers()
    assert len(raw) == FULL.size == 608
    assert int.from_bytes(raw[place["offset"] : place["offset"] + 8], "little") == 0x12345000


@pytest.mark.parametrize("unix", [False, True])
def test_tcp_and_unix_stubs(unix: bool) -> None:
    with relayed(FakeStub(Machine([0x1000]), unix=unix)) as relay:
        assert relay.state == "stopped"


def test_memory_is_read_and_written_in_pieces_that_the_stub_takes() -> None:
    stub = make(QemuStub)
    data = bytes(range(256)) * 40
    stub.machine.memory.map(0x100000, data)
    with relayed(stub) as relay:
        assert relay.read_memory(0x100000, len(data)) == data
        relay.write_memory(0x100003, b"#$}*" * 600)
        assert relay.read_memory(0x100003, 2400) == b"#$}*" * 600
        with pytest.raises(Error, match="0x103000"):
            relay.read_memory(0x102F00, 0x200)


def test_upper_case_digits_are_read() -> None:
    stub = make(VirtualBoxStub)
    stub.machine.memory.map(0x9000, b"\xab\xcd\xef")
    with relayed(stub) as relay:
        assert relay.read_memory(0x9000, 3) == b"\xab\xcd\xef"


@pytest.mark.parametrize("kind", [FakeStub, QemuStub])
def test_replies_come_in_any_shape(kind: type[FakeStub]) -> None:
    """Run-length encoded, a byte at a time, after noise, damaged at first."""
    stub = make(kind)
    stub.run_length = True
    stub.chunk = 7
    stub.noise = b"+"
    if kind is QemuStub:  # which acknowledges: damage can be mended
        stub.spoil = 2
    stub.machine.memory.map(0x9000, b"\0" * 1000 + b"}{*$#")
    with relayed(stub) as relay:
        assert relay.read_memory(0x9000, 1005) == b"\0" * 1000 + b"}{*$#"
        assert relay.read_registers() == bytes(stub.machine.vcpu(1).registers)
    assert kind is not QemuStub or sum(entry.kind == "nak" for entry in stub.log) == 2


def test_monitor_output_in_one_reply_or_in_console_packets() -> None:
    class InOne(FakeStub):
        def monitor(self, command: str) -> str | None:
            return f"you said {command}\n"

    with relayed(make(InOne)) as relay:
        assert relay.monitor("hello") == "you said hello\n"
    with relayed(make(QemuStub)) as relay:
        assert relay.monitor("info status") == "VM status: paused\r\n"
        assert relay.monitor("stop") == ""
    with relayed(make(FakeStub)) as relay, pytest.raises(Error, match="monitor"):
        relay.monitor("hello")


# --- the private socket, and what is left behind ---


def test_the_socket_is_private_and_goes_away() -> None:
    with relayed(make(FakeStub)) as relay:
        path = Path(relay.socket_path)
        assert path.is_socket()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_nothing_is_left_when_an_attach_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own: other tests make theirs meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with Peer(speaks_http) as peer, pytest.raises(Error):
            Relay(peer.address)
        assert not os.listdir(folder)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_a_hundred_attaches_leak_nothing() -> None:
    with make(QemuStub) as stub, Peer(hangs_up) as peer:
        counts = []
        for _ in range(100):
            relay = Relay(stub.address)
            relay.add_counter(0x1010, "call")
            relay.close()
            with pytest.raises(Error):
                Relay(peer.address)
            counts.append((descriptors(), threads()))
    assert counts[-1][0] - len(peer._open) <= counts[5][0]
    assert counts[-1][1] <= counts[5][1]


def test_closing_twice_and_using_it_after() -> None:
    with make(FakeStub) as stub:
        relay = Relay(stub.address)
        relay.close()
        relay.close()
        assert relay.state == "closed"
        assert relay.reason
        uses: list[Callable[[], object]] = [relay.resume, relay.counters, lambda: relay.request(b"?")]
        for use in uses:
            with pytest.raises(Error):
                use()


def test_signals_are_the_main_threads() -> None:
    """The relay's thread blocks every signal."""
    stub = make(FakeStub)
    others = set(os.listdir("/proc/self/task"))  # pytest's workers have threads of their own
    with relayed(stub):
        own = {str(thread.native_id) for thread in threading.enumerate()}
        for task in os.listdir("/proc/self/task"):
            if task not in own | others:
                status = Path(f"/proc/self/task/{task}/status").read_text()
                blocked = int(status.split("SigBlk:")[1].split()[0], 16)
                for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGWINCH, signal.SIGPROF):
                    assert blocked >> (number - 1) & 1
