# SPDX-License-Identifier: MIT
"""Which functions ran in a trace, and what kept the boot from the others."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT, Machine
from sample_trace import write_sample

from clockscope._core import TraceWriter

SCHEMA = json.loads((ROOT / "schemas" / "xref.schema.json").read_text())
Program = Callable[..., Any]

# A traced function of four blocks: its branch at the end of block 0 went to 2, where the way to the call in 3 began
# at 1. As time_init(): if (xen) { if (pv) xen_time_init(); } return.
BRANCHES = """
INSERT INTO function VALUES (1, 'time_init', 0x1000, 'time.c', 10, 1, '');
INSERT INTO block VALUES (1, 0, 0x1000, 0x1008, 0, 0, 0), (1, 1, 0x1008, 0x1010, 0, 0, 0),
                         (1, 2, 0x1018, 0x1020, 0, 0, 0), (1, 3, 0x1010, 0x1018, 0, 0, 0);
INSERT INTO edge VALUES (1, 0, 1, 'next'), (1, 0, 2, 'taken'), (1, 1, 2, 'taken'), (1, 1, 3, 'next'), (1, 3, 2, 'next');
INSERT INTO instruction VALUES (1, 0x1006, 0, 'branch', 'e', 0, 0x1018, 'je 0x1018', 'time.c', 12, ''),
                               (1, 0x100e, 1, 'branch', 'e', 0, 0x1018, 'je 0x1018', 'time.c', 13, ''),
                               (1, 0x1010, 3, 'call', '', 0, {target}, 'callq xen_time_init', 'time.c', 14, '');
INSERT INTO invocation (id, function, seq, run_ns, cpu, thread, task, stack, caller, caller_name, returned, complete,
                        consistent) VALUES (1, 1, 1, 0, 0, '1', '', 0, 0, '', 'yes', 1, 1);
INSERT INTO step (invocation, ordinal, block) VALUES (1, 0, 0), (1, 1, 2);
INSERT INTO decision VALUES (1, 0, 0x1006, 1, NULL);
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "boot.trace"
    write_sample(path)
    return path


@pytest.fixture
def branches(trace: Path) -> Path:
    """The same with the path of one invocation."""
    with sqlite3.connect(trace) as database:
        (target,) = database.execute("SELECT address FROM counter WHERE function = 'xen_time_init'").fetchone()
        database.executescript(BRANCHES.replace("{target}", str(target)))
    return trace


def ask(program: Program, *arguments: object) -> dict[str, dict[str, Any]]:
    result = program("reached", *arguments, "--format", "json")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    jsonschema.validate(answer, SCHEMA)
    return {function["function"]: function for function in answer["functions"]}


def test_each_evidence(program: Program, branches: Path) -> None:
    functions = ask(program, branches, "*")
    found = {
        name: (function["reached"], function["evidence"], function["times"]) for name, function in functions.items()
    }
    assert found["hpet_enable"] == ("yes", "called", 1)
    assert found["time_init"] == ("yes", "traced", 1)
    assert found["timekeeping_notify"] == ("yes", "event", 3)
    assert found["clocksource_register_hz"] == ("yes", "in a backtrace", 1)
    assert found["xen_time_init"] == ("no", "watched", 0)
    assert "calibrate_APIC_clock" not in found  # refused: nobody watched it


def test_a_pattern_chooses(program: Program, trace: Path) -> None:
    assert ask(program, trace, "*_init").keys() == {"kvmclock_init", "tsc_early_init", "xen_time_init"}
    assert ask(program, trace, "hpet_enable").keys() == {"hpet_enable"}


def test_the_branch_that_went_the_other_way(program: Program, branches: Path) -> None:
    (branch,) = ask(program, branches, "xen_time_init")["xen_time_init"]["skipped_by"]
    assert branch == {
        "caller": "time_init",
        "address": "0x1006",
        "source": "time.c:12",
        "instruction": "je 0x1018",
        "taken": True,
        "times": 1,
    }
    text = program("reached", branches, "xen_time_init").stdout
    assert "time_init at time.c:12: je 0x1018 was taken (1 time)" in text


def test_with_the_kernel(program: Program, trace: Path) -> None:
    functions = ask(program, trace, "xen_*_init", "--elf", Machine().vmlinux)
    assert functions["xen_time_init"]["reached"] == "no"
    assert functions["xen_smp_init"]["reached"] == "unknown"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("force_compatible_cpus_allowed_ptr", "nothing can call it"),  # arm64's; compiled in for all
        ("zlib_inflateIncomp", "only modules can call it"),
        ("init_tsc_clocksource", ""),  # an initcall
        ("tsc_read_refs", ""),
    ],
)
def test_what_can_call_it(program: Program, trace: Path, function: str, reason: str) -> None:
    assert ask(program, trace, function, "--elf", Machine().vmlinux)[function]["reason"] == reason


def test_no_such_function(program: Program, trace: Path) -> None:
    result = program("reached", trace, "nothing_here")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no function 'nothing_here'" in result.stderr and "--elf" in result.stderr
    assert ask_text(program("reached", trace, "nothing_*")) == 0


def ask_text(result: Any) -> int:
    """A pattern without a match is an answer: a sourced script goes on."""
    assert "No function 'nothing_*'" in result.stdout + result.stderr
    return int(result.returncode)


def test_a_rule_that_fired(program: Program, tmp_path: Path) -> None:
    """Its function ran, wherever its event was told of; a line that the kernel prints is no function."""
    path = tmp_path / "boot.trace"
    writer = TraceWriter(str(path))
    writer.expect("fired", "x-a", "fired_function:return", "planted", reached=2, matched=1)
    writer.expect("unmet", "x-a", "unmet_function", "planted", reached=3, matched=0)
    writer.expect("away", "x-a", "away_function", "planted", reached=0, matched=0)
    writer.expect("line", "x-a", "a line that is printed", "planted", reached=1, matched=1)
    writer.event(run_ns=1, cpu=0, what="x-a", rule="fired", function="its_caller", file="", line=0)
    writer.close(True, "")
    found = {name: (one["reached"], one["times"]) for name, one in ask(program, path, "*").items()}
    assert found == {
        "fired_function": ("yes", 2), "unmet_function": ("yes", 3), "away_function": ("no", 0), "its_caller": ("yes", 1)
    }  # fmt: skip
