# SPDX-License-Identifier: MIT
"""Traces of all versions are read, as they are and without a change to the file; of newer ones it is said what reads them.

versions/N.trace was recorded by the last program that wrote version N.
"""

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from damaging import ask, questions
from guest import ROOT

from clockscope import _core
from clockscope._core import Trace
from clockscope.model import disturbed, paths

VERSIONS = Path(__file__).with_name("versions")
STORED = sorted([*VERSIONS.glob("*.trace"), *(ROOT / "traces").glob("*.trace")])
_SQL = (ROOT / "schemas/trace.sql").read_text()
_HERE = re.search(r"PRAGMA user_version = (\d+);", _SQL)
NEWEST = int(_HERE[1]) if _HERE else 0
_TIMELINE = json.loads((ROOT / "schemas/timeline.schema.json").read_text())

# What traces of version 1 may lack beside what the last of them lack, the newest first: it grew while it was written.
GROWN = (
    ["DROP TABLE msr", "DROP TABLE cpuid"],
    ["DROP TABLE window_pass"],
    ["ALTER TABLE event DROP COLUMN host_ns"],
    ["DROP VIEW IF EXISTS stops", "ALTER TABLE stop DROP COLUMN host_ns"],
    ["ALTER TABLE invocation DROP COLUMN caller_name", "DROP TABLE source"],
    ["DROP TABLE decision", "DROP TABLE gap_block", "DROP TABLE step", "DROP TABLE invocation"],
    ["DROP TABLE stop", "DROP TABLE probe", "DROP TABLE window", "DROP TABLE instruction", "DROP TABLE edge"],
    ["DROP TABLE block", "DROP TABLE function"],
)


def trace_of(version: int) -> Path:
    return VERSIONS / f"{version}.trace"


def state(path: Path) -> tuple[str, int, list[str]]:
    files = sorted(file.name for file in path.parent.iterdir())
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, files


@pytest.mark.parametrize("path", STORED, ids=[path.name for path in STORED])
def test_what_is_kept_names_no_machine(path: Path) -> None:
    """A recording that is committed was made from the project's own folder, and says no other."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        meta = dict(database.execute("SELECT key, value FROM meta"))
    named = [meta.get("guest.elf", ""), *json.loads(meta.get("stub.command") or "[]")]
    assert not [word for word in named if word.startswith(("/", "file:/"))]


def test_there_is_a_trace_of_every_version() -> None:
    assert NEWEST >= 2
    for version in range(1, NEWEST + 1):
        with contextlib.closing(sqlite3.connect(f"file:{trace_of(version)}?mode=ro", uri=True)) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (version,)


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_every_verb_reads_it(version: int, tmp_path: Path) -> None:
    """The file stays as it is, and so does its folder."""
    folder = tmp_path / "kept"
    folder.mkdir()
    path = Path(shutil.copy(trace_of(version), folder / "a.trace"))
    path.chmod(0o400)
    before = state(path)
    for arguments in questions(path, tmp_path / "out"):
        status, _, errors = ask(arguments)
        assert status in (0, 1) or "holds no CPUID leaves" in errors, (arguments, errors)
        assert "damaged" not in errors
    assert state(path) == before


def asked(path: Path, sql: str) -> Any:
    """What plain SQLite finds in a file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (found,) = database.execute(sql).fetchone()
    return found


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_nothing_is_lost(version: int) -> None:
    path = trace_of(version)
    with Trace(str(path)) as trace:
        content = disturbed.timeline(trace)
        functions = paths.functions(trace)
        stops = trace.rows("SELECT count(*) AS n, sum(host_ns - run_ns) AS stood FROM stop")[0]
    jsonschema.Draft202012Validator(_TIMELINE).validate(json.loads(json.dumps(content)))
    assert content["complete"] and content["damage"] is None
    assert len(content["events"]) == asked(path, "SELECT count(*) FROM event") > 10
    assert sum(len(event["backtrace"]) for event in content["events"]) == asked(path, "SELECT count(*) FROM frame")
    calls = [call for function in functions for call in function["invocations"]]
    assert len(calls) == asked(path, "SELECT count(*) FROM invocation") > 10
    assert sum(len(call["decisions"]) for call in calls) == asked(path, "SELECT count(*) FROM decision")
    assert stops["n"] == asked(path, "SELECT count(*) FROM stop") and stops["stood"] > 0


def shrunk(path: Path, steps: Sequence[Sequence[str]]) -> Path:
    """A trace as the first programs wrote it."""
    shutil.copy(trace_of(1), path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        for statements in steps:
            for sql in statements:
                database.execute(sql)
        database.commit()
    return path


@pytest.mark.parametrize("count", range(1, len(GROWN) + 1))
def test_the_first_traces(count: int, tmp_path: Path) -> None:
    path = shrunk(tmp_path / "a.trace", GROWN[:count])
    for arguments in questions(path, tmp_path / "out"):
        status, _, errors = ask(arguments)
        assert "damaged" not in errors and "no such" not in errors, (arguments, errors)
        # A question for what had not been thought of yet has one line for an answer.
        assert status in (0, 1) or errors.count("\n") == 1, (arguments, errors)
    with Trace(str(path)) as trace:
        assert len(trace.timeline()["events"]) > 10 and trace.complete()


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE event",
        "DROP TABLE counter",
        "ALTER TABLE event DROP COLUMN what",
        "ALTER TABLE msr DROP COLUMN value",
    ],
)
def test_what_no_version_lacked(sql: str, tmp_path: Path) -> None:
    path = shrunk(tmp_path / "a.trace", [[sql]])
    with pytest.raises(_core.FormatError, match="is damaged: its tables are not a trace's"):
        Trace(str(path))


@pytest.mark.parametrize("version", [NEWEST + 1, 99, 2**31 - 1])
@pytest.mark.parametrize(
    "sql, program",
    [
        ("UPDATE meta SET value = '7.8' WHERE key = 'tool.clockscope'", "7.8"),
        ("DELETE FROM meta", "of the version that recorded it"),
        ("DROP TABLE meta", "of the version that recorded it"),
        ("ALTER TABLE meta RENAME COLUMN value TO content", "of the version that recorded it"),
    ],
)
def test_a_newer_version_says_what_reads_it(version: int, sql: str, program: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(trace_of(NEWEST), tmp_path / "a.trace"))
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in ("DROP VIEW clocks", sql, f"PRAGMA user_version = {version}"):
            database.execute(statement)
        database.commit()
    status, _, errors = ask(["timeline", str(path)])
    assert status == 2 and errors.count("\n") == 1 and str(path) in errors
    assert f"newer clockscope (version {version}; this reads up to {NEWEST})" in errors
    assert f"read it with clockscope {program}" in errors


def test_a_new_recording_says_what_recorded_it() -> None:
    for file in (ROOT / "traces").glob("*.trace"):
        with Trace(str(file)) as trace:
            assert trace.meta()["tool.clockscope"]
