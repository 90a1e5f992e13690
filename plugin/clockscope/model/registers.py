# SPDX-License-Identifier: MIT
"""What a stop's registers tell: the operands of a comparison, and which way a condition went."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clockscope._core import FormatError, Trace, condition_holds
from clockscope.arch.known import PROCESSOR

Row = Mapping[str, Any]
"""A row of table instruction."""

WRITES_FLAGS = 2
CONDITIONAL = PROCESSOR.choices
CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split()


# SQLite reads the JSON: that of a damaged trace may be nested deeper than Python bears.
_LAYOUT = """
SELECT iif(json_type(meta.value) = 'array', json_extract(r.value, '$.name'), NULL) AS name,
    json_extract(r.value, '$.offset') AS offset, json_extract(r.value, '$.bitsize') AS bitsize
FROM meta, json_each(iif(json_type(meta.value) = 'array', meta.value, '[{}]')) AS r WHERE meta.key = 'stub.registers'"""
_BITS_MAX = 1 << 16


def _place(trace: Trace, row: Row) -> tuple[str, tuple[int, int]]:
    """A register's name, and its offset and size in bytes."""
    name, offset, bits = row["name"], row["offset"], row["bitsize"]
    if not (isinstance(name, str) and isinstance(offset, int) and isinstance(bits, int)):
        raise FormatError(f"{trace.path} is damaged: meta stub.registers is no list of registers")
    if offset < 0 or not 0 < bits <= _BITS_MAX:
        raise FormatError(f"{trace.path} is damaged: meta stub.registers has a register that lies nowhere")
    return name, (offset, (bits + 7) // 8)


class Registers:
    """Where each register lies in a stop's registers."""

    def __init__(self, trace: Trace) -> None:
        self._places = dict(_place(trace, row) for row in trace.rows(_LAYOUT))

    def value(self, blob: bytes, name: str) -> int | None:
        offset, size = self._places.get(name, (0, 0))
        if not size or offset + size > len(blob):
            return None
        return int.from_bytes(blob[offset : offset + size], "little")

    def part(self, blob: bytes, name: str) -> int | None:
        """The value of what assembly names: perhaps a register's lowest byte."""
        whole, size = PROCESSOR.whole_register(name)
        value = self.value(blob, whole)
        return None if value is None else value & ((1 << (8 * size)) - 1)


def compared(block: Sequence[Row], branch: Row) -> list[str]:
    """The operands, in AT&T syntax, of what set a branch's flags: the last instruction of its block before it that did."""
    before = [row for row in block if row["address"] < branch["address"] and _writes_flags(row)]
    if not before or before[-1]["kind"] in ("call", "indirect call"):
        return []
    _, _, operands = before[-1]["text"].removeprefix("lock ").partition(" ")
    return [operand.strip() for operand in re.findall(r"(?:\([^)]*\)|[^,(])+", operands)]


def _writes_flags(row: Row) -> bool:
    """Traces of before there was the column have 0 in `flags`: there the text tells."""
    return bool(row["flags"] & WRITES_FLAGS or PROCESSOR.comparison.match(row["text"]))


def outcome(block: Sequence[Row], choice: Row, seen: Sequence[tuple[int, int]]) -> bool | None:
    """Whether the condition of a block's cmov or setcc held; None where no flags seen, (address, flags), were those that
    it found: an instruction between may have written them."""
    if choice["condition"] not in CONDITIONS:
        return None  # a damaged trace
    for address, flags in seen:
        low, high = sorted((address, choice["address"]))
        between = [row for row in block if low <= row["address"] < high]
        if any(row["flags"] for row in block) and not any(row["flags"] & WRITES_FLAGS for row in between):
            return condition_holds(choice["condition"], flags)
    return None
