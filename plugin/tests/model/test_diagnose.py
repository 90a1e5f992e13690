# SPDX-License-Identifier: MIT
"""Diagnoses: which rules fire on which boots, what they say, and what is wrong with rules that are wrong."""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gdbrun import Transcript
from guest import ROOT
from log_cases import RIGHT

from clockscope.model import diagnosing
from clockscope._core import Trace, TraceWriter
from clockscope.base.errors import UserError

Record = dict[str, Any]
Program = Callable[..., subprocess.CompletedProcess[str]]

TRACES = ROOT / "traces"
SCHEMA = json.loads((ROOT / "schemas/diagnose.schema.json").read_text())

# What is found in each trace. The boots that are as they should be come first.
EXPECTED: dict[str, set[str]] = {
    "linux-healthy": set(),
    "linux-6.12": set(),
    "linux-microvm": set(),
    "linux-xen": set(),
    "linux-kvm": set(),
    "netbsd-healthy": set(),
    "freebsd-healthy": set(),
    "linux-kvm-outranks": {"kvm-clock-outranks-tsc"},
    "linux-samples-rejected": {"tsc-samples-rejected"},
    "linux-samples-accepted": set(),
    "linux-reference-stood-still": {"tsc-reference-stood-still"},
    "linux-refinement-off": {"tsc-refinement-off"},
    "linux-refinement-refused": {"tsc-refinement-refused"},
    "linux-frequency-off": {"clock-frequency-off", "tsc-lost-to-watchdog"},
    "linux-kvm-refined": {"kvm-frequency-refined", "tsc-samples-rejected"},
    "linux-xen-refined": {"xen-frequency-refined", "tsc-samples-rejected"},
    "linux-told-wrong": {"tsc-told-frequency-wrong"},
    "linux-late": {"tsc-calibrated-late"},
    "linux-early-left": {"tsc-early-left-registered"},
    "linux-early-lost": {"tsc-early-lost-to-watchdog"},
    "linux-without-tsc": {"tsc-not-attempted"},
    "linux-no-hpet": {"clock-not-attempted"},
    "linux-unstable": {"tsc-marked-unstable"},
    "linux-no-lapic-timer": {"lapic-timer-refused"},
    "linux-jiffies": {"poor-clock", "tsc-marked-unstable"},
    "netbsd-not-invariant": {"clock-quality-lowered"},
    "netbsd-lapic-stopped": {"lapic-not-calibrated"},
    "netbsd-told": {"lapic-calibration-skipped", "clock-quality-lowered"},
    "netbsd-no-pit": {"clock-not-attempted", "lapic-not-calibrated", "poor-clock"},
    "freebsd-no-pit": {"tsc-frequency-unknown"},
    "freebsd-dummy": {"calibration-against-dummy", "lapic-frequency-wrapped", "poor-clock", "tsc-frequency-unknown"},
}


def findings(path: Path) -> dict[str, Record]:
    with Trace(str(path)) as trace:
        return {finding["rule"]: finding for finding in diagnosing.diagnose(trace, diagnosing.load())}


@pytest.mark.parametrize("name", EXPECTED)
def test_boot(name: str) -> None:
    found = findings(TRACES / f"{name}.trace")
    assert set(found) == EXPECTED[name]
    for finding in found.values():
        assert finding["evidence"]
        assert not re.search(r"\{\w+\}", finding["symptom"] + finding["cause"] + "".join(finding["try"]))


def test_every_rule_fires_somewhere_and_every_trace_is_told_about() -> None:
    by_logs = {name for right in RIGHT.values() for name in right.findings}
    assert {rule.name for rule in diagnosing.load()} == set().union(by_logs, *EXPECTED.values())
    assert {path.stem for path in TRACES.glob("*.trace")} == set(EXPECTED)
    readme = (TRACES / "README.md").read_text()
    assert not [name for name in EXPECTED if f"`{name}`" not in readme]


def test_which_decision_skipped_a_clock() -> None:
    """hpet.c: is_hpet_capable(); tsc.c: boot_cpu_has(X86_FEATURE_TSC), patched text; as the kernel's source has it."""
    for name, rule, place in (
        ("linux-no-hpet", "clock-not-attempted", "hpet_enable arch/x86/kernel/hpet.c:129 "),
        ("linux-without-tsc", "tsc-not-attempted", "init_tsc_clocksource arch/x86/kernel/tsc.c:1407 "),
        ("netbsd-no-pit", "clock-not-attempted", "tsc_tc_init examples/model/netbsd/tsc.c:77 if (tsc_freq != 0) {"),
    ):
        assert f"The decision that skipped it: {place}" in findings(TRACES / f"{name}.trace")[rule]["cause"]


def test_evidence_can_be_checked() -> None:
    """Each row names an event or a call of the trace."""
    for name in EXPECTED:
        with Trace(str(TRACES / f"{name}.trace")) as trace:
            known = {row["seq"] for row in trace.rows("SELECT seq FROM event UNION SELECT seq FROM invocation UNION"
                                                      " SELECT seq FROM stop")}  # fmt: skip
            for finding in diagnosing.diagnose(trace, diagnosing.load()):
                assert {row["seq"] for row in finding["evidence"]} <= known | {0}


def test_traces_are_small_and_hold_no_source_of_others() -> None:
    for path in TRACES.glob("*.trace"):
        assert path.stat().st_size < 320_000, path.name
        with Trace(str(path)) as trace:
            assert trace.complete(), path.name
            assert path.name.startswith(("netbsd", "freebsd")) or not trace.rows("SELECT * FROM source"), path.name


def test_the_second_investigation() -> None:
    """The cause and the upstream change that the investigation ended with; this kernel has the change."""
    finding = findings(TRACES / "linux-samples-rejected.trace")["tsc-samples-rejected"]
    assert any("all ones" in row["said"] for row in finding["evidence"])
    (reference,) = finding["references"]
    assert reference["commit"] == "a786ef152cdc"
    assert reference["in_this_kernel"] is True and "tsc_khz >> 5" in reference["how"]


def test_a_kernel_without_the_change(tmp_path: Path) -> None:
    """As compilers write `t2 - t1 < 50000`, in the place of the newer comparison."""
    path = tmp_path / "old.trace"
    shutil.copy(TRACES / "linux-samples-rejected.trace", path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE instruction SET text = 'cmpq $0xc34f, %rdx' WHERE text = 'cmpq %rbx, %rdx'")
        database.execute("UPDATE instruction SET text = 'nop' WHERE text LIKE 'shr_ $5,%' OR text LIKE '%$0x20000,%'")
    database.close()
    (reference,) = findings(path)["tsc-samples-rejected"]["references"]
    assert reference["in_this_kernel"] is False and "50000" in reference["how"]


def test_what_cannot_be_told_is_said(program: Program, tmp_path: Path) -> None:
    """Without the function's code nobody knows whether it has the change."""
    path = tmp_path / "events.trace"
    shutil.copy(TRACES / "linux-samples-rejected.trace", path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM function")
    database.close()
    (reference,) = findings(path)["tsc-samples-rejected"]["references"]
    assert reference["in_this_kernel"] is None
    assert "the trace does not tell" in program("diagnose", path).stdout


def test_nothing_wrong_is_said(program: Program) -> None:
    run = program("diagnose", TRACES / "linux-healthy.trace")
    assert "Nothing wrong found: " in run.stdout and run.returncode == 0


def test_causes_stand_above_what_follows(tmp_path: Path) -> None:
    """Whatever their names; and what is alike is one row of evidence."""
    rules = [
        diagnosing.parse(OWN.replace("is there", name) + extra, f"{name}.toml")
        for name, extra in (("a", 'caused_by = ["c"]\n'), ("b", ""), ("c", 'caused_by = ["d", "a"]\n'), ("d", ""))
    ]
    with Trace(str(TRACES / "linux-healthy.trace")) as trace:
        assert [finding["rule"] for finding in diagnosing.diagnose(trace, rules)] == ["d", "c", "a", "b"]


def test_advice_looks_at_the_command_line(tmp_path: Path) -> None:
    remedy = """try = ["always", { text = "not so booted", when = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM option WHERE word = 'x=1')" }]\n"""
    rule = diagnosing.parse('symptom = "s"\ncause = "c"\n' + remedy + "query = \"SELECT 0 AS seq, 0 AS run_ns, '' AS place, '' AS said\"",
                            "mine.toml")  # fmt: skip
    for line, advice in (("root=/dev/sda  x=1", ["always"]), ("xx=1 x=11", ["always", "not so booted"])):
        writer = TraceWriter(str(tmp_path / "x.trace"), force=True)
        writer.meta("guest.command_line", line)
        writer.close(True, "")
        with Trace(str(tmp_path / "x.trace")) as trace:
            assert diagnosing.diagnose(trace, [rule])[0]["try"] == advice


def test_little_seen_is_said(program: Program, tmp_path: Path) -> None:
    writer = TraceWriter(str(tmp_path / "little.trace"))
    writer.event(run_ns=0, cpu=0, what="frequency.detected", rule="tsc-detected", clock="tsc", function="f", values=[])
    writer.close(True, "")
    said = program("diagnose", tmp_path / "little.trace").stdout
    assert "Too little was seen to say that nothing is wrong: no clock was seen chosen" in said
    assert "Nothing wrong found" not in said


def test_several_files_and_json(program: Program) -> None:
    paths = [TRACES / "linux-healthy.trace", TRACES / "freebsd-dummy.trace"]
    run = program("diagnose", "--format", "json", *paths)
    content = json.loads(run.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    assert run.returncode == 1 and run.stdout.isascii()
    assert [bool(file["findings"]) for file in content["files"]] == [False, True]


def test_text(program: Program) -> None:
    run = program("diagnose", TRACES / "freebsd-dummy.trace")
    assert re.search(r"^  1\. The kernel says that the calibration of lapic failed", run.stdout, re.MULTILINE)
    assert "The message blames the wrong clock." in run.stdout
    assert "no event  watched, and did not happen: clock registered, in tc_init" in run.stdout
    assert run.returncode == 1


def test_troubles_are_one_line(program: Program, tmp_path: Path) -> None:
    mistakes: list[list[str | Path]] = [["none.trace"], [ROOT / "LICENSE"]]
    mistakes.append(["--rules", "none.toml", TRACES / "linux-healthy.trace"])
    for arguments in mistakes:
        run = program("diagnose", *arguments, cwd=tmp_path)
        assert run.returncode == 2 and run.stderr.count("\n") == 1 and not run.stdout


def test_incomplete_is_said(program: Program, tmp_path: Path) -> None:
    TraceWriter(str(tmp_path / "cut.trace")).close(False, "killed")
    run = program("diagnose", tmp_path / "cut.trace")
    assert "did not end in order" in run.stdout and "0 events" in run.stdout and run.returncode == 0


def test_hostile_texts_do_not_reach_the_terminal(program: Program, tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\n\r\t\x07 {rule} {reason}"
    path = tmp_path / "evil.trace"
    writer = TraceWriter(str(path))
    writer.meta("guest.os", "linux")
    writer.event(run_ns=0, cpu=0, what="clock.unstable", rule="tsc-unstable", clock=evil, function=evil,
                 values=[("reason", evil)])  # fmt: skip
    writer.close(True, "")
    run = program("diagnose", path)
    assert run.returncode == 1 and not set(run.stdout) & set("\x1b\x9b\r\t\x07")


OWN = """
symptom = "{clock} is there."
cause = "Somebody registered it."
query = "SELECT seq, run_ns, place, said, clock FROM observed WHERE rule = 'clock-registered' AND clock = 'hpet'"
"""


def test_own_rules(program: Program, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    run = program("diagnose", "--rules", tmp_path, TRACES / "linux-healthy.trace")
    assert "1. hpet is there." in run.stdout and "evidence (mine):" in run.stdout and run.returncode == 1


@pytest.mark.parametrize(
    "change, said",
    [
        (("query = ", "query = 5 #"), r"mine\.toml: query: 5 is not of type 'string'; expected: a SELECT"),
        (("cause", "because"), r"mine\.toml: .*'cause' is a required property|because"),
        (("SELECT seq,", "DELETE seq,"), r"mine\.toml: query: .* does not match"),
        (("FROM observed", "FROM nothing"), r"mine\.toml: a query is wrong: .*nothing"),
        (("seq, run_ns", "seq"), r"mine\.toml: a query yields no column run_ns"),
        (('cause = "', "cause = "), r"mine\.toml: not valid TOML"),
        (("'hpet'\"", "'hpet'; DROP TABLE event\""), r"mine\.toml: a query is wrong"),
    ],
)
def test_wrong_rules(change: tuple[str, str], said: str) -> None:
    with Trace(str(TRACES / "linux-healthy.trace")) as trace:
        with pytest.raises(UserError, match=said) as failure:
            diagnosing.diagnose(trace, [diagnosing.parse(OWN.replace(*change), "mine.toml")])
        assert "\n" not in str(failure.value)


def test_rules_of_another_system_are_not_tried(tmp_path: Path) -> None:
    rule = diagnosing.parse(OWN + 'systems = ["netbsd"]\n', "mine.toml")
    with Trace(str(TRACES / "linux-healthy.trace")) as trace:
        assert diagnosing.diagnose(trace, [rule]) == []


def test_in_gdb(gdb: Callable[..., Transcript], program: Program) -> None:
    transcript = gdb([f"clock diagnose {TRACES}/freebsd-dummy.trace"])
    assert program("diagnose", TRACES / "freebsd-dummy.trace").stdout in transcript.text
