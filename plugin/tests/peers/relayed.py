# SPDX-License-Identifier: MIT
"""gdbserver behind a relay: called as gdbserver is, and to its caller it is gdbserver.

The process becomes the real gdbserver, at a port of its own, so that whoever started it has its output, its exit status and
its death. A child of it listens where the caller wanted gdbserver, and passes each connection on to a relay.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clockscope._core import Error, Relay
from peers.counting import count_functions

REAL = "/usr/bin/gdbserver"
LINGER = 3000  # ms: how long the last words may take when gdbserver has ended


@dataclass
class Command:
    """gdbserver's arguments; `comm` says which of them is the place to listen at."""

    arguments: list[str]
    comm: int
    once: bool

    @property
    def address(self) -> str:
        return self.arguments[self.comm]

    def at(self, address: str) -> list[str]:
        return [REAL, *self.arguments[: self.comm], address, *self.arguments[self.comm + 1 :]]


def parse(arguments: list[str]) -> Command | None:
    """None where gdbserver is not asked to serve (`--version`)."""
    i = 0
    while i < len(arguments) and arguments[i].startswith("-") and arguments[i] != "-":
        if arguments[i] == "--wrapper":
            i = arguments.index("--", i) if "--" in arguments[i:] else len(arguments)
        i += 1
    if i >= len(arguments):
        return None
    return Command(arguments, i, "--once" in arguments[:i])


def listener(address: str) -> socket.socket:
    """A socket that listens where gdbserver would: `:PORT`, `HOST:PORT`, `[::1]:PORT`."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, int(port)))
    listening.listen(1)
    return listening


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pump(source: socket.socket, target: socket.socket) -> bool:
    """Passes on what has come; False at the end."""
    try:
        data = source.recv(65536)
        if data:
            target.sendall(data)
    except OSError:
        return False
    return bool(data)


def serve(client: socket.socket, relay: Relay, ended: Callable[[int], bool]) -> None:
    """One GDB, until it goes or the relay lets go of it."""
    with socket.socket(socket.AF_UNIX) as guest, client:
        guest.connect(relay.socket_path)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        other = {client: guest, guest: client}
        while True:
            ready, _, _ = select.select([client, guest], [], [], 1.0)
            for source in ready:
                if not pump(source, other[source]):
                    return
            if not ready and ended(0):
                return


def connect(port: int, counted: bool) -> Relay | None:
    """The relay, with its counters where they are wanted; None where gdbserver does not take it."""
    try:
        relay = Relay(f"127.0.0.1:{port}", connect_timeout=10.0, request_timeout=20.0)
        if counted:
            count_functions(relay)
    except Error as error:
        print(f"no relay: {error}", file=sys.stderr, flush=True)
        return None
    return relay


def stand_between(listening: socket.socket, port: int, once: bool, server: int) -> None:
    """Serves until gdbserver, whose pidfd `server` is, has ended."""

    def ended(timeout: int) -> bool:
        return bool(select.select([server], [], [], timeout / 1000)[0])

    relay: Relay | None = None
    while True:
        ready, _, _ = select.select([listening, server], [], [])
        if listening not in ready:
            break
        client, _ = listening.accept()
        if relay is None or relay.state in ("exited", "closed"):
            relay = connect(port, "CLOCKSCOPE_PEERS_COUNT" in os.environ)
        if relay is None:
            client.close()
            continue
        serve(client, relay, ended)
        if once:
            listening.close()
            break
    if relay is not None:
        print(f"{relay.state}: {relay.reason} {relay.statistics()}", file=sys.stderr, flush=True)
        relay.close()


def main(arguments: list[str]) -> None:
    command = parse(arguments)
    if command is None or command.address in ("-", "stdio") or ":" not in command.address:
        os.execv(REAL, [REAL, *arguments])
    try:
        listening = listener(command.address)
    except (OSError, ValueError):  # gdbserver says it in its own words
        os.execv(REAL, [REAL, *arguments])
    port = free_port()
    me = os.getpid()
    server = os.pidfd_open(me)
    if os.fork() == 0:
        # Whoever waits for the end of gdbserver's output must not wait for this process too.
        os.setsid()
        log = os.open(Path(os.environ["CLOCKSCOPE_PEERS_LOG"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stand_between(listening, port, command.once, server)
        os._exit(0)
    os.close(server)
    listening.close()
    os.execv(REAL, command.at(f"127.0.0.1:{port}"))


if __name__ == "__main__":
    main(sys.argv[1:])
