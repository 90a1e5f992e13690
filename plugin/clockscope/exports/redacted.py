# SPDX-License-Identifier: MIT
"""A trace to show around: a new file of our own schema, into which nothing but redacted rows is ever written.

What the old file holds beside its rows (free pages, a log, tables and views of its own) is not looked at.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.exports.stream import Progress, stream
from clockscope.model.redaction import BUILDER, COMMAND_LINE, PATHS, SYMBOLS, Redactor

Record = dict[str, Any]
Change = Callable[[Any], Any]

_SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "trace.sql"
_PIECE = 1000
_IN_ORDER = ("expectation",)
"""Tables whose rows have an order that no column tells; they are small."""
_CLOCKS_OWN = ("name", "kind", "replaced")


class Copy:
    """One trace being copied."""

    def __init__(self, trace: Trace, redactor: Redactor) -> None:
        self._trace = trace
        self._redactor = redactor
        self._open = _OpenSource(trace, redactor)
        red = redactor
        function: Record = {"function": red.symbol, "file": red.path}
        self._columns: dict[str, dict[str, Change]] = {
            "event": function,
            "frame": function,
            "expectation": {"within": red.symbol_list, "note": red.text},
            "counter": {"function": red.symbol},
            "function": {"name": red.symbol, "file": red.path, "note": red.text},
            "instruction": {"file": red.path, "inlined": red.symbol, "text": red.text},
            "source": {"file": red.path},
            "invocation": {"caller_name": red.symbol},
            "stop": {"registers": red.blob},
            "intervention": {**function, "option": red.text},
            "intervention_use": {"was": red.text, "became": red.text},
        }
        self._meta: dict[str, Change] = {
            "guest.command_line": lambda text: red.whole(COMMAND_LINE, text),
            "stub.command": lambda text: red.whole(COMMAND_LINE, text),
            "guest.elf": lambda text: red.whole(PATHS, text),
            "stub.address": lambda text: red.whole(PATHS, text) if "/" in text else text,
            "log.file": lambda text: red.whole(PATHS, text),
            "plan.functions": red.symbol_list,
        }

    def write(self, path: str, progress: Progress) -> None:
        """Into a new file."""
        database = sqlite3.connect(path, isolation_level=None)
        try:
            # A file that is not finished is thrown away: it needs no journal.
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA.read_text("utf-8"))
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            database.execute("BEGIN")
            for number, table in enumerate(tables):
                progress(number, len(tables), table)
                self._copy(database, table)
            database.execute("COMMIT")
            progress(len(tables), len(tables), "redacted")
        except sqlite3.Error as error:
            raise UserError(f"{path}: cannot be written ({error})") from error
        finally:
            database.close()

    def _copy(self, database: sqlite3.Connection, table: str) -> None:
        # All names are our own schema's.
        columns = list(database.execute(f"SELECT name, pk FROM pragma_table_info('{table}')"))
        keys = [name for _, name in sorted((place, name) for name, place in columns if place)]
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
        rows = stream(self._trace, f"SELECT * FROM {table}", () if table in _IN_ORDER else keys)
        names = [name for name, _ in columns]
        database.executemany(insert, ([row[name] for name in names] for row in self._redacted(table, rows)))

    def _redacted(self, table: str, rows: Iterator[Record]) -> Iterator[Record]:
        changes = self._columns.get(table, {})
        for row in rows:
            changed = {name: change(row[name]) for name, change in changes.items() if row[name] is not None}
            yield {**row, **changed, **self._special(table, row)}

    def _special(self, table: str, row: Record) -> Record:
        red = self._redactor
        if table == "meta":
            return {"value": self._meta.get(row["key"], red.text)(row["value"])}
        if table == "event_value" and row["text"] is not None and row["name"] not in _CLOCKS_OWN:
            change = red.symbol if row["name"] in red.words.given else red.text
            return {"text": change(row["text"])}
        if table == "source":
            is_open = self._open.is_open(row["file"], row["line"])
            return {"text": red.text(row["text"] if is_open else red.code(row["text"]))}
        if table == "variable" and self._open.is_secret(row["function"]):
            return {"name": red.symbol(row["name"])}
        return {}


class _OpenSource:
    """Which source lines may be shown: those of the profile's functions, and what is not others' between them."""

    def __init__(self, trace: Trace, redactor: Redactor) -> None:
        self._all = SYMBOLS in redactor.keep
        secret = {
            row["id"] for row in trace.rows("SELECT id, name FROM function") if not redactor.is_known(row["name"])
        }
        self._secret = set() if self._all else secret
        self._others: set[tuple[str, int]] = set()
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        if not self._all:
            self._read(trace, redactor, secret)

    def _read(self, trace: Trace, redactor: Redactor, secret: set[int]) -> None:
        found: dict[tuple[int, str], list[int]] = {}
        shown: set[tuple[str, int]] = set()
        for row in trace.rows("SELECT DISTINCT function, file, line, inlined FROM instruction"):
            if row["function"] in secret or not redactor.is_known(row["inlined"]):
                self._others.add((row["file"], row["line"]))
            else:
                shown.add((row["file"], row["line"]))
                found.setdefault((row["function"], row["file"]), []).append(row["line"])
        self._others -= shown
        for (_, file), lines in found.items():
            self._ranges.setdefault(file, []).append((min(lines), max(lines)))

    def is_secret(self, function: int) -> bool:
        return function in self._secret

    def is_open(self, file: str, line: int) -> bool:
        if self._all:
            return True
        inside = any(first - 1 <= line <= last + 1 for first, last in self._ranges.get(file, ()))
        return inside and (file, line) not in self._others


def said(redactor: Redactor) -> str:
    """What was redacted, in words."""
    words = {COMMAND_LINE: "command line", PATHS: "path", BUILDER: "builder", SYMBOLS: "symbol"}
    counts = [(words[kind], len(found)) for kind, found in redactor.done.items() if found]
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts) or "nothing that it holds"
