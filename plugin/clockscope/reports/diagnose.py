# SPDX-License-Identifier: MIT
"""Findings for people."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from clockscope.model import changes_made
from clockscope.model.axis import Axis
from clockscope.reports import values
from clockscope.reports.table import styled
from clockscope.base.ui import Ui, counted, cut, one_line, prose_width

Record = dict[str, Any]
"""An object of schemas/diagnose.schema.json."""

_ROWS_MAX = 12
_MANY = 3  # alike: then they are one row
_SAID_LIMIT = 100
_EVIDENCE_LIMIT = 400


def diagnosis(files: Sequence[Record], axes: Sequence[Axis], rules: int, ui: Ui) -> str:
    """`axes`: of each file, the clock by which its times are told."""
    return "\n".join("\n".join(_file(file, axis, rules, ui)) for file, axis in zip(files, axes)) + "\n"


def _file(file: Record, axis: Axis, rules: int, ui: Ui) -> Iterator[str]:
    guest = f" ({cut(one_line(file['guest']), _SAID_LIMIT)})" if file["guest"] else ""
    yield styled(f"{one_line(file['file'])}{guest}", "bold", ui.colour)
    if not file["complete"]:
        yield styled(
            "  its recording did not end in order: what would have come later is not known", "yellow", ui.colour
        )
    if file["mode"] == "log":
        yield "  from a log: nothing is known beyond what the kernel printed, so much cannot be found"
    yield from (f"  {one_line(said)}" for said in file["late"])
    yield from changes_made.lines(file["interventions"], "  ")
    for one in file["disturbed"][:_ROWS_MAX]:
        yield styled(f"  {cut(one_line(one['said']), 2 * _SAID_LIMIT)}", "red", ui.colour)
    if file["unknown"]:
        told = (
            f"{values.words(one['what'])} ({one_line(one['rule'])}: {one_line(one['why'])})" for one in file["unknown"]
        )
        yield from _folded("  ", f"Not known whether it happened: {', '.join(told)}.", ui)
    if not file["findings"]:
        yield from _nothing(file, rules, ui)
    for number, finding in enumerate(file["findings"], 1):
        yield from _finding(number, finding, axis, ui)


def _nothing(file: Record, rules: int, ui: Ui) -> Iterator[str]:
    """That nothing was found, and in how much."""
    seen = file["seen"]
    counts = f"{counted(file['events'], 'event')} and {counted(file['invocations'], 'call')} of traced functions"
    if not seen["enough"]:
        ended = "the end of its boot was not seen"
        why = "no clock was seen chosen" if not seen["active"] else ended
        yield from _folded(
            "  ", f"Too little was seen to say that nothing is wrong: {why}; {counted(rules, 'rule')}, {counts}.", ui
        )
    else:
        yield f"  Nothing wrong found: {counted(rules, 'rule')}, {counts}."
    if file["events"] or file["late"]:
        active = f", {one_line(seen['active'])} in use at the end" if seen["active"] else ""
        parts = f"{counted(seen['clocks'], 'clock')} and {counted(seen['devices'], 'event device')} registered"
        yield from _folded(
            "  ",
            f"Seen: {parts}, {seen['frequencies']} frequenc{'y' if seen['frequencies'] == 1 else 'ies'} told or measured{active}.",
            ui,
        )
    if seen["last"] and not seen["up"]:
        last = cut(one_line(seen["last"]["text"]), _SAID_LIMIT)
        yield from _folded(
            "  ", f"The log does not come to user space; its last line, {seen['last']['line']}, is: {last}", ui
        )


def _finding(number: int, finding: Record, axis: Axis, ui: Ui) -> Iterator[str]:
    yield ""
    yield from _folded(f"  {number}. ", finding["symptom"], ui, "bold")
    yield from _folded("     cause: ", finding["cause"], ui)
    yield f"     evidence ({one_line(finding['rule'])}):"
    rows = list(grouped(finding["evidence"]))
    shown = rows[:_ROWS_MAX]
    for row in shown:
        yield from _evidence(row, axis, ui)
    if len(rows) > len(shown):
        yield f"       … and {len(rows) - len(shown)} more"
    for text in finding["try"]:
        yield from _folded("     try: ", text, ui)
    for reference in finding["references"]:
        yield from _folded("     upstream: ", f"{reference['commit']} {reference['change']}", ui)
        yield from _folded("               ", _state(reference), ui)


def grouped(evidence: Sequence[Record]) -> Iterator[Record]:
    """What happened again and again, but for its numbers, is one row."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for row in evidence:
        key = (re.sub(r"(?<=\.log):\d+$|(?<=\S):\d+$", "", row["place"]), re.sub(r"\d+", "0", row["said"]))
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        if len(rows) < _MANY:
            yield from rows
            continue
        yield {**rows[0], "times": len(rows), "last": rows[-1]}


def how_often(row: Record, axis: Axis) -> str:
    """Of a row that stands for many."""
    return f"{row['times']} times, last {axis.said(row['last'])}: " if "times" in row else ""


def _evidence(row: Record, axis: Axis, ui: Ui) -> Iterator[str]:
    """When, what, and where; nothing of a table's columns, which no terminal has the room for."""
    said = f"{how_often(row, axis)}{cut(one_line(row['said']), _EVIDENCE_LIMIT)}, in {one_line(row['place'])}"
    unit = " ms" if axis.unit == "ms" else ""
    yield from _folded(f"       {f'{axis.text(row)}{unit}' if row['seq'] else 'no event'}  ", said, ui)


def _state(reference: Record) -> str:
    if reference["in_this_kernel"] is None:
        return "whether this kernel has it, the trace does not tell"
    return f"this kernel {'has it' if reference['in_this_kernel'] else 'does NOT have it'}: {reference['how']}"


def _folded(lead: str, text: str, ui: Ui, style: str = "") -> Iterator[str]:
    """`text` behind a lead, its further lines indented as far."""
    lines = textwrap.wrap(one_line(text), prose_width(ui, len(lead)), break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        yield (lead if number == 0 else " " * len(lead)) + (styled(line, style, ui.colour) if style else line)
