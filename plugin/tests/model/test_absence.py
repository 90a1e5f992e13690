# SPDX-License-Identifier: MIT
"""What was not seen: whether it did not happen or is not known, in every reader; where functions were inlined."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT
from model import model
from sample_trace import EVENTS, MS

from clockscope._core import TraceWriter, Xref
from clockscope.kernel import event_sites
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile

Program = Callable[..., Any]
_SCHEMAS = {
    verb: json.loads((ROOT / f"schemas/{verb}.schema.json").read_text()) for verb in ("timeline", "diagnose", "diff")
}

# rule, status, what is kept of it, its state in a boot that was seen whole, what is said of it
_WATCH: dict[str, Any] = {"from_ns": 10 * MS, "to_ns": 2000 * MS, "reached": 0, "matched": 0, "unfinished": 0}
CASES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("away", "planted", _WATCH, "did not happen", "watched from 10.000 ms to 2000.000 ms"),
    ("unmet", "planted", {**_WATCH, "reached": 2}, "condition never met", "reached 2 times, watched from 10.000"),
    ("open", "planted", {**_WATCH, "reached": 1, "unfinished": 1}, "did not return", "called once, 1 under way at the end"),
    ("copied", "inlined", {**_WATCH, "reached": 1, "within": "cpu_attach"}, "inlined", "inlined into cpu_attach, where it ran once"),
    ("gone", "missing", {"note": "this kernel has no gone"}, "not in this kernel", "this kernel has no gone"),
    ("full", "refused", {"note": "no slot is left"}, "refused", "no slot is left"),
]  # fmt: skip


def make(path: Path, *, complete: bool = True, late: bool = False) -> Path:
    writer = TraceWriter(str(path))
    writer.meta("guest.os", "netbsd")
    if late:
        writer.meta("plan.began", "late")
    writer.expect(
        "clock-registered", "clock.registered", "tc_init", "planted", from_ns=1, to_ns=9, reached=2, matched=2
    )
    for rule, status, kept, _, _ in CASES:
        writer.expect(rule, "frequency.detected", f"{rule}:return", status, **kept)
        writer.expect(f"{rule}-optional", "clock.rejected", rule, status, optional=True, **kept)
    for event in EVENTS:
        writer.event(**event)
    writer.close(complete, "reached the end" if complete else "GDB was left")
    return path


def ask(program: Program, verb: str, *arguments: object, status: int = 0) -> Any:
    result = program(verb, *arguments, "--format", "json")
    assert (result.returncode, result.stderr) == (status, "")
    answer = json.loads(result.stdout)
    jsonschema.Draft202012Validator(_SCHEMAS[verb]).validate(answer)
    return answer


@pytest.mark.parametrize(
    ("complete", "late", "away"),
    [
        (True, False, "did not happen"),
        (False, False, "ended early"),
        (True, True, "begun late"),
        (False, True, "begun late"),
    ],
)
def test_each_state(complete: bool, late: bool, away: str, program: Program, tmp_path: Path) -> None:
    path = make(tmp_path / "a.trace", complete=complete, late=late)
    content = ask(program, "timeline", path)
    states = {item["rule"]: item["state"] for item in content["coverage"]}
    wanted = {rule: away if rule == "away" else state for rule, _, _, state, _ in CASES}
    assert states == {
        "clock-registered": "happened", **wanted, **{f"{rule}-optional": state for rule, state in wanted.items()}
    }  # fmt: skip
    assert [item["rule"] for item in content["never_reached"]] == [rule for rule, *_ in CASES]
    text = program("timeline", path).stdout
    for rule, _, _, _, said in CASES:
        assert re.search(rf"^  {rule} +frequency detected +{rule}:return +.*{re.escape(said)}", text, re.M), text
    assert ("Did not happen" in text) == (away == "did not happen") and "never seen" not in text
    assert ("the recording began late" in text) == late


def test_the_page_and_the_diagnosis(program: Program, tmp_path: Path) -> None:
    path = make(tmp_path / "a.trace")
    assert program("report", path, "-o", tmp_path / "a.html").returncode == 0
    page = (tmp_path / "a.html").read_text()
    for heading in ("Did not happen", "Reached, condition never met", "Not known: inlined", "Not in this kernel"):
        assert f"{heading}</h3>" in page
    (examined,) = ask(program, "diagnose", path)["files"]
    assert [(one["rule"], one["why"]) for one in examined["unknown"]] == [
        ("open", "did not return"), ("copied", "inlined into cpu_attach"), ("full", "refused"),
    ]  # fmt: skip
    assert "copied: inlined into cpu_attach" in program("diagnose", path).stdout


def test_an_event_that_the_other_could_not_see(program: Program, tmp_path: Path) -> None:
    a, b = make(tmp_path / "a.trace"), make(tmp_path / "b.trace")
    c = tmp_path / "c.trace"
    writer = TraceWriter(str(c))
    for rule, status, kept, _, _ in CASES:
        writer.expect(rule, "frequency.detected", f"{rule}:return", status, **kept)
        writer.event(run_ns=5 * MS, cpu=0, what="frequency.detected", rule=rule, clock=rule)
    writer.close(True, "")
    assert ask(program, "diff", a, b)["same"]
    only = {event["rule"]: event["unknown"] for event in ask(program, "diff", c, a, status=1)["events"]["only_a"]}
    assert only["away"] == only["unmet"] == only["gone"] == ""
    assert (
        only["copied"] == "inlined into cpu_attach" and only["full"] == "refused" and only["open"] == "did not return"
    )
    assert "only in A; not known in B: inlined into cpu_attach" in program("diff", c, a).stdout


def test_where_functions_were_inlined() -> None:
    """As objdump shows them: the model's lapic_gettick is in its callers, and in no place of its own."""
    xref = Xref(str(model().vmlinux))
    found = xref.inlined(("lapic_gettick", "tc_init", "no_such_function"))
    assert {copy["function"] for copy in found} == {"lapic_gettick"}
    assert {copy["within"] for copy in found} >= {"lapic_calibrate_timer", "lapic_delay"}
    elf = ElfFile(str(model().vmlinux))
    for copy in found:
        assert elf.function_at(int(copy["address"], 16)).split(".")[0] == copy["within"]
        assert re.fullmatch(r"examples/model/netbsd/lapic\.c:\d+", copy["source"])
    with pytest.raises(TypeError):
        xref.inlined(("a", 1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "values", "status"),
    [
        ("lapic_gettick", "", "planted"),
        ("lapic_gettick:return", "", "inlined"),
        ("lapic_gettick", "a = '$rdi'", "inlined"),
    ],
)
def test_a_rule_of_an_inlined_function(function: str, values: str, status: str, tmp_path: Path) -> None:
    """Its entry is an event; what it is given in registers, and what it returns, a copy does not tell."""
    text = (ROOT / "plugin/clockscope/profiles/netbsd.toml").read_text()
    text += f"\n[[event]]\nrule = 'mine'\nwhat = 'x-mine'\nfunction = '{function}'\nexpected = true\n[event.values]\n{values}\n"
    (tmp_path / "mine.toml").write_text(text)
    kernel = str(model().vmlinux)

    def copies(names: tuple[str, ...]) -> list[event_sites.Copy]:
        found = Xref(kernel).inlined(names)
        return [event_sites.Copy(one["function"], one["within"], int(one["address"], 16)) for one in found]

    plan = event_sites.make_plan(profile.load(str(tmp_path / "mine.toml")), ElfFile(kernel), lambda *_: [], copies)
    (mine,) = (one for one in plan.expectations if one.rule == "mine")
    assert mine.status == status and "lapic_calibrate_timer" in mine.within
    assert len(plan.places_of("mine")) > 1
    assert any(rule.rule == "mine" for rules in plan.copies.values() for rule in rules) == (status == "inlined")
