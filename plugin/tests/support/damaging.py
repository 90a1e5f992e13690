# SPDX-License-Identifier: MIT
"""Damaged traces, made on purpose, and every verb that reads traces run on them within this process."""

import contextlib
import io
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from guest import ROOT
from sample_trace import copy_rows

from clockscope.front import cli

HEALTHY = ROOT / "traces" / "linux-healthy.trace"
FULL = ROOT / "traces" / "linux-samples-accepted.trace"
"""One that has rows in nearly all tables."""
KEPT = ("tsc_refine_calibration_work", "tsc_read_refs", "clocksource_select")
"""Its functions that a small copy keeps."""

Value = int | float | str | bytes | None


def small(path: Path) -> Path:
    """A small trace of this very schema, with rows in all tables."""
    copy_rows(FULL, path)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute(f"DELETE FROM function WHERE name NOT IN {KEPT}")
        database.execute("INSERT INTO source SELECT DISTINCT file, line, 'if (text)' FROM instruction LIMIT 20")
    return path


class Workshop:
    """Makes damaged copies of a trace: what its schema forbids is written while the file has another, looser one."""

    def __init__(self, trace: Path, directory: Path) -> None:
        self._loose = directory / "loose"
        shutil.copy(trace, self._loose)
        with contextlib.closing(sqlite3.connect(self._loose)) as database:
            self._texts = dict(database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))
            self.columns = {
                name: [row[0] for row in database.execute("SELECT name FROM pragma_table_xinfo(?)", [name])]
                for name in self._texts
            }
            loose = {name: self._loosened(database, name, sql) for name, sql in self._texts.items()}
            _rewrite(database, loose)

    def _loosened(self, database: sqlite3.Connection, name: str, sql: str) -> str:
        """The same table, but without types and constraints."""
        keys = [
            row[0] for row in database.execute("SELECT name FROM pragma_table_xinfo(?) WHERE pk ORDER BY pk", [name])
        ]
        rowid = sql.rstrip().endswith("WITHOUT ROWID")
        alias = not rowid and f"{keys[0]} " in sql and "INTEGER PRIMARY KEY" in sql
        columns = [
            f"{column} INTEGER PRIMARY KEY" if alias and column == keys[0] else column for column in self.columns[name]
        ]
        key = [] if alias else [f"PRIMARY KEY ({', '.join(keys)})"]
        return f"CREATE TABLE {name} ({', '.join(columns + key)})" + " WITHOUT ROWID" * rowid

    def make(self, path: Path, statements: Sequence[tuple[str, Sequence[Value]]]) -> Path:
        """A copy in which these statements were executed, whose schema then says that none of it can be."""
        shutil.copy(self._loose, path)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
            for sql, parameters in statements:
                database.execute(sql, parameters)
            database.commit()
            _rewrite(database, self._texts)
        return path


def _rewrite(database: sqlite3.Connection, texts: dict[str, str]) -> None:
    database.execute("PRAGMA writable_schema = ON")
    for name, sql in texts.items():
        database.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ? AND type = 'table'", [sql, name])
    database.commit()


def questions(trace: Path, out: Path) -> Iterator[list[str]]:
    """Every verb that reads a trace, as it is asked here."""
    file = str(trace)
    yield ["timeline", file]
    yield ["timeline", "--format", "json", "--backtrace", file]
    yield ["path", file]
    yield ["path", file, "--format", "json"]
    yield ["reached", file, "*"]
    yield ["cpuid", file]
    yield ["cpuid", file, "--end", "--format", "json"]
    yield ["diff", file, str(HEALTHY)]
    yield ["diff", str(HEALTHY), file, "--format", "json"]
    yield ["diagnose", file]
    yield ["report", file, "-o", str(out), "--overwrite"]
    yield ["export", file, "--format", "dot"]
    yield ["export", file, "--format", "perfetto", "-o", str(out), "--overwrite"]
    for table in ("timeline", "clocks", "invocations", "decisions", "stops", "interventions"):
        yield ["export", file, "--format", "csv", "--table", table]
    yield ["cfg", "--trace", file, "*", "--format", "json"]
    yield ["cfg", "--trace", file, "*"]


def ask(arguments: Sequence[str]) -> tuple[int, str, str]:
    """A verb's exit status, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(arguments)
    return status, out.getvalue(), err.getvalue()
