# SPDX-License-Identifier: MIT
"""Which way of a jump makes the source's condition true, before anything ran: of what the analysis makes of a function."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clockscope._core import Analyser
from clockscope.model.conditions import Conditions
from clockscope.model.source_text import Locate, Source

Record = Mapping[str, Any]
"""A function as Analyser.analyse() has it."""


def of_parts(
    analyser: Analyser, locate: Locate, name: str, parts: Sequence[Record]
) -> Callable[[int], tuple[bool | None, bool | None]]:
    """A function of a branch's address: whether its condition is true if it is not taken, and if it is."""

    def ways(address: int) -> tuple[bool | None, bool | None]:
        for part in parts:
            rows = list(_rows(analyser, part))
            branch = next((row for row in rows if row["address"] == address), None)
            if branch is not None:
                known = Conditions(name, rows, _edges(part), Source(None, locate=locate, code=_code(rows)))
                return known.holds(branch, False), known.holds(branch, True)
        return None, None

    return ways


def _rows(analyser: Analyser, part: Record) -> Iterator[Record]:
    """Its instructions as a trace would have them."""
    for block in part["blocks"]:
        for one in block["instructions"]:
            levels = analyser.source(one["address"])
            _, file, line = levels[0] if levels else ("", "", 0)
            place = {"file": file, "line": line, "inlined": levels[0][0] if len(levels) > 1 else ""}
            yield {
                "address": one["address"],
                "block": block["number"],
                "kind": one["kind"],
                "text": one["text"],
                **place,
            }


def _edges(part: Record) -> Iterator[Record]:
    for block in part["blocks"]:
        for edge in block["next"]:
            yield {"source": block["number"], "target": edge["to"], "kind": edge["kind"]}


def _code(rows: Sequence[Record]) -> Mapping[str, Mapping[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        if row["file"] and row["line"]:
            found.setdefault(row["file"], {}).setdefault(row["line"], row["address"])
    return found
