# SPDX-License-Identifier: MIT
"""What a kernel that is up already has of clocks: where a recording begins late, for what came before it was not seen.

The guest's memory is untrusted: a list may be a circle, lead nowhere, or have no end. What cannot be read is left out,
and said.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from clockscope.gdbside import values
from clockscope.kernel import placement
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.placement import Placement
from clockscope.profiles.snapshot import List, Named, Snapshot

_ENTRIES_MAX = 64
_PROCESSORS_MAX = 1024
_TEXT_MAX = 256
_ITEM = "clockscope_item"
_MASK64 = (1 << 64) - 1

Record = dict[str, Any]


class Reader:
    """Reads what a profile's [snapshot] names, in a guest that stands."""

    def __init__(self, elf: ElfFile, place: Placement) -> None:
        """`place`: where the kernel runs."""
        self._elf = elf
        self._place = place

    def read(self, wanted: Snapshot) -> Record:
        """The snapshot as it is kept in a trace: `since_boot_ns`, `current`, `values`, `lists`, `doubts`."""
        doubts: list[str] = []
        lists = {one.kind: self._entries(one, doubts) for one in wanted.lists}
        return {
            "since_boot_ns": self._number(wanted.since_boot_ns),
            "current": self._text(wanted.current),
            "values": dict(self._named(wanted.values)),
            "lists": {kind: found for kind, found in lists.items() if found is not None},
            "doubts": doubts,
        }

    def command_line(self, wanted: Snapshot) -> str:
        return self._text(wanted.command_line) or ""

    def _entries(self, wanted: List, doubts: list[str]) -> list[Record] | None:
        """None where the kernel has no such list, or it cannot be read."""
        if not self._exists(wanted.first):
            return None
        found = []
        for item in self._walk(wanted, doubts):
            with values.variables({_ITEM: item}):
                entry = dict(self._named(wanted.values))
            if entry.get("name"):
                found.append(entry)
        return found

    def _walk(self, wanted: List, doubts: list[str]) -> Iterator[int]:
        """The entries, each once."""
        item, end = self._number(wanted.first), self._number(wanted.end)
        seen: set[int] = set()
        most = _PROCESSORS_MAX if wanted.counts else _ENTRIES_MAX
        while item is not None and item != end and (item or wanted.counts):
            if item in seen or len(seen) >= most:
                why = "is a circle" if item in seen else f"has no end within {most} entries"
                doubts.append(f"the list of {wanted.kind}s {why}")
                return
            seen.add(item)
            yield item
            with values.variables({_ITEM: item}):
                item = self._number(wanted.next)
        if item is None or end is None:
            doubts.append(f"the list of {wanted.kind}s leads to memory that cannot be read")

    def _named(self, wanted: Named) -> Iterator[tuple[str, int | str]]:
        for name, expressions in wanted:
            value = self._first(expressions)
            if value is not None:
                yield name, value[:_TEXT_MAX] if isinstance(value, str) else value

    def _number(self, expressions: tuple[str, ...]) -> int | None:
        value = self._first(expressions)
        return value & _MASK64 if isinstance(value, int) else None

    def _text(self, expressions: tuple[str, ...]) -> str | None:
        value = self._first(expressions)
        return value if isinstance(value, str) and value else None

    def _first(self, expressions: tuple[str, ...]) -> values.Value:
        found = (values.evaluate(self._own(text)) for text in expressions if self._is_known(text))
        return next((value for value in found if value is not None), None)

    def _exists(self, expressions: tuple[str, ...]) -> bool:
        return any(self._is_known(text) for text in expressions)

    def _own(self, expression: str) -> str:
        return re.sub(r"\$item\b", f"${_ITEM}", placement.expression(self._elf, self._place, expression))

    def _is_known(self, expression: str) -> bool:
        return values.are_known(expression.replace("typeof", "sizeof"), self._elf.__contains__)


def as_text(snapshot: Record) -> str:
    return json.dumps(snapshot, sort_keys=True)
