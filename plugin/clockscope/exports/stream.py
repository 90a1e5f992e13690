# SPDX-License-Identifier: MIT
"""Rows of a trace piece by piece: a trace may be larger than memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from clockscope._core import FormatError, Trace

Record = dict[str, Any]
Write = Callable[[bytes], object]
Progress = Callable[[int, int, str], None]

_PIECE = 1000


def stream(trace: Trace, select: str, keys: Sequence[str]) -> Iterator[Record]:
    """The rows of a query, in the order of the columns that tell them apart; without such columns all at once."""
    if not keys:
        yield from trace.rows(select)
        return
    names, marks = ", ".join(keys), ", ".join("?" * len(keys))
    beyond = ""
    last: list[Any] = []
    while True:
        piece = trace.rows(f"SELECT * FROM ({select}) {beyond} ORDER BY {names} LIMIT {_PIECE}", last)
        if piece and last and _key(piece[0], keys) <= _ordered(last):
            raise FormatError(f"{trace.path} is damaged: its rows come in no order, or again and again")
        yield from piece
        if len(piece) < _PIECE:
            return
        beyond, last = f"WHERE ({names}) > ({marks})", [piece[-1][key] for key in keys]


def _key(row: Record, keys: Sequence[str]) -> list[tuple[bool, Any]]:
    return _ordered([row[key] for key in keys])


def _ordered(values: Sequence[Any]) -> list[tuple[bool, Any]]:
    """As SQLite orders them: what is missing comes first."""
    return [(value is not None, value if value is not None else 0) for value in values]
