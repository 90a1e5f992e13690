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
