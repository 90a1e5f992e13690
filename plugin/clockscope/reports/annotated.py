# SPDX-License-Identifier: MIT
"""The annotated source of traced functions for people: counts, lines that never ran, and what each condition was."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope.reports.path import compared, range_of_calls, short, way
from clockscope.reports.table import styled
from clockscope.base.ui import Ui, cut, one_line

Record = dict[str, Any]
"""A function of schemas/path.schema.json."""

_TEXT_LIMIT = 110
_NOTES_FROM = 68  # the column that notes stand behind at the most
NEVER = "-----"


def source(function: Record, ui: Ui) -> Iterator[str]:
    """Each line of the function, then of what was inlined into it and decided something."""
    for number, section in enumerate(sections(function)):
        yield ""
        if number:
            yield f"  inlined, {short(section['file'])}:"
        yield from _section(section["lines"], ui)


def sections(function: Record) -> Iterator[Record]:
    """The same as texts: of each line its count in words, number, text and what was decided there."""
    notes = notes_of(function["invocations"])
    for section in function["annotated"]:
        lines = [
            {
                "count": _count(line),
                "line": line["line"],
                "text": cut(one_line(line["text"]), _TEXT_LIMIT),
                "note": notes.get((section["file"], line["line"]), ""),
            }
            for line in section["lines"]
        ]
        yield {"file": section["file"], "lines": lines}


def _section(lines: Sequence[Record], ui: Ui) -> Iterator[str]:
    width = min(max((len(line["text"]) for line in lines if line["note"]), default=0), _NOTES_FROM)
    for line in lines:
        note = line["note"]
        text = f"{line['text']:<{width if note else 0}}{'  ' + note if note else ''}"
        row = f"  {line['count']:>6} {line['line']:>5}  {text}".rstrip()
        yield styled(row, "dim", ui.colour) if line["count"] == NEVER else row


def _count(line: Record) -> str:
    """How often it ran: at least so often where a path has gaps; a line without code has no count."""
    if line["runs"] is None:
        return ""
    if not line["runs"]:
        return "?" if line["perhaps"] else NEVER
    return f"{line['runs']}{'+' if line['perhaps'] else ''}"


def notes_of(invocations: Sequence[Record]) -> Mapping[tuple[str, int], str]:
    """By file and line, what was decided there: in which calls, how often, and of what values the first time."""
    found: dict[tuple[str, int], dict[str, list[tuple[int, Record]]]] = {}
    for call in invocations:
        for decision, after in itertools.zip_longest(call["decisions"], call["decisions"][1:]):
            if not _goes_on(decision, after):
                file, _, line = decision["source"].rpartition(":")
                if line.isdigit():
                    words = way(decision) + " forced" * decision["forced"]
                    found.setdefault((file, int(line)), {}).setdefault(words, []).append((call["n"], decision))
    return {
        place: "; ".join(_said(words, made, len(invocations)) for words, made in each.items())
        for place, each in found.items()
    }


def _goes_on(decision: Record, after: Record | None) -> bool:
    """Whether it did not decide the condition yet, and what did comes next."""
    told = after is not None and after["condition"] is not None and after["source"] == decision["source"]
    return decision["condition"] is None and told


def _said(words: str, made: Sequence[tuple[int, Record]], calls: int) -> str:
    each = Counter(number for number, _ in made)
    times = f" {len(made)} times" if len(made) > len(each) else ""
    where = f" ({range_of_calls(list(each))})" if calls > 1 else ""
    values = compared(made[0][1])
    return words + times + where + (f": {values}" if values else "")
