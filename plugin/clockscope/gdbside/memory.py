# SPDX-License-Identifier: MIT
"""The guest's memory, through GDB."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import gdb

_STRING_LIMIT = 256
MASK64 = (1 << 64) - 1


def read_memory(address: int, size: int) -> bytes:
    """Guest memory through GDB; empty where it cannot be read."""
    try:
        return bytes(gdb.selected_inferior().read_memory(address & MASK64, size))
    except gdb.error:
        return b""


def read_string(address: int) -> str:
    """The C string at an address, as far as it can be read; what is no UTF-8 is replaced."""
    text = b""
    while len(text) < _STRING_LIMIT:
        # In pieces that do not cross a page: the next one may not be mapped.
        piece = read_memory(address + len(text), 64 - (address + len(text)) % 64)
        head, end, _ = piece.partition(b"\0")
        text += head
        if end or not piece:
            break
    return text[:_STRING_LIMIT].decode("utf-8", "replace")


def halted() -> bool:
    """Whether all of the guest's processors stand behind an instruction that waits for an interrupt: hlt, mwait."""
    selected = gdb.selected_thread()
    try:
        return all(_halted(thread) for thread in gdb.selected_inferior().threads())
    except gdb.error:
        return False
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()


def _halted(thread: gdb.InferiorThread) -> bool:
    thread.switch()
    code = read_memory(int(gdb.parse_and_eval("(unsigned long)$pc")) - 3, 3)
    return code.endswith(b"\xf4") or code == b"\x0f\x01\xc9"
