# SPDX-License-Identifier: MIT
"""The rows of a trace's views as CSV (RFC 4180). What a guest sent is text to a spreadsheet, never a formula.

Times are told by the clock that all readers use (model.axis); the guest's run time, which a view has, is the last column.
"""

import csv
import io
import sqlite3
from pathlib import Path

from clockscope._core import Trace
from clockscope.exports.stream import Progress, Record, Write, stream
from clockscope.base.ui import one_line
from clockscope.model import axis
from clockscope.model.axis import Axis

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
_TIMES = {"ms", "end_ms", "registered_ms", "selected_ms", "lost_ms"}
_PIECE = 1000  # rows that are written together


def export(trace: Trace, view: str, write: Write, progress: Progress) -> None:
    select, columns = _definition(view)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*columns, *(["run_ms"] if "ms" in columns else [])])
    when = axis.of_trace(trace)
    for number, row in enumerate(stream(trace, select, KEYS[view]), 1):
        table.writerow([_cell(value) for value in _told(row, when).values()])
        if number % _PIECE == 0:
            write(text.getvalue().encode())
            text.seek(0)
            text.truncate()
            progress(number, 0, "rows")
    write(text.getvalue().encode())


def _told(row: Record, when: Axis) -> Record:
    """A row with its times as all readers tell them."""
    told = {**row, "run_ms": row["ms"]} if "ms" in row else dict(row)
    for name in _TIMES & row.keys():
        if row[name] is not None:
            moment = {"seq": row.get("seq") if name == "ms" else None, "run_ns": round(row[name] * 1e6)}
            told[name] = when.whole(moment) / 1e6
    return told


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
