# SPDX-License-Identifier: MIT
"""The views of a trace, as plain sqlite3 shows them, equal what the verbs print of it."""

import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from guest import ROOT
from sample_trace import copy_rows, view_rows, write_sample

from clockscope.model import changes_made, paths
from clockscope._core import Trace

SQL = (ROOT / "schemas/trace.sql").read_text()
VIEWS = re.findall(r"CREATE VIEW (\w+)", SQL)
TRACES = sorted((ROOT / "traces").glob("*.trace"))

Row = dict[str, Any]


@pytest.fixture(params=["sample", *(path.stem for path in TRACES)])
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A trace with the views of this very schema."""
    path = tmp_path / "boot.trace"
    if request.param == "sample":
        write_sample(path)
    else:
        copy_rows(ROOT / "traces" / f"{request.param}.trace", path)
    return path


def ms(moment: Row | None) -> float | None:
    return None if moment is None else moment["run_ns"] / 1e6


def test_timeline(trace: Path) -> None:
    with Trace(str(trace)) as opened:
        events = opened.timeline()["events"]
    found = view_rows(trace, "timeline")
    for row, event in zip(found, events, strict=True):
        assert {key: row[key] for key in ("seq", "cpu", "what", "rule", "clock", "function")} == {
            key: event[key] for key in ("seq", "cpu", "what", "rule", "clock", "function")
        }
        assert (row["ms"], row["place"], row["message"]) == (ms(event), event["source"], event["values"].get("message"))
        shown = {name: value for name, value in event["values"].items() if name not in ("name", "kind", "message")}
        texts = (
            f"{name.replace('_', ' ')} {'unreadable' if value is None else value}" for name, value in shown.items()
        )
        assert (row["details"] or "") == ", ".join(texts)


def test_clocks(trace: Path) -> None:
    with Trace(str(trace)) as opened:
        clocks = opened.timeline()["clocks"]
    for row, clock in zip(view_rows(trace, "clocks"), clocks, strict=True):
        mask = row.pop("mask")
        assert mask is None and clock["mask"] is None or int(mask) == clock["mask"]
        assert row == {
            **{key: clock[key] for key in ("name", "kind", "rating", "quality", "frequency_hz")},
            "registered_ms": ms(clock["registered"]),
            "selected_ms": ms(clock["selected"]),
            "in_use": clock["current"],
            "lost_ms": ms(clock["lost"]),
            "lost_reason": clock["lost"] and clock["lost"]["reason"],
        }


def test_paths(trace: Path) -> None:
    with Trace(str(trace)) as opened:
        functions = paths.functions(opened) if opened.rows("SELECT 1 FROM function LIMIT 1") else []
    calls = sorted(
        (call["seq"], function["function"], call) for function in functions for call in function["invocations"]
    )
    found = view_rows(trace, "invocations")
    decisions = view_rows(trace, "decisions")
    for row, (seq, name, call) in zip(sorted(found, key=lambda row: int(row["seq"])), calls, strict=True):
        assert (row["seq"], row["function"], row["ms"], row["cpu"]) == (seq, name, ms(call), call["cpu"])
        assert (row["caller"], row["returned"], row["task"]) == (call["caller"], call["returned"], call["task"])
        assert row["value"] == (None if call["value"] is None else f"{call['value']:#x}")
        taken = [
            (one["step"], one["place"], one["text"], one["address"], one["taken"], one["ms"] is not None)
            for one in decisions
            if one["invocation"] == row["invocation"]
        ]
        assert taken == [
            (one["step"], one["source"], one["text"], one["address"], "yes" if one["taken"] else "no", one["seen"])
            for one in call["decisions"]
        ]
        assert row["decisions"] == len(taken)


def test_the_rest_of_the_views(trace: Path) -> None:
    with Trace(str(trace)) as opened:
        (stops,) = opened.rows("SELECT count(*) AS n FROM stop")
        changed = [(one["option"], one["times"]) for one in changes_made.of(opened)]
    found = view_rows(trace, "stops")
    assert len(found) == stops["n"]
    assert Counter(row["option"] for row in view_rows(trace, "interventions")) == dict(changed)
    assert all(row["instruction"] and row["stood_ms"] >= 0 for row in found)


def test_they_are_described() -> None:
    text = (ROOT / "schemas/README.md").read_text()
    database = sqlite3.connect(":memory:")
    database.executescript(SQL)
    for view in VIEWS:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{view}`")]
        columns = [column[1] for column in database.execute(f"PRAGMA table_info({view})")]
        assert re.findall(r"`(\w+)`", line.split("|")[3]) == columns
