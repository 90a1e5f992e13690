# SPDX-License-Identifier: MIT
"""A column of the trace that a place forgets is named: what the binding takes, and what `--format json` gives."""

import ast
import json
import sqlite3
from collections.abc import Callable
from typing import Any

from guest import ROOT

GIVEN_BY_THE_STORE = {"event": {"seq", "host_ns"}, "intervention_use": {"seq"}}
RENAMED = {
    "intervention_use": {"intervention": "number"},
    "cpuid": dict.fromkeys(("eax", "ebx", "ecx", "edx"), "registers"),
}
TAKEN = {
    **{"event": "event", "counter": "counter", "expect": "expectation", "cpuid": "cpuid", "msr": "msr"},
    **{"source": "source", "intervention": "intervention", "intervention_use": "intervention_use", "meta": "meta"},
}
"""TraceWriter's methods, and the table that each writes."""


def columns(table: str) -> set[str]:
    database = sqlite3.connect(":memory:")
    database.executescript((ROOT / "schemas/trace.sql").read_text())
    return {name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def writer() -> dict[str, set[str]]:
    """The parameters of each of TraceWriter's methods, as its contract has them."""
    module = ast.parse((ROOT / "plugin/clockscope/_core.pyi").read_text())
    (found,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "TraceWriter")
    methods = (node for node in found.body if isinstance(node, ast.FunctionDef))
    return {node.name: {one.arg for one in node.args.args + node.args.kwonlyargs} - {"self"} for node in methods}


def test_what_the_binding_takes() -> None:
    for method, table in TAKEN.items():
        renamed = RENAMED.get(table, {})
        wanted = {renamed.get(name, name) for name in columns(table) - GIVEN_BY_THE_STORE.get(table, set())}
        assert writer()[method] - {"values", "backtrace"} == wanted, table


def test_the_binding_takes_no_other_name(tmp_path: Any, core: Any) -> None:
    file = core.TraceWriter(str(tmp_path / "a.trace"))
    wrongs: list[Callable[[], object]] = [
        lambda: file.event(1, 0, "x-a", "r", colour=1),
        lambda: file.event(1, 0, "x-a"),
        lambda: file.event(1, 0, "x-a", "r", run_ns=2),
        lambda: file.event(1, 0, "x-a", "r", "f"),
        lambda: file.event(1, 0, "x-a", 7),
        lambda: file.event(1, 0, "x-a", "r", line="7"),
        lambda: file.msr("begin", 1),
        lambda: file.cpuid("begin", 1, 0, (1, 2, 3)),
    ]
    for wrong in wrongs:
        try:
            wrong()
        except TypeError:
            continue
        raise AssertionError("was taken")
    assert file.event(1, 0, "x-a", "r", function="f", tsc=7, clock=None, values=[("n", 1)]) == 1
    file.close(True, "")


def test_what_the_timeline_shows() -> None:
    schema = json.loads((ROOT / "schemas/timeline.schema.json").read_text())
    properties = list(_properties(schema))
    for table in ("event", "frame", "expectation", "counter"):
        wanted = columns(table) - {"host_ns", "event", "level"}
        if {"file", "line"} <= wanted:
            wanted = wanted - {"file", "line"} | {"source"}
        assert any(wanted <= found for found in properties), (table, wanted)


def _properties(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield set(value["properties"])
        for inner in value.values():
            yield from _properties(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _properties(inner)
