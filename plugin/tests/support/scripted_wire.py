# SPDX-License-Identifier: MIT
"""The scripted stub's connection: sockets, framing, acknowledgements, the log, and knobs to do each wrongly."""

from __future__ import annotations

import re
import select
import socket
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripted_machine import Machine, Stop

INTERRUPT = 3
RUN_ON = None  # a handler's answer: the guest runs, the reply comes when it stops
Reply = bytes | str | None


@dataclass(frozen=True)
class Entry:
    """One line of the log. `kind`: packet, byte, ack, nak, reply, resume, stop, connect, close."""

    kind: str
    data: bytes
    running: bool = False  # it came while the guest ran
    unacked: int = 0  # replies of ours that the client had not acknowledged yet


class Hangup(Exception):
    """The stub shall close the connection now."""


def hex_of(data: bytes | str) -> str:
    return (data.encode() if isinstance(data, str) else data).hex()


def run_lengths(data: bytes) -> bytes:
    """Encode runs as the protocol allows, never with a count that would look like `#` or `$`."""

    def pack(match: re.Match[bytes]) -> bytes:
        byte, left, out = match[0][:1], len(match[0]), b""
        while left > 3:
            count = min(left - 1, 97)
            while count + 29 in b"#$+-":
                count -= 1
            out += byte + b"*" + bytes([count + 29])
            left -= count + 1
        return out + byte * left

    return re.sub(rb"([^#$}{*])\1{3,}", pack, data, flags=re.DOTALL)


class Wire(ABC):
    """One client at a time. Knobs are class attributes, for a subclass or a test to set."""

    escape = b"}"
    run_length = False
    acks = True  # answer packets with '+'
    noise = b""  # written before each reply
    chunk = 0  # write so many bytes at once, a little apart; 0: all
    cut_after: int | None = None  # close the connection after so many bytes
    spoil = 0  # so many replies go out with a wrong checksum first
    mute: tuple[str, ...] = ()  # packets that begin so are never answered
    delay = 0.0  # seconds before each reply
    lag = 0.0  # seconds between the arrival of bytes and their being read
    grace = 0.0  # seconds that a resumed guest waits: catches bytes that follow a resume
    pace = 0.0  # seconds a slice of running takes
    rounds = 64  # steps of each vCPU in a slice

    any_byte_stops = False  # while the guest runs
    takes_interrupt = True
    interrupt_signal = 2  # what a stop says that an interrupt has made
    deaf = False  # reads nothing while the guest runs
    repeats = False  # takes any byte but an acknowledgement for a refusal of the last reply
    packet_size = 0x1000  # the longest packet that the stub accepts; 0: any

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        self.machine = machine
        self.log: list[Entry] = []
        self.violations: list[str] = []
        self.running = False
        self._directory = tempfile.TemporaryDirectory(prefix="stub-") if unix else None
        self._listener = self._listen()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="scripted stub", daemon=True)
        self._failure: BaseException | None = None
        self._reset()

    # --- life -------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        if self._directory is not None:
            return str(Path(self._directory.name) / "stub")
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake_write.close()
        self._thread.join(10)
        for each in (self._listener, self._wake_read):
            each.close()
        if self._directory is not None:
            self._directory.cleanup()
        if self._failure is not None:
            raise self._failure

    def _listen(self) -> socket.socket:
        if self._directory is None:
            return socket.create_server(("127.0.0.1", 0))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(self._directory.name) / "stub"))
        listener.listen()
        return listener

    def _reset(self) -> None:
        self.connection: socket.socket | None = None
        self._input = b""
        self._sent = 0
        self.unacked = 0
        self._last = b""
        self.no_ack = False
        self.interrupted = False  # a 0x03 came while the guest stood

    def _serve(self) -> None:
        try:
            while self.wait(self._listener, None):
                connection, _ = self._listener.accept()
                if self._directory is None:  # as every stub does: else each small write waits 40 ms
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    self._serve_client(connection)
        except BaseException as failure:  # shown to the test by __exit__
            self._failure = failure
            self._listener.close()

    def _serve_client(self, connection: socket.socket) -> None:
        self._reset()
        self.connection = connection
        self.note("connect", b"")
        self.connected()
        try:
            while self._listen_or_run():
                pass
        except (Hangup, ConnectionError):
            pass
        self.note("close", b"")
        self.connection = None
        self.running = False
        self.disconnected()

    @abstractmethod
    def respond(self, payload: bytes) -> Reply:
        """The reply to a packet, RUN_ON when it comes later."""

    @abstractmethod
    def run_slice(self) -> None:
        """Let the guest run a little."""

    @abstractmethod
    def stop(self, stop: Stop) -> None:
        """The guest has stopped: tell the client."""

    def connected(self) -> None:
        """A client has come."""

    def disconnected(self) -> None:
        """The client has left; the guest stays as it is."""

    # --- reading ----------------------------------------------------------------------------------

    def wait(self, source: socket.socket, timeout: float | None) -> bool:
        """True when SOURCE has something; False at the time limit; Hangup when the test is over."""
        ready = select.select([source, self._wake_read], [], [], timeout)[0]
        if self._wake_read in ready:
            if source is self._listener:
                return False
            raise Hangup
        return bool(ready)

    def _listen_or_run(self) -> bool:
        assert self.connection is not None
        idle = not self.running or self.machine.idle
        hears = not (self.deaf and self.running)
        if hears and not self._input and self.wait(self.connection, None if idle else 0):
            time.sleep(self.lag)
            data = self.connection.recv(65536)
            if not data:
                return False
            self._input += data
        if self.running and self._input and hears:
            self._overheard()
        elif self.running:
            self.run_slice()
        elif self._input:
            self._take()
        return True

    def _overheard(self) -> None:
        """A byte that arrives while the guest runs."""
        byte, self._input = self._input[:1], self._input[1:]
        self.note("byte", byte)
        interrupt = byte[0] == INTERRUPT
        if not interrupt:
            self.violations.append(f"{byte!r} written while the guest ran")
        if self.any_byte_stops or (interrupt and self.takes_interrupt):
            self.stop(self.machine.interrupt(self.interrupt_signal))

    def _take(self) -> None:
        """One acknowledgement, one stray byte or one packet from the input."""
        head = self._input[:1]
        if head != b"$":
            self._input = self._input[1:]
            self._control(head)
            return
        match = re.match(rb"\$([^#]*)#([0-9a-fA-F]{2})", self._input, re.DOTALL)
        if match is None:
            assert self.connection is not None
            if self.wait(self.connection, None):
                more = self.connection.recv(65536)
                self._input += more
                if not more:
                    raise Hangup
            return
        self._input = self._input[match.end() :]
        good = sum(match[1]) & 0xFF == int(match[2], 16)
        if not self.no_ack and self.acks:
            self._write(b"+" if good else b"-")
        if good:
            self._answer(match[1])

    def _control(self, byte: bytes) -> None:
        if byte == b"+":
            self.note("ack", byte)
            self.unacked = max(0, self.unacked - 1)
        elif byte == b"-":
            self.note("nak", byte)
            self._write(self._last)
        else:
            self.note("byte", byte)
            self.interrupted |= byte[0] == INTERRUPT
            if self.repeats and self.unacked:
                self._write(self._last)

    def _answer(self, framed: bytes) -> None:
        payload = re.sub(
            re.escape(self.escape) + b"(.)", lambda match: bytes([match[1][0] ^ 0x20]), framed, flags=re.DOTALL
        )
        self.note("packet", payload)
        if self.packet_size and len(framed) > self.packet_size:
            self.violations.append(f"a packet of {len(framed)} bytes, PacketSize is {self.packet_size}")
        if self.mute and payload.decode("latin1").startswith(self.mute):
            return
        reply = self.respond(payload)
        if reply is not None:
            self.reply(reply)

    # --- writing ----------------------------------------------------------------------------------

    def reply(self, payload: bytes | str) -> None:
        """Send a packet."""
        data = payload if isinstance(payload, bytes) else payload.encode("latin1")
        self.note("reply", data)
        if self.delay:
            time.sleep(self.delay)
        self._last = self.frame(data)
        self.unacked += not self.no_ack
        if self.spoil:
            self.spoil -= 1
            self._write(self._last[:-2] + b"%02x" % ((int(self._last[-2:], 16) + 1) & 0xFF))
        else:
            self._write(self.noise + self._last)

    def frame(self, data: bytes) -> bytes:
        special = b"#$*" + self.escape
        body = b"".join(self.escape + bytes([byte ^ 0x20]) if byte in special else bytes([byte]) for byte in data)
        if self.run_length:
            body = run_lengths(body)
        return b"$%s#%02x" % (body, sum(body) & 0xFF)

    def _write(self, data: bytes) -> None:
        assert self.connection is not None
        if self.cut_after is not None and self._sent + len(data) >= self.cut_after:
            self.connection.sendall(data[: self.cut_after - self._sent])
            raise Hangup
        self._sent += len(data)
        for start in range(0, len(data), self.chunk or len(data) or 1):
            self.connection.sendall(data[start : start + (self.chunk or len(data))])
            if self.chunk:
                time.sleep(0.0005)

    # --- the log ----------------------------------------------------------------------------------

    def note(self, kind: str, data: bytes) -> None:
        self.log.append(Entry(kind, data, self.running, self.unacked))

    def packets(self, prefix: bytes | str = b"") -> list[bytes]:
        """The payloads received that begin with PREFIX, in order."""
        head = prefix if isinstance(prefix, bytes) else prefix.encode()
        return [entry.data for entry in self.log if entry.kind == "packet" and entry.data.startswith(head)]

    def while_running(self) -> bytes:
        """All that was written to the stub while the guest ran."""
        return b"".join(entry.data for entry in self.log if entry.running and entry.kind == "byte")

    def resumes(self) -> int:
        return sum(entry.kind == "resume" for entry in self.log)
