# SPDX-License-Identifier: MIT
"""A replay that somebody started by hand: how long each of its instructions takes.

The stub says that its guest is a replay, and how many instructions that has executed, but not how long one takes: that is
the `shift` of QEMU's -icount. Where QEMU runs on this machine, its command line says it.
"""

import glob
import os
import re
import socket
from collections.abc import Iterator

from clockscope.live import qemu


def shift_at(address: str) -> int | None:
    """The shift of the QEMU whose stub listens at an address (HOST:PORT, or a socket's path), where that is a process
    of this machine that may be looked at."""
    shifts = {qemu.icount_shift(command) for command in commands_at(address)}
    return shifts.pop() if len(shifts) == 1 else None


def commands_at(address: str) -> list[list[str]]:
    """The command lines of the QEMUs whose stub listens at an address, where they are processes of this machine."""
    inodes = set(_unix_sockets(address) if "/" in address or ":" not in address else _tcp_sockets(address))
    return list(_commands(inodes)) if inodes else []


def _rows(table: str) -> Iterator[list[str]]:
    try:
        with open(f"/proc/net/{table}", encoding="utf-8", errors="replace") as file:
            yield from (line.split() for line in file.readlines()[1:])
    except OSError:
        return


def _unix_sockets(path: str) -> Iterator[str]:
    """Inodes of the sockets that are bound to a path."""
    wanted = os.path.realpath(path)
    for row in _rows("unix"):
        if len(row) >= 8 and os.path.realpath(row[7]) == wanted:
            yield row[6]


def _tcp_sockets(address: str) -> Iterator[str]:
    """Inodes of the sockets that are bound to a port of this machine."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not _is_here(host.strip("[]")):
        return
    for table in ("tcp", "tcp6"):
        for row in _rows(table):
            if len(row) >= 10 and row[1].endswith(f":{int(port):04X}"):
                yield row[9]


def _is_here(host: str) -> bool:
    """Whether a host is this machine: an address that can be bound to."""
    try:
        found = socket.getaddrinfo(host or "localhost", 0, type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def _commands(inodes: set[str]) -> Iterator[list[str]]:
    """The command lines of the processes that hold one of these sockets."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in glob.glob("/proc/[0-9]*"):
        try:
            held = {os.readlink(descriptor) for descriptor in glob.iglob(f"{process}/fd/*")}
            if held & wanted:
                with open(f"{process}/cmdline", "rb") as file:
                    words = [word.decode(errors="replace") for word in file.read().split(b"\0")[:-1]]
                if re.search("qemu", words[0] if words else ""):
                    yield words
        except OSError:
            continue  # it has ended, or is another user's
