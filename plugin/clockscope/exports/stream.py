# SPDX-License-Identifier: MIT
"""Rows of a trace piece by piece: a trace may be larger than memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from clockscope._core import Trace

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
        yield from piece
        if len(piece) < _PIECE:
            return
        beyond, last = f"WHERE ({names}) > ({marks})", [piece[-1][key] for key in keys]
