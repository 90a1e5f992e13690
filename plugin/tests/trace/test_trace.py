# SPDX-License-Identifier: MIT
"""The trace from Python: writer and reader, recordings that end badly, files that are no traces."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_trace import EVENTS, write_sample

from clockscope import _core
from clockscope.model import disturbed
from clockscope._core import Trace, TraceWriter

Value = int | str | None

_SCHEMA = json.loads((ROOT / "schemas/timeline.schema.json").read_text())
_BARE: dict[str, Any] = dict(run_ns=1, cpu=0, what="x-test", rule="test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.trace"


def read(path: Path) -> dict[str, Any]:
    """The timeline, held against its schema as the JSON that a program would get."""
    with Trace(str(path)) as trace:
        content = disturbed.timeline(trace)
    jsonschema.Draft202012Validator(_SCHEMA).validate(json.loads(json.dumps(content)))
    return content


def test_schema_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMA)


def test_round_trip(path: Path) -> None:
    write_sample(path)
    timeline = read(path)
    assert [event["what"] for event in timeline["events"]] == [event["what"] for event in EVENTS]
    assert [event["seq"] for event in timeline["events"]] == list(range(1, len(EVENTS) + 1))
    assert timeline["guest"]["release"] == "6.1.0-9-cloud-amd64"
    assert timeline["provenance"]["tool.gdb"] == "13.1"
    assert timeline["complete"] and timeline["end_reason"] == "the guest was idle"
    hpet = timeline["events"][1]
    assert hpet["values"] == {"name": "hpet", "rating": 250, "frequency_hz": 100_000_000, "mask": 0xFFFF_FFFF}
    assert hpet["source"] == "kernel/time/clocksource.c:1211"
    assert hpet["backtrace"][1] == {
        "function": "clocksource_register_hz",
        "source": "include/linux/clocksource.h:242",
        "address": "0xffffffff82e1b0a4",
        "inlined": True,
    }
    tsc_early = next(clock for clock in timeline["clocks"] if clock["name"] == "tsc-early")
    assert tsc_early["mask"] == 2**64 - 1
    assert tsc_early["lost"]["reason"] == "clocksource watchdog"
    assert [item["rule"] for item in timeline["never_reached"]] == ["refine-finished", "kvm-clock", "lapic"]


@pytest.mark.parametrize(
    "value", [0, -1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, "", "a\0b", "\x1b[2J", "ü", None]
)
def test_values_are_exact(path: Path, value: Value) -> None:
    writer = TraceWriter(str(path))
    seq = writer.event(**_BARE, values=[("first", value)])
    writer.add_value(seq, "second", value)
    writer.close(True, "")
    assert read(path)["events"][0]["values"] == {"first": value, "second": value}


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_values_beyond_64_bits(path: Path, value: int) -> None:
    writer = TraceWriter(str(path))
    with pytest.raises(OverflowError):
        writer.event(**_BARE, values=[("v", value)])
    writer.event(**_BARE)
    writer.close(True, "")
    assert len(read(path)["events"]) == 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=20), clock=st.none() | st.text(st.characters(), max_size=5))
def test_hostile_texts(path: Path, text: str, clock: str | None) -> None:
    """Any text that Python can hold, lone surrogates too; names are C strings and have no NUL."""
    name = text.replace("\0", "")
    writer = TraceWriter(str(path), force=True)
    clock = None if clock is None else clock.replace("\0", "")
    writer.event(run_ns=0, cpu=0, what="clock.registered", rule=name, clock=clock, function=name, file=name,
                 thread=name, values=[(name, text), ("name", text)])  # fmt: skip
    writer.meta("guest.banner", name)
    writer.expect(name + "!", name, name, "missing", name)
    writer.close(True, name)
    timeline = read(path)
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert timeline["events"][0]["values"]["name"] == shown
    assert timeline["guest"]["banner"] == timeline["events"][0]["function"] == shown.replace("\0", "")


def test_invalid_utf8_is_shown(path: Path) -> None:
    write_sample(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE event SET function = CAST(x'66fe00ff' AS TEXT) WHERE seq = 1")
    database.close()
    assert read(path)["events"][0]["function"].startswith("f\\xfe")


def test_wrong_arguments(path: Path) -> None:
    writer = TraceWriter(str(path))
    with pytest.raises(_core.ArgumentError, match="no event 5"):
        writer.add_value(5, "a", 1)
    with pytest.raises(_core.ArgumentError, match="status"):
        writer.expect("r", "w", "f", "perhaps")
    with pytest.raises(ValueError, match="null"):
        writer.meta("a\0b", "")
    with pytest.raises(TypeError):
        writer.event(**_BARE, values=[("a", 1.5)])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        writer.event(**_BARE, backtrace=[("f", "f.c")])  # type: ignore[list-item]
    writer.close(True, "")
    with pytest.raises(_core.StateError, match="closed"):
        writer.event(**_BARE)
    assert read(path)["events"] == []


def test_reader_asks_questions(path: Path) -> None:
    write_sample(path)
    trace = Trace(str(path))
    rows = trace.rows("SELECT seq, clock FROM event WHERE what = ? AND cpu = ?", ["clock.selected", 1])
    assert rows == [{"seq": 10, "clock": "hpet"}]
    assert trace.rows("SELECT 1.5 AS f, x'00ff' AS b, NULL AS n") == [{"f": 1.5, "b": b"\0\xff", "n": None}]
    assert trace.complete() and trace.meta()["guest.os"] == "linux"
    with pytest.raises(_core.ArgumentError):
        trace.rows("DELETE FROM event")
    with pytest.raises(ValueError, match="1 parameters"):
        trace.rows("SELECT ?")
    trace.close()
    with pytest.raises(_core.StateError, match="closed"):
        trace.timeline()


def test_existing_file_is_kept(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(_core.ExistsError, match="exists already"):
        TraceWriter(str(path))
    assert path.read_text() == "precious"
    TraceWriter(str(path), force=True).close(True, "")
    assert read(path)["complete"]


def test_two_recordings_to_one_file(path: Path) -> None:
    """In one process, and in two."""
    writer = write_sample(path, end=None)
    with pytest.raises(_core.StateError, match="being recorded"):
        TraceWriter(str(path), force=True)
    other = run_python(f"TraceWriter({str(path)!r}, force=True)")
    assert "StateError" in other.stderr and "being recorded" in other.stderr
    writer.close(True, "")
    assert len(read(path)["events"]) == len(EVENTS)
    assert os.listdir(path.parent) == [path.name]


def run_python(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run code in a fresh interpreter, with the trace's types at hand."""
    prelude = "import os, signal\nfrom clockscope._core import Trace, TraceWriter\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugin")}
    return subprocess.run(
        [sys.executable, "-c", prelude + code], env=environment, capture_output=True, text=True, timeout=60, **options
    )


def test_killed_recording(path: Path, tmp_path: Path) -> None:
    """With -9: all but the last batch is there, also in a copy elsewhere."""
    run = run_python(
        f"writer = TraceWriter({str(path)!r})\n"
        "for i in range(1000):\n"
        "    writer.event(run_ns=i, cpu=0, what='x-test', rule='test')\n"
        "    if i == 899: writer.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run.returncode == -signal.SIGKILL
    timeline = read(path)
    assert not timeline["complete"] and timeline["damage"] is None
    assert [event["run_ns"] for event in timeline["events"]] == list(range(900))
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", tmp_path / f"copy{suffix}")
    assert len(read(tmp_path / "copy")["events"]) == 900
    # Without its log, the file alone is still a trace, and says that it is not all.
    shutil.copy(path, tmp_path / "alone")
    assert not read(tmp_path / "alone")["complete"]


def test_recording_that_is_dropped(path: Path) -> None:
    write_sample(path, end=None)
    timeline = read(path)
    assert not timeline["complete"] and timeline["end_reason"] == "the recording was abandoned"
    assert len(timeline["events"]) == len(EVENTS)


def test_disk_without_room(path: Path) -> None:
    """A limit to the size of files stands for the disk's end; c-ext/tests/trace/test_store.c has the true error."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    run = run_python(
        f"writer = TraceWriter({str(path)!r})\n"
        "kept = 0\n"
        "try:\n"
        "    while True:\n"
        "        writer.event(run_ns=1, cpu=0, what='x-test', rule='test')\n"
        "        writer.flush()\n"
        "        kept += 1\n"
        "except Exception as error:\n"
        "    print(kept, type(error).__name__, str(error))\n"
        "writer.close(True, 'done')\n",
        preexec_fn=limit,
    )
    kept, name, words = run.stdout.split(maxsplit=2)
    assert name == "SystemError" and "disk I/O error" in words and words.count("\n") == 1
    assert "SystemError" in run.stderr  # close() says it again
    timeline = read(path)
    assert len(timeline["events"]) == int(kept) > 50
    assert not timeline["complete"]


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda path: None, _core.NotFoundError, "No such file"),
        (lambda path: path.mkdir(), _core.FormatError, "is a directory"),
        (lambda path: path.touch(), _core.FormatError, "is empty"),
        (lambda path: path.write_bytes(os.urandom(5000)), _core.FormatError, "not a clockscope trace"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE t (i)"), _core.FormatError, "of another kind"),
        (lambda path: alter(path, "PRAGMA user_version = 99"), _core.FormatError, r"newer clockscope \(version 99"),
        (lambda path: alter(path, "DROP TABLE frame"), _core.FormatError, "not a trace's"),
        (lambda path: truncate(path), _core.FormatError, "is (truncated|damaged)"),
    ],
    ids=["missing", "directory", "empty", "garbage", "database", "newer", "table", "truncated"],
)
def test_what_is_no_trace(path: Path, make: Callable[[Path], None], error: type[Exception], words: str) -> None:
    make(path)
    with pytest.raises(error, match=words) as caught:
        Trace(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def alter(path: Path, sql: str) -> None:
    write_sample(path)
    database = sqlite3.connect(path)
    database.execute(sql)
    database.close()


def truncate(path: Path) -> None:
    write_sample(path)
    os.truncate(path, path.stat().st_size - 10)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=16)), min_size=1))
def test_damage_anywhere(path: Path, damage: list[tuple[float, bytes]]) -> None:
    """An error or a timeline that keeps to its schema, whatever a file holds; never a crash."""
    path.unlink(missing_ok=True)
    write_sample(path)
    content = bytearray(path.read_bytes())
    for where, replacement in damage:
        start = int(where * len(content))
        content[start : start + len(replacement)] = replacement
    path.write_bytes(content)
    try:
        with Trace(str(path)) as trace:
            timeline = trace.timeline()
    except _core.FormatError as error:
        assert str(error)
        return
    assert json.dumps(timeline)
    assert timeline["damage"] is None or not timeline["complete"]
