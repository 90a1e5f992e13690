# SPDX-License-Identifier: MIT
"""`clock experiment` on a model guest: it starts the guest again, and says what the change has changed."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from gdbrun import Transcript, run_gdb
from guest import ROOT, Guest
from model import model

from clockscope._core import Trace

Gdb = Callable[..., Transcript]

GUEST = model("netbsd", "healthy")
# `if (!cpu_hascounter()) return;` is a jump over the return.
HAS_COUNTER = next(
    number
    for number, line in enumerate((ROOT / "examples/model/netbsd/tsc.c").read_text().splitlines(), 1)
    if number > 60 and "if (!cpu_hascounter())" in line
)


def start(directory: Path) -> list[str]:
    return [f"file {GUEST.vmlinux}", GUEST.launch(directory / "serial.log")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A baseline; in the same GDB an experiment that changes nothing, and one that does, told in both ways."""
    here = tmp_path_factory.mktemp("experiment")
    experiment = f"clock experiment --baseline {here}/base.trace --force tsc_tc_init:{HAS_COUNTER}"
    script = [
        *start(here),
        f"clock record -o {here}/base.trace --until exit --functions tsc_tc_init,tc_init",
        "clock launch",
        "thbreak main",
        "continue",
        f"{experiment}=taken -o {here}/same.trace",
        f"{experiment}=not -o {here}/other.trace",
        f"{experiment}=not --format json -o {here}/json.trace",
    ]
    result = run_gdb(script, here)
    assert result.status == 0, result.text
    return here, result.text


def test_what_changed_is_said_in_words(made: tuple[Path, str]) -> None:
    here, text = made
    _, same, other = text.split("A, the baseline: ")
    assert "which changed nothing):\n  nothing changed\n" in same
    assert f"With --force tsc_tc_init:{HAS_COUNTER}=not (made once):" in other
    assert "TSC does not register any more" in other
    assert re.search(r"the timecounter in use at the end is \S+, not TSC", other)
    assert re.search(r"The first decision that differs\n  tsc_tc_init  tsc.c:\d+", other)
    assert f"clock diff {here}/base.trace {here}/other.trace" in other


def test_the_guest_was_started_again_as_the_baseline_was(made: tuple[Path, str]) -> None:
    here, text = made
    assert text.count("Started your guest again.") == 3
    facts = []
    for name in ("base", "same"):
        with Trace(f"{here}/{name}.trace") as trace:
            facts.append({key: trace.meta()[key] for key in ("plan.until", "plan.functions", "stub.command")})
    assert facts[0] == facts[1] and facts[0]["plan.until"] == "exit"


def test_json(made: tuple[Path, str]) -> None:
    _, text = made
    content, _ = json.JSONDecoder().raw_decode(text, text.index("\n{\n") + 1)
    jsonschema.validate(content, json.loads((ROOT / "schemas/experiment.schema.json").read_text()))
    jsonschema.validate(content["diff"], json.loads((ROOT / "schemas/diff.schema.json").read_text()))
    assert content["active"][0]["timecounter"] == "TSC" != content["active"][1]["timecounter"]
    assert [clock["name"] for clock in content["diff"]["clocks"]["only_a"]] == ["TSC"]
    assert content["interventions"][0]["times"] == 1


ERRORS = {
    "clock experiment --baseline {baseline} -o {baseline} --force f:1=taken": "is the baseline",
    "clock experiment --baseline {baseline} --force f:1=taken": "no command to start a guest is remembered",
    "clock experiment --baseline {baseline}": "an experiment changes something: give --force, --set or --return",
    "clock experiment --baseline {baseline}.none --force f:1=taken": "No such file",
    "clock experiment --force f:1=taken": "the following arguments are required: --baseline",
}


@pytest.mark.parametrize("command", ERRORS)
def test_what_it_lacks_is_said(command: str, gdb: Gdb) -> None:
    done = gdb([f"file {GUEST.vmlinux}", command.format(baseline=ROOT / "traces/netbsd-healthy.trace")])
    assert done.status == 1 and ERRORS[command] in done.text.splitlines()[-1]


def test_a_guest_that_was_attached_is_not_started_again(gdb: Gdb, tmp_path: Path, boot: Callable[..., Guest]) -> None:
    guest = boot(GUEST)
    script = [f"file {GUEST.vmlinux}", f"clock attach {guest.socket}", "tbreak main", "continue"]
    done = gdb([*script, f"clock experiment --baseline {ROOT}/traces/netbsd-healthy.trace --return tsc_tc_init=0"])
    assert done.status == 1 and "was not started by `clock launch`" in done.text
