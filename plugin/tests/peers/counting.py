# SPDX-License-Identifier: MIT
"""Entry counters on the functions of a program under gdbserver, so that the relay has stops of its own among GDB's."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from clockscope._core import RefusedError, Relay

AT_ENTRY = 9  # elf.h
E_ENTRY = 0x18  # where an ELF64 file has it
MOST = 40  # counters: some programs of the testsuite consist of generated functions
START_UP = {"_start", "_init", "_fini", "frame_dummy", "__do_global_dtors_aux", "register_tm_clones"}


def read_object(relay: Relay, name: str, annex: str = "") -> bytes:
    """One of the stub's qXfer objects; b"" where it has none."""
    reply = relay.request(f"qXfer:{name}:read:{annex}:0,3f00".encode())
    return reply[1:] if reply[:1] in (b"l", b"m") else b""


def run_address(relay: Relay, program: Path) -> int | None:
    """What to add to the file's addresses."""
    with program.open("rb") as file:
        head = file.read(0x40)
    if len(head) < 0x40 or head[:5] != b"\x7fELF\x02":
        return None
    linked = int(struct.unpack_from("<Q", head, E_ENTRY)[0])
    auxv = read_object(relay, "auxv")
    pairs = struct.iter_unpack("<QQ", auxv[: len(auxv) // 16 * 16])
    entries: dict[int, int] = {int(kind): int(value) for kind, value in pairs}
    return entries[AT_ENTRY] - linked if AT_ENTRY in entries else None


def functions(program: Path) -> list[tuple[int, str]]:
    listing = subprocess.run(["nm", "--defined-only", str(program)], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in listing.splitlines()]
    found = {int(row[0], 16): row[2] for row in rows if len(row) == 3 and row[1] in "tTwW" and row[2] not in START_UP}
    return sorted(found.items())


def count_functions(relay: Relay) -> None:
    """Counters where the program is known and 64-bit, and the stub takes them; elsewhere none."""
    program = Path(read_object(relay, "exec-file").decode(errors="replace"))
    if not program.is_file():
        return
    offset = run_address(relay, program)
    if offset is None:
        return
    for address, name in functions(program)[:MOST]:
        try:
            relay.add_counter(address + offset, name)
        except RefusedError:
            return
