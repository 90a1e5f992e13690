# SPDX-License-Identifier: MIT
"""Logs as people have them: each form of the kernels' words gives the right events, findings and advice, and no others."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from log_cases import CASES, RIGHT

from clockscope.front import cli
from clockscope.model import diagnosing


class Done(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Done]

FRONT_EVENTS = [("frequency.detected", "tsc"), ("clock.registered", "tsc"), ("clock.selected", "tsc")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The program, within this process: there are many cases."""

    def call(*arguments: str | Path) -> Done:
        status = cli.main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return call


def test_each_case_is_told_about() -> None:
    found = {path.stem for path in CASES.glob("*.log")}
    assert found - set(RIGHT) == {name for name in found if name.startswith("front-")}
    assert set(RIGHT) <= found
    assert {name for right in RIGHT.values() for name in right.findings} <= {rule.name for rule in diagnosing.load()}


@pytest.mark.parametrize("name", RIGHT)
def test_case(name: str, run: Run, tmp_path: Path) -> None:
    right, made = RIGHT[name], tmp_path / "x.trace"
    done = run("import", "dmesg", "-o", made, CASES / f"{name}.log")
    assert done.status == 0 and right.note.replace("no banner", "does not begin with a kernel's banner") in done.err
    events = json.loads(run("timeline", "--format", "json", made).out)["events"]
    assert right.events in (None, len(events))
    lost = [event for event in events if event["what"] == "clock.unstable"]
    assert [event["clock"] for event in lost] == ([right.lost] if right.lost else [])
    wanted = [event for event in events if event["rule"] == right.event] if right.event else lost
    assert not (right.event and not wanted)
    for event in wanted[:1]:
        assert {key: event["values"].get(key) for key in right.values} == right.values
    findings = json.loads(run("diagnose", "--format", "json", made).out)["files"][0]["findings"]
    assert tuple(finding["rule"] for finding in findings) == right.findings
    text = re.sub(r"\s+", " ", run("diagnose", made).out)
    assert not [said for said in right.says if said not in text]
    table = run("timeline", made).out
    assert not [said for said in right.not_said if said in text or said in table]
    assert not re.search(r"\{\w+\}", text) and "(?P<" not in table


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("front-*.log")))
def test_front(name: str, run: Run, tmp_path: Path) -> None:
    made = tmp_path / "x.trace"
    assert run("import", "dmesg", "-o", made, CASES / name).status == 0
    content = json.loads(run("timeline", "--format", "json", made).out)
    assert [(event["what"], event["clock"]) for event in content["events"]] == FRONT_EVENTS
    assert content["guest"]["command_line"] == "root=/dev/vda1 ro"
