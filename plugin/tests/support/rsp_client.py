# SPDX-License-Identifier: MIT
"""A small client of the remote protocol: what a test uses to play GDB."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Self


class RspClient:
    """Speaks to a stub or to the relay over a Unix socket or TCP; acknowledges until told otherwise."""

    def __init__(self, address: str, *, timeout: float = 5.0) -> None:
        host, _, port = address.rpartition(":")
        if address.startswith("/"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(address)
        else:
            self._socket = socket.create_connection((host, int(port)), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout = timeout
        self._input = b""
        self.acknowledges = True
        self.output = b""  # the text of `O` packets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send(self, payload: bytes) -> None:
        body = re.sub(rb"[#$}*]", lambda match: b"}" + bytes([match[0][0] ^ 0x20]), payload)
        self.write(b"$%s#%02x" % (body, sum(body) & 0xFF))

    def interrupt(self) -> None:
        self.write(b"\x03")

    def receive(self, timeout: float | None = None) -> bytes:
        """The next packet's payload, unescaped and with its runs expanded; ConnectionError at the end."""
        self._socket.settimeout(self._timeout if timeout is None else timeout)
        while (match := re.search(rb"\$([^#]*)#([0-9a-f]{2})", self._input, re.DOTALL)) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self._input += data
        self._input = self._input[match.end() :]
        assert sum(match[1]) & 0xFF == int(match[2], 16), "wrong checksum"
        if self.acknowledges:
            with contextlib.suppress(ConnectionError):  # the other side may have said its last
                self.write(b"+")
        return expand(match[1])

    def peek(self, timeout: float) -> bytes:
        """The first byte that has come, or comes in time; it stays to be received."""
        self._socket.settimeout(timeout)
        return self._input[:1] or self._socket.recv(1, socket.MSG_PEEK)

    def request(self, payload: bytes, timeout: float | None = None) -> bytes:
        self.send(payload)
        return self.receive(timeout)

    def stop(self, timeout: float | None = None) -> bytes:
        """The next stop reply; console output on the way is kept in `output`."""
        while (reply := self.receive(timeout)).startswith(b"O") and reply != b"OK":
            self.output += bytes.fromhex(reply[1:].decode())
        return reply

    def resume(self, payload: bytes = b"vCont;c") -> bytes:
        """Resume and wait for the stop."""
        self.send(payload)
        return self.stop()

    def start_no_ack(self) -> None:
        assert self.request(b"QStartNoAckMode") == b"OK"
        self.acknowledges = False

    def greet(self) -> dict[str, str]:
        """What GDB 13 says first; the features that it is offered."""
        reply = self.request(b"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;xmlRegisters=i386")
        items = [item.partition("=") for item in reply.decode().split(";") if item]
        return {name if sign else name[:-1]: value if sign else name[-1] for name, sign, value in items}


def expand(body: bytes) -> bytes:
    out = bytearray()
    index = 0
    while index < len(body):
        if body[index] == ord("}"):
            out.append(body[index + 1] ^ 0x20)
            index += 2
        elif body[index] == ord("*"):
            out += out[-1:] * (body[index + 1] - 29)
            index += 2
        else:
            out.append(body[index])
            index += 1
    return bytes(out)
