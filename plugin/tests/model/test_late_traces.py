# SPDX-License-Identifier: MIT
"""A trace of a guest that was up: what the readers say of its past, and of a snapshot that nobody can trust."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT

from clockscope._core import TraceWriter
from clockscope.model import late

Program = Callable[..., subprocess.CompletedProcess[str]]

CLOCKS = [
    {"name": "tsc", "rating": 300, "frequency_hz": 2_000_000_000, "mask": 2**64 - 1, "flags": 0x21},
    {"name": "hpet", "rating": 250, "frequency_hz": 100_000_000, "mask": 2**32 - 1, "flags": 0x21},
]
SNAPSHOT: dict[str, Any] = {
    "since_boot_ns": 12_345_000_000,
    "current": "tsc",
    "values": {"tsc_khz": 2_000_000, "watchdog": "hpet"},
    "lists": {
        "clocksource": CLOCKS,
        "watched clocksource": [{"name": "tsc"}],
        "event device": [{"name": "lapic-deadline", "cpu": 0, "rating": 150, "mode": 1, "features": 6}],
    },
    "doubts": [],
}


def write(path: Path, snapshot: str | None, *, registered: tuple[tuple[str, int, int], ...] = ()) -> Path:
    writer = TraceWriter(str(path))
    writer.meta("guest.os", "linux")
    writer.meta("guest.release", "6.1.0")
    if snapshot is not None:
        writer.meta(late.BEGAN, late.LATE)
        writer.meta(late.SNAPSHOT, snapshot)
    for number, (name, rating, hz) in enumerate(registered):
        values: list[tuple[str, int | str | None]] = [
            ("name", name),
            ("kind", "clocksource"),
            ("rating", rating),
            ("frequency_hz", hz),
        ]
        writer.event(run_ns=number, cpu=0, what="clock.registered", rule="clock-registered", clock=name, values=values)
    if registered:
        values = [("name", "lapic-deadline"), ("kind", "event device"), ("rating", 150)]
        for what in ("device.registered", "device.selected"):
            writer.event(run_ns=98, cpu=0, what=what, rule=what, clock="lapic-deadline", values=values)
        writer.event(run_ns=99, cpu=0, what="clock.selected", rule="clock-selected", clock=registered[0][0])
    writer.close(True, "ended by `clock record --stop`")
    return path


FULL = (("tsc", 300, 2_000_000_000), ("hpet", 250, 100_000_000))


def schema(name: str) -> Any:
    return json.loads((ROOT / f"schemas/{name}.schema.json").read_text())


def test_the_timeline_has_the_snapshot(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path / "late.trace", json.dumps(SNAPSHOT))
    text = program("timeline", path).stdout
    assert "begun late: when its kernel had been up for 12.345 s; what was before is not known" in text
    assert "watched by the watchdog" in text and "lapic-deadline" in text and "one-shot" in text and "never" not in text
    content = json.loads(program("timeline", "--format", "json", path).stdout)
    jsonschema.validate(content, schema("timeline"))
    assert [(one["name"], one["watched"]) for one in content["late"]["clocks"]] == [("tsc", True), ("hpet", False)]


def test_a_clock_of_the_snapshot_was_registered_before(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "late.trace"
    writer = TraceWriter(str(path))
    writer.meta(late.BEGAN, late.LATE)
    writer.meta(late.SNAPSHOT, json.dumps(SNAPSHOT))
    writer.event(run_ns=5, cpu=0, what="clock.selected", rule="r", clock="hpet", values=[("kind", "clocksource")])
    writer.close(True, "")
    (row,) = [
        line
        for line in program("timeline", path).stdout.splitlines()
        if line.strip().endswith("in use") and "before" in line
    ]
    assert row.split()[0] == "hpet"


@pytest.mark.parametrize("order", [1, -1])
def test_what_came_before_is_no_difference(order: int, program: Program, tmp_path: Path) -> None:
    """The other guest registered its clocks within its recording."""
    begun = write(tmp_path / "late.trace", json.dumps(SNAPSHOT))
    whole = write(tmp_path / "whole.trace", None, registered=FULL)
    files = [begun, whole][::order]
    done = program("diff", *files, "--format", "json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("diff"))
    assert (done.returncode, found["same"]) == (0, True), found
    assert sum(map(bool, found["late"].values())) == 1
    assert "begun late" in program("diff", *files).stdout


@pytest.mark.parametrize("order", [1, -1])
def test_a_clock_that_is_not_there_is_one(order: int, program: Program, tmp_path: Path) -> None:
    begun = write(
        tmp_path / "late.trace", json.dumps({**SNAPSHOT, "current": "hpet", "lists": {"clocksource": CLOCKS[1:]}})
    )
    whole = write(tmp_path / "whole.trace", None, registered=FULL)
    found = json.loads(program("diff", *[begun, whole][::order], "--format", "json").stdout)
    only = found["clocks"]["only_b" if order == 1 else "only_a"]
    assert [clock["name"] for clock in only] == ["tsc"] and not found["same"]
    assert [item["what"] for item in found["clocks"]["differ"]] == ["current"]


def test_diagnose_reads_it(program: Program, tmp_path: Path) -> None:
    healthy = program("diagnose", write(tmp_path / "a.trace", json.dumps(SNAPSHOT)))
    assert healthy.returncode == 0 and "Nothing wrong found" not in healthy.stdout
    assert "begun late" in healthy.stdout and "tsc in use at the" in healthy.stdout
    poor = write(tmp_path / "b.trace", json.dumps({**SNAPSHOT, "current": "jiffies"}))
    done = program("diagnose", poor)
    assert done.returncode == 1 and "time is read from jiffies" in done.stdout
    jsonschema.validate(json.loads(program("diagnose", "--format", "json", poor).stdout), schema("diagnose"))


SPOILED = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": "[]",
    "null": "null",
    "lists that are none": '{"lists": [], "values": 5, "doubts": {}}',
    "entries that are none": '{"lists": {"clocksource": [1, null, {"name": 7, "rating": "x"}], "event device": {"a": 1}}}',
    "numbers beyond": '{"since_boot_ns": 1e400, "values": {"a": %d}, "lists": {"clocksource": [{"name": "x", "mask": %d}]}}'
    % (1 << 70, 1 << 70),
    "texts that steer": json.dumps({"current": "\x1b[31m\n", "values": {"\x1b]0;": "\x07"}, "doubts": ["\x1b[2J"]}),
    "very many": json.dumps({"lists": {"clocksource": [{"name": "x"}] * 5000}}),
}


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_a_snapshot_is_untrusted(text: str, program: Program, tmp_path: Path) -> None:
    path, whole = write(tmp_path / "late.trace", text), write(tmp_path / "whole.trace", None, registered=FULL)
    for words in (
        ["timeline", path],
        ["diagnose", path],
        ["diff", path, whole],
        ["timeline", "--format", "json", path],
    ):
        done = program(*words)
        assert done.returncode in (0, 1), done.stderr
        assert (
            "Traceback" not in done.stderr
            and "\x1b" not in done.stdout
            and "begun late" in done.stdout + "begun late" * ("json" in words)
        )
        if "json" in words:
            jsonschema.validate(json.loads(done.stdout), schema("timeline"))
