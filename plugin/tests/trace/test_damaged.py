# SPDX-License-Identifier: MIT
"""Damaged traces: each reader says in one line which file and what, and exits with 2; no traceback, no memory without end."""

import contextlib
import os
import random
import resource
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from damaging import Value, Workshop, ask, questions, small
from gdbrun import Transcript
from guest import ROOT
from peak import ended

from clockscope import _core
from clockscope._core import Trace

WRONG: tuple[Value, ...] = (None, "text", b"\xff\0blob", 1.5, float("inf"), 7)
"""Of these, each column can hold one kind, and perhaps NULL."""
ODD: tuple[Value, ...] = (-1, 0, 2**32, 2**63 - 1, -(2**63), "", "nul\0nul", "e" * 70_000, "1e400", "[", *WRONG)
"""What may be a value of its column's type, but not a sensible one."""
_KINDS = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_BOUND = 300 << 20  # bytes


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    return Workshop(small(folder / "small.trace"), folder)


def holds_to_the_rule(status: int, output: str, errors: str, file: Path) -> None:
    """What is true of every answer to a damaged trace."""
    assert status in (0, 1, 2)
    if status == 2:
        assert str(file) in errors and " is damaged: " in errors, errors
        assert errors.count("\n") <= 2, errors  # "Wrote …" may be the other


def columns() -> Iterator[tuple[str, str, str, bool]]:
    """(table, column, type, may it be NULL) by our own schema."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript((ROOT / "schemas/trace.sql").read_text())
        yield from database.execute(
            'SELECT t.name, c.name, c.type, NOT c."notnull" AND NOT c.pk FROM pragma_table_list t,'
            " pragma_table_xinfo(t.name) c WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
        )


def is_number_of_its_row(table: str, column: str) -> bool:
    """SQLite itself holds those to be integers."""
    return (table, column) in {
        *(("event", "seq"), ("counter", "address"), ("function", "id"), ("invocation", "id"), ("stop", "seq")),
        *(("intervention", "number"), ("intervention_use", "seq")),
    }


def test_no_column_holds_another_type(workshop: Workshop, tmp_path: Path) -> None:
    """Each column with values of other types; what the schema does not allow never comes out."""
    seen = 0
    for number, (table, column, type_, nullable) in enumerate(columns()):
        if is_number_of_its_row(table, column):
            continue
        for value in (WRONG * 2)[number % len(WRONG) :][:3]:
            if nullable if value is None else type(value) is _KINDS[type_]:
                continue
            sql = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} IS (SELECT max({column}) FROM {table})"
            try:
                path = workshop.make(tmp_path / "a.trace", [(sql, [value])])
            except sqlite3.IntegrityError:
                continue  # a key that is NULL: no SQLite writes it
            with Trace(str(path)) as trace:
                with pytest.raises(_core.FormatError, match=rf"damaged: {table}\.{column} holds a value of type"):
                    trace.rows(f"SELECT * FROM {table}")
            seen += 1
    assert seen > 200


@pytest.mark.parametrize("seed", range(40))
def test_verbs(seed: int, workshop: Workshop, tmp_path: Path) -> None:
    """Any column with any value, in one row or in all; some of the verbs, by chance."""
    chance = random.Random(seed)
    table, column, _, _ = chance.choice(sorted(columns()))
    value = chance.choice(ODD)
    one = f" WHERE {column} IS (SELECT min({column}) FROM {table})" if chance.random() < 0.5 else ""
    with contextlib.suppress(sqlite3.IntegrityError):  # a row's number holds numbers alone
        path = workshop.make(tmp_path / "a.trace", [(f"UPDATE OR IGNORE {table} SET {column} = ?{one}", [value])])
        for arguments in chance.sample(list(questions(path, tmp_path / "out")), 5):
            holds_to_the_rule(*ask(arguments), path)


@pytest.mark.parametrize("seed", range(20))
def test_bytes(seed: int, workshop: Workshop, tmp_path: Path) -> None:
    """Any bytes of the file replaced: what SQLite itself finds broken, and what it does not."""
    chance = random.Random(seed)
    path = workshop.make(tmp_path / "a.trace", [])
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 2, 5, 20))):
        at = chance.randrange(100, len(content))
        count = min(chance.choice((1, 1, 1, 2, 9, 4096)), len(content) - at)
        content[at : at + count] = chance.randbytes(count) if count < 10 else content[:count]
    path.write_bytes(content)
    for arguments in chance.sample(list(questions(path, tmp_path / "out")), 3):
        holds_to_the_rule(*ask(arguments), path)


FIRST_STEP = "(SELECT min(invocation) FROM step)"

# What is wrong, the SQL that makes it so, and verbs that must notice.
BROKEN: dict[str, tuple[str, Sequence[str]]] = {
    "a register beyond 32 bits": ("UPDATE cpuid SET ebx = 1 << 40", ("cpuid", "diff", "report")),
    "a negative register": ("UPDATE cpuid SET edx = -1", ("cpuid", "diff")),
    "an MSR's number": ("UPDATE msr SET number = -5 WHERE number = 27", ("cpuid",)),
    "a step to nowhere": (
        f"UPDATE step SET block = 4711 WHERE invocation = {FIRST_STEP} AND ordinal = 0", ("path", "report", "diff", "cfg"),
    ),
    "calls of no function": ("UPDATE invocation SET function = 4711", ("diagnose",)),
    "all steps to nowhere": ("UPDATE step SET block = -1", ("path", "cfg")),
    "a gap to nowhere": ("UPDATE gap_block SET block = block + 4711", ("path", "report", "cfg")),
    "a window to nowhere": ("UPDATE window_pass SET window = 99", ("path", "report")),
    "a window before all": ("UPDATE window_pass SET window = -1", ("path",)),
    "a negative count of stops": ("UPDATE window_pass SET stops_inside = -3", ("path",)),
    "a decision at no instruction": ("UPDATE decision SET address = 12", ("path", "diff", "report")),
    "a decision neither taken nor not": ("UPDATE decision SET taken = 2", ("path", "diff")),
    "an edge of an unknown kind": ("UPDATE edge SET kind = 'sideways' WHERE kind = 'taken'", ("cfg", "report")),
    "an edge to nowhere": ("UPDATE edge SET target = 4711 WHERE kind = 'next'", ("cfg", "diff")),
    "an instruction of no block": ("UPDATE instruction SET block = 4711", ("path", "cfg")),
    "blocks without end": ("UPDATE block SET number = 4000000000 WHERE number = 0", ("path", "diff", "cfg")),
    "a negative count": ("UPDATE counter SET hits = -4", ("timeline", "reached", "report")),
    "a time before all": ("UPDATE event SET run_ns = -1", ("timeline", "export", "report", "diff")),
    "a line before the file": ("UPDATE frame SET line = -1", ("timeline", "report")),
    "an event's value that is both": ("UPDATE event_value SET number = 1, text = 'x'", ("timeline", "export")),
    "values of no event": ("UPDATE event_value SET event = event + 100000", ("timeline",)),
    "a frame of no event": ("UPDATE OR IGNORE frame SET event = 100000", ("timeline",)),
    "a state that is none": ("UPDATE expectation SET status = 'lost'", ("timeline", "report")),
    "a change of an unknown kind": ("UPDATE intervention SET kind = 'bend'", ("timeline", "path", "reached", "cpuid", "diff")),
    "a change that nobody asked for": ("UPDATE intervention_use SET intervention = 99", ("export", "report")),
    "a return of an unknown kind": ("UPDATE invocation SET returned = 'sideways'", ("path", "diff")),
    "registers that are no list": ("UPDATE meta SET value = '{}' WHERE key = 'stub.registers'", ("path",)),
    "registers that are null": ("UPDATE meta SET value = 'null' WHERE key = 'stub.registers'", ("path",)),
    "registers cut short": ("UPDATE meta SET value = '[' WHERE key = 'stub.registers'", ("path", "report")),
    "registers of nothing": ("UPDATE meta SET value = '[1, \"x\", null]' WHERE key = 'stub.registers'", ("path",)),
    "registers without places": ("UPDATE meta SET value = '[{\"name\": \"rax\"}]' WHERE key = 'stub.registers'", ("path",)),
    "registers before all": (
        "UPDATE meta SET value = '[{\"name\": \"eflags\", \"offset\": -8, \"bitsize\": 64}]' WHERE key = 'stub.registers'",
        ("path",),
    ),
    "registers in half": (
        "UPDATE meta SET value = '[{\"name\": \"eflags\", \"offset\": 0.5, \"bitsize\": 1e300}]' WHERE key = 'stub.registers'",
        ("path",),
    ),
    "registers in each other": (
        "UPDATE meta SET value = replace(hex(zeroblob(50000)), '0', '[') WHERE key = 'stub.registers'", ("path", "report"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_noticed(what: str, workshop: Workshop, tmp_path: Path) -> None:
    sql, noticing = BROKEN[what]
    path = workshop.make(tmp_path / "a.trace", [(sql, [])])
    noticed = set()
    for arguments in questions(path, tmp_path / "out"):
        if arguments[0] in noticing:
            status, output, errors = ask(arguments)
            holds_to_the_rule(status, output, errors, path)
            noticed |= {arguments[0]} if status == 2 else set()
    assert noticed == set(noticing)


def test_what_can_be_read_is_shown(workshop: Workshop, tmp_path: Path) -> None:
    """One bad row of a timeline costs that row."""
    path = workshop.make(
        tmp_path / "a.trace", [("UPDATE event SET cpu = 'one' WHERE seq = (SELECT max(seq) FROM event)", [])]
    )
    with Trace(str(path)) as trace:
        content = trace.timeline()
        assert (
            len(content["events"]) == trace.rows("SELECT count(*) AS n FROM meta WHERE key = 'complete'")[0]["n"] + 17
        )
    assert not content["complete"] and "event.cpu holds a value of type TEXT, not INTEGER" in content["damage"]


# Schemas that are not ours, each with what is said of it.
SCHEMAS: dict[str, tuple[Sequence[str], str]] = {
    "no table": (["DROP TABLE step"], "no step"),
    "no column": (["DROP VIEW decisions", "ALTER TABLE instruction DROP COLUMN inlined"], "no instruction.inlined"),
    "a table that is not strict": (
        ["CREATE TABLE m AS SELECT * FROM msr", "DROP TABLE msr", "ALTER TABLE m RENAME TO msr"], "no msr",
    ),
    "a view for a table": (["CREATE TABLE m AS SELECT * FROM msr", "DROP TABLE msr", "CREATE VIEW msr AS SELECT * FROM m"], "no msr"),
    "a column of another type": (
        ["DROP TABLE msr", "CREATE TABLE msr (moment TEXT, number TEXT, value INTEGER) STRICT"], "another kind of number",
    ),
    "a computed column": (
        ["DROP TABLE msr", "CREATE TABLE msr (moment TEXT, number INTEGER, value INTEGER AS (number * 2)) STRICT"],
        "another kind of value",
    ),
    "an index of its own": (["CREATE INDEX mine ON event (what COLLATE NOCASE)"], "an index of its own: mine"),
}  # fmt: skip


@pytest.mark.parametrize("what", SCHEMAS)
def test_schema(what: str, tmp_path: Path) -> None:
    statements, words = SCHEMAS[what]
    path = small(tmp_path / "a.trace")
    with contextlib.closing(sqlite3.connect(path)) as database:
        for sql in statements:
            database.execute(sql)
        database.commit()
    for arguments in questions(path, tmp_path / "out"):
        status, output, errors = ask(arguments)
        assert status == 2 and words in errors and errors.count("\n") == 1, (arguments, errors)
        holds_to_the_rule(status, output, errors, path)


def test_views_and_triggers_of_the_file_do_nothing(tmp_path: Path) -> None:
    path = small(tmp_path / "a.trace")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP VIEW timeline")
        database.execute(
            "CREATE VIEW timeline AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"
        )
        database.execute("CREATE TRIGGER t INSERT ON event BEGIN DELETE FROM event; END")
        database.commit()
    assert all(ask(arguments)[0] in (0, 1) for arguments in questions(path, tmp_path / "out"))


# ---------------------------------------------------------------- memory and time


def with_standard(path: Path, size: int = 60_000, rows: int = 20_000) -> Path:
    """Short rows whose texts come from a DEFAULT, which may be as long as it likes."""
    small(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        (ours,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'event'").fetchone()
        short = ours[: ours.index("    rule ")].rstrip().rstrip(",").partition(", -- clock.registered")[0]
        short = "CREATE TABLE event (seq INTEGER PRIMARY KEY, run_ns INTEGER, host_ns INTEGER, guest_ns INTEGER, icount INTEGER,"
        short += " tsc INTEGER, cpu INTEGER, thread TEXT, what TEXT"
        long = "B" * size
        more = "".join(f", {name} TEXT NOT NULL DEFAULT '{long}'" for name in ("rule", "clock", "function", "file"))
        more += ", line INTEGER NOT NULL DEFAULT 1, address INTEGER NOT NULL DEFAULT 1"
        _say(database, "event", f"{short}) STRICT")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM event")
        numbers = ((number,) for number in range(1, rows))
        database.executemany("INSERT INTO event VALUES (?, 1, 1, NULL, NULL, NULL, 0, '', 'clock.registered')", numbers)
        database.commit()
        _say(database, "event", f"{short}{more}) STRICT")
    return path


def _say(database: sqlite3.Connection, table: str, sql: str) -> None:
    database.execute("PRAGMA writable_schema = ON")
    database.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", [sql, table])
    database.commit()


def with_shared_pages(path: Path, table: str, depth: int = 2, cells: int = 300) -> Path:
    """A table whose pages lead to one and the same page again and again: few bytes, rows without end."""
    shutil.copy(ROOT / "traces/linux-healthy.trace", path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content += content[(root - 1) * size : root * size]
    child = len(content) // size
    for level in range(depth):
        page = bytearray(size)
        page[0], page[3:5], page[5:7] = 5, struct.pack(">H", cells), struct.pack(">H", size - 5 * cells)
        page[8:12] = struct.pack(">I", child)
        for cell in range(cells):
            at = size - 5 * (cell + 1)
            page[at : at + 5] = struct.pack(">I", child) + bytes([min(127, 1 + cell % 127)])
            page[12 + 2 * cell : 14 + 2 * cell] = struct.pack(">H", at)
        if level == depth - 1:
            content[(root - 1) * size : root * size] = page
        else:
            content += page
            child = len(content) // size
    content[28:32], content[92:96] = struct.pack(">I", len(content) // size), content[24:28]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "make, verbs",
    [
        (with_standard, ("timeline", "diagnose", "export", "path")),
        (lambda path: with_shared_pages(path, "event"), ("timeline",)),
        (lambda path: with_shared_pages(path, "stop"), ("export",)),
        (lambda path: with_shared_pages(path, "function"), ("path",)),
    ],
    ids=["a long DEFAULT", "events", "stops", "functions"],
)  # fmt: skip
def test_memory_is_bounded(make: Callable[[Path], Path], verbs: Sequence[str], tmp_path: Path) -> None:
    path = make(tmp_path / "bomb.trace")
    assert path.stat().st_size < 2 << 20
    for arguments in questions(path, tmp_path / "out"):
        asked = arguments[0] in verbs and "json" not in arguments
        if asked and ("--table" not in arguments or "stops" in arguments):
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugin")}
            asked_of = ended([sys.executable, "-m", "clockscope", *arguments], environment)
            assert asked_of.memory < _BOUND, (arguments, asked_of.memory)
            holds_to_the_rule(asked_of.status, "", asked_of.errors, path)
            assert "Traceback" not in asked_of.errors and (asked_of.status == 2 or verbs == ("export",))


def test_a_large_answer_of_a_small_file(tmp_path: Path) -> None:
    """Rows that join into more than a file of its size may ask for."""
    path = small(tmp_path / "a.trace")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Trace(str(path)) as trace, pytest.raises(_core.FormatError, match="its rows take more than"):
        trace.rows("SELECT a.*, b.* FROM instruction a, instruction b, instruction c")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 4 * _BOUND


# ---------------------------------------------------------------- GDB


def test_in_gdb_it_is_one_line(workshop: Workshop, tmp_path: Path, gdb: Callable[..., Transcript]) -> None:
    path = workshop.make(tmp_path / "a.trace", [(f"UPDATE step SET block = 4711 WHERE invocation = {FIRST_STEP}", [])])
    done = gdb([f"clock path {path}"])
    assert done.status == 1
    assert done.text.splitlines()[-1].endswith(
        f"{path} is damaged: a row of step names a block that its function does not have"
    )
