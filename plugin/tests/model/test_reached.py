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
        "text": None,
        "instruction": "je 0x1018",
        "taken": True,
        "condition": None,
        "values": {},
        "variables": {},
        "times": 1,
        "through": [],
    }
    text = program("reached", branches, "xen_time_init").stdout
    assert "time_init at time.c:12: je 0x1018, jump taken (1 time)" in text and "--elf names the kernel" in text


SOURCE = [
    "void time_init(void)",
    "{",
    "\tif (xen) {",
    "\t\tif (pv)",
    "\t\t\txen_time_init();",
    "\t}",
    "\tother();",
    "}",
]


def test_the_condition_is_told_where_the_source_is_at_hand(program: Program, branches: Path) -> None:
    """... and what was compared. The branch at line 12 is `if (xen)`; what stands behind it ran."""
    with sqlite3.connect(branches) as database:
        rows = [("time.c", number, text) for number, text in enumerate(SOURCE, 10)]
        database.executemany("INSERT INTO source VALUES (?, ?, ?)", rows)
        database.execute("UPDATE instruction SET line = 16 WHERE block = 2")
        database.execute(
            "INSERT INTO instruction VALUES (1, 0x1018, 2, 'call', '', 0, NULL, 'callq x', 'time.c', 16, '')"
        )
    (branch,) = ask(program, branches, "xen_time_init")["xen_time_init"]["skipped_by"]
    assert (branch["condition"], branch["text"]) == (False, "if (xen) {")
    assert "time_init at time.c:12: if (xen) { false (1 time)" in program("reached", branches, "xen_time_init").stdout


# As cpu_attach(): if (role) boot(); with boot() { setup(); } and setup() { probe(); }, all traced, of which the first ran;
# its copy of inline_me() ran, that of inline_not() did not. The second role is a switch's table.
CHAIN = """
INSERT INTO function VALUES (1, 'attach', 0x1000, 'cpu.c', 460, 1, ''), (2, 'boot', 0x2000, 'cpu.c', 10, 1, ''),
                            (3, 'setup.isra.0', 0x3000, 'cpu.c', 20, 1, ''), (4, 'probe', 0x4000, 'cpu.c', 30, 1, ''),
                            (5, 'table', 0x5000, 'cpu.c', 40, 1, '');
INSERT INTO block VALUES (1, 0, 0x1000, 0x1008, 0, 0, 0), (1, 1, 0x1008, 0x1010, 0, 0, 0), (1, 2, 0x1010, 0x1018, 0, 0, 0),
                         (2, 0, 0x2000, 0x2008, 0, 0, 0), (3, 0, 0x3000, 0x3008, 0, 0, 0), (4, 0, 0x4000, 0x4001, 0, 0, 0),
                         (5, 0, 0x5000, 0x5008, 0, 0, 0), (5, 1, 0x5008, 0x5010, 0, 0, 0), (5, 2, 0x5010, 0x5018, 0, 0, 0);
INSERT INTO edge VALUES (1, 0, 1, 'next'), (1, 0, 2, 'taken'), (1, 1, 2, 'next'), (5, 0, 1, 'table'), (5, 0, 2, 'table');
INSERT INTO instruction VALUES (1, 0x1006, 0, 'branch', 'e', 0, 0x1010, 'je 0x1010', 'cpu.c', 466, ''),
                               (1, 0x1008, 1, 'call', '', 0, 0x2000, 'callq boot', 'cpu.c', 467, ''),
                               (1, 0x100e, 1, 'other', '', 0, NULL, 'nop', 'cpu.c', 5, 'inline_not'),
                               (1, 0x1010, 2, 'other', '', 0, NULL, 'nop', 'cpu.c', 6, 'inline_me'),
                               (2, 0x2000, 0, 'call', '', 0, 0x3000, 'callq setup', 'cpu.c', 11, ''),
                               (3, 0x3000, 0, 'branch', 'e', 0, 0x4000, 'je probe', 'cpu.c', 21, ''),
                               (5, 0x5000, 0, 'jump', '', 0, NULL, 'jmpq *table(,%rax,8)', 'cpu.c', 41, ''),
                               (5, 0x5008, 1, 'jump', '', 0, 0x4000, 'jmp probe', 'cpu.c', 42, '');
INSERT INTO invocation (id, function, seq, run_ns, cpu, thread, task, stack, caller, caller_name, returned, complete,
                        consistent) VALUES (1, 1, 1, 0, 0, '1', '', 0, 0, '', 'yes', 1, 1),
                                           (2, 5, 2, 0, 0, '1', '', 0, 0, '', 'yes', 1, 1);
INSERT INTO step (invocation, ordinal, block) VALUES (1, 0, 0), (1, 1, 2), (2, 0, 0), (2, 1, 2);
INSERT INTO decision VALUES (1, 0, 0x1006, 1, NULL);
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.trace"
    TraceWriter(str(path)).close(True, "")
    with sqlite3.connect(path) as database:
        database.executescript(CHAIN)
    return path


def test_the_whole_chain_of_callers_is_looked_at(program: Program, chain: Path) -> None:
    probe = ask(program, chain, "probe")["probe"]
    assert (probe["reached"], probe["evidence"]) == ("no", "watched")
    assert [(one["caller"], one["source"], one["taken"], one["through"]) for one in probe["skipped_by"]] == [
        ("table", "cpu.c:41", None, []),
        ("attach", "cpu.c:466", True, ["boot", "setup"]),
    ]
    assert [(one["function"], one["reached"], one["through"]) for one in probe["callers"]] == [
        ("setup", "no", []), ("boot", "no", ["setup"])
    ]  # fmt: skip
    text = program("reached", chain, "probe").stdout
    assert "through boot -> setup: attach at cpu.c:466: je 0x1010, jump taken (1 time)" in text
    assert "table at cpu.c:41: jmpq *table(,%rax,8) went elsewhere, or did not come back (1 time)" in text


def test_a_copy_that_ran_in_another_function(program: Program, chain: Path) -> None:
    """... is the function; one of which no block ran in a whole path did not run."""
    found = ask(program, chain, "inline_*")
    assert (found["inline_me"]["reached"], found["inline_me"]["inlined"]) == ("yes", ["attach"])
    assert (found["inline_not"]["reached"], found["inline_not"]["evidence"]) == ("no", "inlined")
    assert [one["source"] for one in found["inline_not"]["skipped_by"]] == ["cpu.c:466"]
    text = program("reached", chain, "inline_*").stdout
    assert "inline_me   yes      inlined into attach\n" in text and "inline_not  no       inlined into attach\n" in text


def test_a_conditional_jump_to_another_function_is_no_call_until_it_is_taken(program: Program, chain: Path) -> None:
    with sqlite3.connect(chain) as database:
        database.execute(
            "INSERT INTO invocation (id, function, seq, run_ns, cpu, thread, task, stack, caller, caller_name, returned,"
            " complete, consistent) VALUES (3, 3, 3, 0, 0, '1', '', 0, 0, '', 'yes', 1, 1)"
        )
        database.execute("INSERT INTO step (invocation, ordinal, block) VALUES (3, 0, 0)")
        database.execute("INSERT INTO decision VALUES (3, 0, 0x3000, 0, NULL)")
    probe = ask(program, chain, "probe")["probe"]
    assert probe["reached"] == "no"
    assert {(one["caller"], one["taken"]) for one in probe["skipped_by"]} == {("table", None), ("setup.isra.0", False)}


def test_parts_and_copies_are_the_function(program: Program, chain: Path) -> None:
    assert ask(program, chain, "setup").keys() == {"setup"} == ask(program, chain, "setup.*").keys()


def test_another_kernels_file_is_refused(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "other.trace"
    writer = TraceWriter(str(path))
    writer.meta("guest.build_id", "00" * 20)
    writer.close(True, "")
    result = program("reached", path, "tsc_*", "--elf", Machine().vmlinux)
    assert result.returncode == 2 and "is not the kernel of" in result.stderr and result.stderr.count("\n") == 1


def test_with_the_kernel_callers_are_told(program: Program, trace: Path) -> None:
    """... and what is only inlined is found, with the functions that have its code."""
    elf = ("--elf", Machine().vmlinux)
    found = ask(program, trace, "calibrate_APIC_clock", *elf)["calibrate_APIC_clock"]
    assert (found["reached"], found["inlined"]) == ("unknown", ["setup_boot_APIC_clock"])
    callers = {one["function"]: one["how"] for one in found["callers"]}
    assert callers["setup_boot_APIC_clock"] == "inlines it" and callers["x86_init"] == "holds its address"


def test_with_the_kernel(program: Program, trace: Path) -> None:
    functions = ask(program, trace, "xen_*_init", "--elf", Machine().vmlinux)
    assert functions["xen_time_init"]["reached"] == "no"
    assert functions["xen_smp_init"]["reached"] == "unknown"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("force_compatible_cpus_allowed_ptr", "nothing can call it"),  # arm64's; compiled in for all
        ("zlib_inflateIncomp", "only modules can call it"),
        ("init_tsc_clocksource", "called only through pointers"),  # an initcall
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
