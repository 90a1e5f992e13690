# SPDX-License-Identifier: MIT
"""What a profile says of a kernel that is up already: where its lists of clocks and devices are, and what else to look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Named = tuple[tuple[str, tuple[str, ...]], ...]
"""By name, expressions of which the first that can be read counts."""


@dataclass(frozen=True)
class List:
    """A list in the kernel's memory. In its expressions $item is the entry: an address, or a number that counts."""

    kind: str  # as the timeline shows it
    first: tuple[str, ...]
    next: tuple[str, ...]
    end: tuple[str, ...]  # the item that is none any more; an item 0 is none in a list of addresses
    counts: bool  # an item is a number
    values: Named


@dataclass(frozen=True)
class Snapshot:
    command_line: tuple[str, ...] = ()
    since_boot_ns: tuple[str, ...] = ()
    current: tuple[str, ...] = ()  # the name of the clock in use
    values: Named = ()
    lists: tuple[List, ...] = ()


def parse(entry: Mapping[str, Any]) -> Snapshot:
    """From a profile that fits its schema."""
    return Snapshot(
        _tuple(entry.get("command_line", ())),
        _tuple(entry.get("since_boot_ns", ())),
        _tuple(entry.get("current", ())),
        _named(entry.get("values", {})),
        tuple(
            List(
                one["kind"],
                _tuple(one["first"]),
                _tuple(one["next"]),
                _tuple(one.get("end", "0")),
                one.get("counts", False),
                _named(one["values"]),
            )
            for one in entry.get("list", ())
        ),
    )


def _named(entries: Mapping[str, Any]) -> Named:
    return tuple((name, _tuple(value)) for name, value in entries.items())


def _tuple(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
