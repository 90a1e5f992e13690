# SPDX-License-Identifier: MIT
"""Stubs of which something was taken away: between a real stub and its client, some packets are answered with nothing."""

import re
import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Without:
    """`with NoWatchpoints(stub's socket) as hidden:` listens at `hidden.address` for one client."""

    packets: re.Pattern[bytes]  # what is answered with nothing

    def __init__(self, stub: Path) -> None:
        self._stub = socket.socket(socket.AF_UNIX)
        self._stub.connect(str(stub))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{1}".format(*self._listener.getsockname())
        self.asked = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._thread.join(10)
        self._stub.close()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := self._wait(client):
                self._stub.sendall(data)

    def _wait(self, client: socket.socket) -> bytes:
        """What the client says next, but for those packets; meanwhile the stub's words pass. Empty at the end."""
        while True:
            ready = select.select([client, self._stub], [], [])[0]
            if self._stub in ready:
                said = self._stub.recv(65536)
                if not said:
                    return b""
                client.sendall(said)
            if client in ready:
                said = client.recv(65536)
                left = self.packets.sub(b"", said)
                if left != said:
                    self.asked += 1
                    client.sendall(b"+$#00")
                if left or not said:
                    return left


class NoWatchpoints(Without):
    packets = re.compile(rb"\$Z[234],[0-9a-f]+,[0-9a-f]+#[0-9a-f]{2}")


class NoRegisterWrites(Without):
    packets = re.compile(rb"\$(G[0-9a-f]+|P[0-9a-f]+=[0-9a-f]+)#[0-9a-f]{2}")
