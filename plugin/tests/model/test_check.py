# SPDX-License-Identifier: MIT
"""`check`: a boot held to a baseline and a policy, as text, JSON and JUnit XML."""

import json
import re
import shutil
import subprocess
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT

from clockscope._core import Trace, TraceWriter
from clockscope.base import toml_file
from clockscope.base.errors import UserError
from clockscope.commands import check as verb
from clockscope.model import checking, diagnosing, policy
from clockscope.model.source_text import Source

Program = Callable[..., "subprocess.CompletedProcess[str]"]
Record = dict[str, Any]

TRACES = ROOT / "traces"
HEALTHY, FAILING = TRACES / "linux-healthy.trace", TRACES / "linux-samples-rejected.trace"
SCHEMA = json.loads((ROOT / "schemas" / "check.schema.json").read_text())
RULES = diagnosing.load()


def checked(trace: Path, baseline: Path, held: policy.Policy = policy.Policy()) -> Record:
    with Trace(str(trace)) as here, Trace(str(baseline)) as there:
        sides = [checking.side(str(name), one, RULES, Source(one)) for name, one in ((trace, here), (baseline, there))]
        result = checking.check(sides[0], sides[1], held)
    jsonschema.validate(result, SCHEMA)
    return result


def of(result: Record, *verdicts: str) -> dict[str, str]:
    """What is said of each check that came to one of these."""
    return {f"{one['kind']} {one['name']}": one["said"] for one in result["checks"] if one["verdict"] in verdicts}


def write_policy(folder: Path, text: str) -> policy.Policy:
    path = folder / "policy.toml"
    path.write_text(text)
    return policy.load(str(path), [rule.name for rule in RULES])


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.trace")), ids=str)
def test_a_trace_keeps_to_itself(path: Path) -> None:
    """Where nothing is changed, nothing is broken; unknown is what that recording cannot vouch for."""
    result = checked(path, path)
    assert not of(result, "broken")
    assert all(name.startswith(("recording", "frequency", "current", "clock")) for name in of(result, "unknown"))


def test_what_is_broken() -> None:
    result = checked(FAILING, HEALTHY)
    assert result["verdict"] == "broken"
    assert list(of(result, "broken")) == [
        "clock tsc", "current tsc", "finding tsc-samples-rejected",
    ]  # fmt: skip
    assert of(result, "broken")["clock tsc"] == "never registered"
    assert not of(result, "unknown")


@pytest.mark.parametrize(
    "text,kind,verdict",
    [
        ("[tolerance]\nppm = 2000000", "", ""),
        ("[tolerance]\nclocks = { nosuch = 5 }", "frequency nosuch", "unknown"),
        ('[clocks]\nmust = ["hpet"]', "clock hpet", "kept"),
        ('[clocks]\nmust = ["kvm-clock"]', "clock kvm-clock", "broken"),
        ('[clocks]\ncurrent = ["tsc", "tsc-early"]', "current tsc or tsc-early", "kept"),
        ('[clocks]\ncurrent = ["acpi_pm"]', "current acpi_pm", "broken"),
        ('[devices]\nmust = ["lapic"]', "device lapic", "kept"),
        ('[devices]\nmust = ["acpi_pm"]', "device acpi_pm", "broken"),
        ('[findings]\nmay = ["tsc-samples-rejected"]', "finding tsc-samples-rejected", "kept"),
        ("[findings]\nmay = []", "finding tsc-samples-rejected", "broken"),
        ('[functions]\nagree = ["tsc_init"]', "function tsc_init", "kept"),
        ('[functions]\nagree = ["tsc_*"]', "function tsc_read_refs", "broken"),
        ('[functions]\nagree = ["acme_*"]', "function acme_*", "unknown"),
    ],
)
def test_a_policy(tmp_path: Path, text: str, kind: str, verdict: str) -> None:
    if not kind:
        with pytest.raises(UserError, match="tolerance.ppm"):
            write_policy(tmp_path, text)
        return
    result = checked(FAILING, HEALTHY, write_policy(tmp_path, text))
    assert kind in of(result, verdict), result["checks"]


def test_no_clock_need_be_and_any_may_be_in_use(tmp_path: Path) -> None:
    held = write_policy(tmp_path, "[clocks]\nmust = []\ncurrent = []\n[devices]\nmust = []\n")
    kinds = {one["kind"] for one in checked(FAILING, HEALTHY, held)["checks"]}
    assert kinds == {"recording", "frequency", "finding"}


def test_the_first_differing_decision_is_named(tmp_path: Path) -> None:
    held = write_policy(tmp_path, '[functions]\nagree = ["tsc_read_refs"]\n')
    said = of(checked(FAILING, HEALTHY, held), "broken")["function tsc_read_refs"]
    assert said == "arch/x86/kernel/tsc.c:330: the jump is not taken; in the baseline the jump is taken"


def test_how_often_it_is_called(tmp_path: Path) -> None:
    """Nothing is decided otherwise; the one is called more often."""
    fewer = tmp_path / "fewer.trace"
    shutil.copy(HEALTHY, fewer)
    subprocess.run(
        ["sqlite3", fewer, "PRAGMA foreign_keys = ON; DELETE FROM invocation WHERE id = (SELECT max(i.id) FROM"
         " invocation i JOIN function f ON f.id = i.function WHERE f.name = '__clocksource_select')"],
        check=True,
    )  # fmt: skip
    text = '[functions]\nagree = ["__clocksource_select"]\n'
    said = of(checked(fewer, HEALTHY, write_policy(tmp_path, text)), "broken")
    assert re.fullmatch(r"called \d+ times; in the baseline \d+ times", said["function __clocksource_select"])
    assert not of(checked(fewer, HEALTHY, write_policy(tmp_path, text + 'calls = "any"\n')), "broken")


# ---------------------------------------------------------------- what is not known


def made(path: Path, hertz: int, complete: bool = True, meta: dict[str, str] = {}, **values: int | str) -> Path:
    """A boot of one clock, calibrated and registered."""
    writer = TraceWriter(str(path))
    for key, value in {"guest.os": "linux", "guest.release": "6.1.0", "stub.mode": "live", **meta}.items():
        writer.meta(key, value)
    writer.expect("clock-registered", "clock.registered", "clocksource_register", "planted")
    common: Record = dict(cpu=0, function="f", file="f.c", line=1, clock="tsc")
    writer.event(
        run_ns=1,
        what="calibration.finished",
        rule="refined",
        values=[("frequency_hz", hertz), *values.items()],
        **common,
    )
    if hertz:
        writer.event(run_ns=2, what="clock.registered", rule="clock-registered", **common,
                     values=[("name", "tsc"), ("rating", 300), ("frequency_hz", hertz)])  # fmt: skip
        writer.event(run_ns=3, what="clock.selected", rule="clock-selected", **common)
    writer.close(complete, "the guest ended" if complete else "killed")
    return path


GHZ = 1_000_000_000


def test_a_frequency_at_the_limit(tmp_path: Path) -> None:
    baseline = made(tmp_path / "a.trace", GHZ)
    assert not of(checked(made(tmp_path / "b.trace", GHZ + 1_000_000), baseline), "broken")
    said = of(checked(made(tmp_path / "c.trace", GHZ + 1_000_001), baseline), "broken")
    assert said == {"frequency tsc": "1001000001 Hz, +1000.0 ppm of 1000000000 Hz; up to 1000 are allowed"}


@pytest.mark.parametrize(
    "text,verdict",
    [("clocks = { tsc = 10 }", "broken"), ("ppm = 10", "broken"), ("ppm = 10\nclocks = { tsc = 200 }", "kept")],
)
def test_a_tolerance_of_a_clocks_own(tmp_path: Path, text: str, verdict: str) -> None:
    pair = made(tmp_path / "b.trace", GHZ + 100_000), made(tmp_path / "a.trace", GHZ)
    assert checked(*pair, write_policy(tmp_path, f"[tolerance]\n{text}\n"))["verdict"] == verdict


@pytest.mark.parametrize("bound,verdict", [(5000, "unknown"), (10, "broken")])
def test_what_the_recording_may_have_moved(tmp_path: Path, bound: int, verdict: str) -> None:
    baseline = made(tmp_path / "a.trace", GHZ)
    disturbed = made(tmp_path / "b.trace", GHZ + 4_000_000, disturbed="yes", error_bound_ppm=bound, stood_ns=1000)
    assert checked(disturbed, baseline)["verdict"] == verdict


@pytest.mark.parametrize(
    "complete,meta,said",
    [
        (False, {}, "the recording ended before the boot did"),
        (True, {"plan.ended": "early"}, "the recording ended before the boot did"),
        (True, {"stub.mode": "log"}, "a log need not tell"),
        (True, {"plan.began": "late"}, "the recording began late"),
    ],
)
def test_a_clock_that_may_have_come(tmp_path: Path, complete: bool, meta: dict[str, str], said: str) -> None:
    """Where nobody looked to the end, it is not known to be missing."""
    result = checked(made(tmp_path / "b.trace", 0, complete, meta), made(tmp_path / "a.trace", GHZ))
    assert result["verdict"] == "unknown" and not of(result, "broken")
    assert said in of(result, "unknown")["clock tsc"]


def test_a_clock_that_did_not_come(tmp_path: Path) -> None:
    result = checked(made(tmp_path / "b.trace", 0), made(tmp_path / "a.trace", GHZ))
    assert of(result, "broken")["clock tsc"] == "never registered"


def test_a_changed_guest_vouches_for_nothing(tmp_path: Path) -> None:
    changed = tmp_path / "changed.trace"
    shutil.copy(HEALTHY, changed)
    row = "INSERT INTO intervention VALUES (0, 'set', 'tsc_khz=1', 'f', 'f.c', 1, 0)"
    subprocess.run(["sqlite3", changed, row], check=True)
    assert of(checked(changed, HEALTHY), "unknown") == {"recording trace": "it was changed: --set tsc_khz=1"}


# ---------------------------------------------------------------- the policy file


@pytest.mark.parametrize(
    "text,said",
    [
        ("[tolerence]", "tolerence is not known here; did you mean tolerance?"),
        ("[clocks]\nmusst = []", "clocks: musst is not known here; did you mean must?"),
        ('[clocks]\nmust = "tsc"', "clocks.must: 'tsc' is not of type 'array'; expected: a list of names"),
        ("[clocks]\nmust = [1]", "clocks.must.1: 1 is not of type 'string'; expected: a clock's name"),
        ("[tolerance]\nppm = -1", "tolerance.ppm: -1 is less than the minimum of 0; expected: parts per million"),
        ("[tolerance]\nclocks = { tsc = true }", "tolerance.clocks.tsc: True is not of type 'number'"),
        ('[functions]\ncalls = "some"', "functions.calls: 'some' is not one of"),
        (
            '[findings]\nmay = ["tsc-sample-rejected"]',
            "no diagnosis tsc-sample-rejected; did you mean tsc-samples-rejected?",
        ),
        ("tolerance = 3", "tolerance: 3 is not of type 'object'; expected: a table"),
        ("[clocks", "not valid TOML"),
        ('"\\u001b[31m" = 1', "\\x1b[31m is not known here; known are clocks, devices"),
        ("a = " + "[" * 100_000, "not valid TOML"),
        ("a = '" + "x" * (1 << 20) + "'", "is larger than 1 MB"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        write_policy(tmp_path, text)
    assert said in str(error.value) and str(error.value).isprintable() and len(str(error.value)) < 600


def test_what_is_no_file(program: Program, tmp_path: Path) -> None:
    for policy_file in (tmp_path, tmp_path / "missing", Path("/dev/null/x")):
        done = program("check", HEALTHY, "--against", HEALTHY, "--policy", policy_file)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "cannot be read" in done.stderr


def test_the_policies_that_are_shown_are_policies(tmp_path: Path) -> None:
    write_policy(tmp_path, (ROOT / "examples" / "ci" / "policy.toml").read_text())
    uncommented = re.sub(
        "^# (?=[a-z\\[].*[\\]=])", "", (ROOT / "examples" / "ci" / "policy.toml").read_text(), flags=re.M
    )
    assert write_policy(tmp_path, uncommented).clocks == ("tsc", "hpet")
    shown = verb.NOTES.partition("TOML file:\n")[2].partition("\nExit")[0]
    held = write_policy(tmp_path, textwrap.dedent(shown))
    assert held.ppm_of == {"tsc": 200} and held.names_function("tsc_init") and not held.counts_calls


def test_every_key_is_described() -> None:
    """A mistake says what is expected there."""

    def walk(schema: Record, where: str) -> None:
        assert where == "" or "description" in schema, where
        for name, one in schema.get("properties", {}).items():
            walk(one, f"{where}.{name}")
        if "items" in schema:
            walk(schema["items"], f"{where}[]")

    schema = json.loads((ROOT / "schemas" / "policy.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    walk(schema, "")
    assert toml_file.read(str(ROOT / "examples" / "ci" / "policy.toml"), "policy.schema.json")


# ---------------------------------------------------------------- what is printed


def test_the_three_forms_agree(program: Program, tmp_path: Path) -> None:
    arguments = ["check", FAILING, "--against", HEALTHY]
    found = json.loads(program(*arguments, "--format", "json").stdout)
    text = program(*arguments)
    report = tmp_path / "report.xml"
    done = program(*arguments, "--format", "junit", "--junit", report)
    assert text.returncode == done.returncode == 1
    assert done.stdout == report.read_text()
    suite = next(ElementTree.fromstring(done.stdout).iter("testsuite"))
    counts = found["counts"]
    assert [int(suite.attrib[key]) for key in ("tests", "failures", "errors")] == [
        sum(counts.values()), counts["broken"], counts["unknown"],
    ]  # fmt: skip
    failures = {case.attrib["name"]: case[0].attrib["message"] for case in suite.iter("testcase") if len(case)}
    assert failures == of(found, "broken")
    assert text.stdout.count("BROKEN") == counts["broken"]
    assert text.stdout.endswith("18 checks: 15 kept, 3 broken, 0 not known\n")


def test_eighty_columns(program: Program) -> None:
    done = program("check", FAILING, "--against", HEALTHY, env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"})
    lines = done.stdout.splitlines()[1:]
    assert max(map(len, lines)) <= 80 and not any(line.endswith(" ") for line in lines)


def test_hostile_names_are_text(program: Program, tmp_path: Path) -> None:
    """Neither the terminal nor an XML reader is steered by a guest; XML has no characters for some."""
    name = "\x1b[31m<&]]>\"'\x01\ufffe\uffff\ud800\n"
    path = tmp_path / "hostile.trace"
    writer = TraceWriter(str(path))
    writer.event(run_ns=1, cpu=0, what="clock.registered", rule="r", clock=name.encode("utf-8", "replace").decode(),
                 values=[("name", name.encode("utf-8", "replace").decode())])  # fmt: skip
    writer.close(True, "")
    for form in ("text", "json", "junit"):
        done = program("check", HEALTHY, "--against", path, "--format", form)
        assert done.returncode == 1 and "\x1b" not in done.stdout
    names = [case.attrib["name"] for case in ElementTree.fromstring(done.stdout).iter("testcase")]
    assert "clock \\x1b[31m<&]]>\"'\\x01\\ufffe\\uffff?\\n" in names


def test_the_report_replaces_nothing_unasked(program: Program, tmp_path: Path) -> None:
    mine, policy_file = tmp_path / "mine.trace", tmp_path / "policy.toml"
    shutil.copy(HEALTHY, mine)
    policy_file.write_text("")
    before = mine.read_bytes()
    for target in (mine, policy_file):
        done = program("check", mine, "--against", mine, "--policy", policy_file, "--junit", target, "--overwrite")
        assert done.returncode == 2 and "is what is checked" in done.stderr
    report = tmp_path / "report.xml"
    report.write_text("of yesterday")
    done = program("check", mine, "--against", HEALTHY, "--junit", report)
    assert done.returncode == 2 and "exists already" in done.stderr and report.read_text() == "of yesterday"
    assert program("check", mine, "--against", HEALTHY, "--junit", report, "--overwrite").returncode == 0
    assert report.read_text().startswith("<?xml") and mine.read_bytes() == before


def test_a_damaged_trace_is_trouble(program: Program, tmp_path: Path) -> None:
    short = tmp_path / "short.trace"
    short.write_bytes(HEALTHY.read_bytes()[:50_000])
    done = program("check", short, "--against", HEALTHY)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
