# SPDX-License-Identifier: MIT
"""The rows of a trace's views as CSV (RFC 4180). What a guest sent is text to a spreadsheet, never a formula."""

import csv
import io
import sqlite3
from pathlib import Path

from clockscope._core import Trace
from clockscope.exports.stream import Progress, Write, stream
from clockscope.base.ui import one_line

# Each view, and the columns that tell its rows apart; none: there are few.
KEYS: dict[str, tuple[str, ...]] = {
    "timeline": ("seq",),
    "clocks": (),
    "invocations": ("invocation",),
    "decisions": ("invocation", "step"),
    "stops": ("seq",),
    "interventions": ("number", "seq"),
}
_SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "trace.sql"
_FORMULA = ("=", "+", "-", "@")
_PIECE = 1000  # rows that are written together


def export(trace: Trace, view: str, write: Write, progress: Progress) -> None:
    select, columns = _definition(view)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(columns)
    for number, row in enumerate(stream(trace, select, KEYS[view]), 1):
        table.writerow([_cell(value) for value in row.values()])
        if number % _PIECE == 0:
            write(text.getvalue().encode())
            text.seek(0)
            text.truncate()
            progress(number, 0, "rows")
    write(text.getvalue().encode())


def _definition(view: str) -> tuple[str, list[str]]:
    """A view's query and columns, by our own schema: what a trace calls so may be anything."""
    with sqlite3.connect(":memory:") as database:
        database.executescript(_SCHEMA.read_text("utf-8"))
        columns = [column[0] for column in database.execute(f"SELECT * FROM {view}").description]
        (sql,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [view]).fetchone()
    return str(sql).partition(" AS")[2], columns


def _cell(value: object) -> object:
    """Texts that a spreadsheet would compute begin with an apostrophe, by which it takes them for texts."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
