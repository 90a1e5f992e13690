# SPDX-License-Identifier: MIT
"""Two traces compared: small ones made by hand, and those of real boots in traces/."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gdbrun import Transcript
from guest import ROOT, machine, parse_messages
from model import model
from recorded import cached_record
from sample_trace import EVENTS, MS, write_sample

from clockscope.model import comparison
from clockscope._core import NotFoundError, Trace, TraceWriter, diff_function

Record = dict[str, Any]
Program = Callable[..., subprocess.CompletedProcess[str]]

TRACES = ROOT / "traces"
SCHEMA = json.loads((ROOT / "schemas/diff.schema.json").read_text())


def compare(a: Path, b: Path, ppm: float = comparison.DEFAULT_PPM) -> Record:
    """The comparison, held against its schema as the JSON that a program would get."""
    with Trace(str(a)) as one, Trace(str(b)) as other:
        result = comparison.compare(one, other, ppm)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(result)))
    return result


def write(path: Path, *events: Record, **meta: str) -> Path:
    writer = TraceWriter(str(path))
    for key, value in meta.items():
        writer.meta(f"guest.{key}", value)
    for number, event in enumerate(events):
        writer.event(**{"run_ns": number * MS, "cpu": 0, "rule": event["what"], **event})
    writer.close(True, "done")
    return path


def registered(name: str, **values: int | str) -> Record:
    return {"what": "clock.registered", "clock": name, "values": [("name", name), *values.items()]}


def selected(name: str) -> Record:
    return {"what": "clock.selected", "clock": name}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    write_sample(tmp_path / "sample.trace")
    return tmp_path / "sample.trace"


# ---------------------------------------------------------------- made by hand


def test_schema_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_same_file(sample: Path) -> None:
    result = compare(sample, sample)
    assert result["same"] and result["first_divergence"] is None


def test_frequencies_within_a_tolerance(tmp_path: Path) -> None:
    a = write(tmp_path / "a", registered("tsc", frequency_hz=2_000_000_000, max_idle_ns=1000), selected("tsc"))
    b = write(tmp_path / "b", registered("tsc", frequency_hz=2_000_200_000, max_idle_ns=1001), selected("tsc"))
    assert compare(a, b)["same"]
    result = compare(a, b, ppm=50)
    assert result["clocks"]["differ"] == [
        {"name": "tsc", "kind": "clocksource", "what": "frequency_hz", "a": 2_000_000_000, "b": 2_000_200_000}
    ]
    assert [item["name"] for item in result["events"]["differ"][0]["values"]] == ["frequency_hz", "max_idle_ns"]


def test_frequency_as_the_kernel_prints_it(tmp_path: Path) -> None:
    event = {"what": "frequency.detected", "clock": "tsc"}
    a = write(tmp_path / "a", {**event, "values": [("mhz", "2903.998"), ("message", "tsc: 2903.998 MHz")]})
    b = write(tmp_path / "b", {**event, "values": [("mhz", "2904.001"), ("message", "tsc: 2904.001 MHz")]})
    assert compare(a, b)["same"]
    assert not compare(a, b, ppm=0.5)["same"]


def test_rating_has_no_tolerance(tmp_path: Path) -> None:
    a = write(tmp_path / "a", registered("tsc", rating=300))
    b = write(tmp_path / "b", registered("tsc", rating=299))
    assert compare(a, b, ppm=1e6)["clocks"]["differ"][0]["what"] == "rating"


def test_what_cannot_be_read_is_no_difference(tmp_path: Path) -> None:
    """Neither a value that one trace could not read, nor one that only the other kernel tells."""
    event = {"what": "clock.registered", "clock": "hpet"}
    a = write(tmp_path / "a", {**event, "values": [("name", "hpet"), ("rating", 250), ("flags", 1), ("mask", 7)]})
    b = write(tmp_path / "b", {**event, "values": [("name", "hpet"), ("rating", None), ("flags", 1)]})
    assert compare(a, b)["same"] and compare(b, a)["same"]
    c = write(tmp_path / "c", {**event, "values": [("name", "hpet"), ("rating", None), ("flags", 3)]})
    assert [item["name"] for item in compare(a, c)["events"]["differ"][0]["values"]] == ["flags"]


def test_what_follows_from_one_cause_is_one_row(tmp_path: Path, program: Program) -> None:
    """Events that follow one another, values that differ by one factor, and what only came in another order."""
    hz = [("frequency_hz", 1_000_000_000), ("period_ns", 400)]
    slow = [("frequency_hz", 2_000_000_000), ("period_ns", 200)]
    begin, again = {"what": "frequency.detected", "clock": "tsc"}, registered("hpet")
    chain = [registered("tsc"), selected("tsc"), {"what": "clock.unregistered", "clock": "tsc-early"}]
    early = {"what": "clock.registered", "clock": "tsc-early"}
    others = [registered("x"), registered("y"), registered("z")]
    a = write(tmp_path / "a", *others, {**begin, "values": hz[:1]}, {**early, "values": hz}, again, *chain)
    b = write(tmp_path / "b", *others[1:], others[0], {**begin, "values": slow[:1]}, {**early, "values": slow}, again)
    text = program("diff", a, b).stdout
    events = text.split("Events\n")[1].split("\n\n")[0].splitlines()[1:]
    assert len(events) == 3, text
    assert "in another order" in events[0] and " x " in events[0]
    assert "(and so clock registered tsc-early)" in events[1]
    assert "only in A, and what followed: clock selected, clock unregistered tsc-early" in events[2]
    assert "B lacks tsc (clocksource), which A has: no decision that was traced tells why." in text


def test_the_sentence_names_what_is_lost_and_by_what(program: Program) -> None:
    found = compare(TRACES / "linux-healthy.trace", TRACES / "linux-samples-rejected.trace")["conclusion"]
    assert found["side"] == "b" and found["lacking"] == [{"name": "tsc", "kind": "clocksource"}]
    assert found["decision"]["function"] == "tsc_refine_calibration_work"
    assert found["decision"]["source"].endswith("tsc.c:1348")
    assert found["first"]["function"] == "tsc_read_refs"
    # The other way round it is A that lacks it.
    other = compare(TRACES / "linux-samples-rejected.trace", TRACES / "linux-healthy.trace")["conclusion"]
    assert other["side"] == "a" and other["lacking"] == found["lacking"]
    # That the refinement asks the HPET is a consequence, not why it is missing.
    hpet = compare(TRACES / "linux-healthy.trace", TRACES / "linux-no-hpet.trace")["conclusion"]
    assert hpet["lacking"][0]["name"] == "hpet" and hpet["decision"] is None and hpet["first"] is not None


def test_clocks_of_one_side(tmp_path: Path) -> None:
    """A frequency alone makes no clock: that is the picture of one that never registers."""
    detected = {"what": "frequency.detected", "clock": "tsc", "values": [("frequency_khz", 3_000_000)]}
    a = write(tmp_path / "a", detected, registered("hpet"), registered("tsc"), selected("tsc"))
    b = write(tmp_path / "b", detected, registered("hpet"), selected("hpet"))
    result = compare(a, b)
    assert [clock["name"] for clock in result["clocks"]["only_a"]] == ["tsc"]
    assert result["clocks"]["only_a"][0]["current"] and not result["clocks"]["only_b"]
    assert {item["what"] for item in result["clocks"]["differ"]} == {"selected", "current"}


def test_events_are_aligned_in_order(tmp_path: Path) -> None:
    names = [registered(name) for name in "abcde"]
    a = write(tmp_path / "a", *names)
    b = write(tmp_path / "b", names[0], names[2], names[1], *names[3:], registered("f"))
    result = compare(a, b)["events"]
    assert [event["clock"] for event in result["only_a"]] in (["b"], ["c"])
    assert [event["clock"] for event in result["only_b"]] == [result["only_a"][0]["clock"], "f"]
    assert not result["differ"]


def test_many_events_take_no_time(tmp_path: Path) -> None:
    """Thousands that repeat are difflib's worst case; what is alike at both ends is still found."""
    many = [registered(f"clock{number % 3}") for number in range(5000)]
    a = write(tmp_path / "a", registered("first"), *many, registered("last"))
    b = write(tmp_path / "b", registered("first"), *reversed(many), registered("last"))
    result = compare(a, b)["events"]
    assert len(result["only_a"]) == len(result["only_b"]) > 4000
    assert "first" not in {event["clock"] for event in result["only_a"]}


def test_what_the_guests_are_told(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, edx, tsc_adjust in zip(paths, (0, 0x100), (0, 5)):
        writer = TraceWriter(str(path))
        writer.meta("guest.command_line", f"console=ttyS0 x={edx}")
        writer.meta("guest.elf", str(path))
        writer.meta("stub.address", str(path))
        writer.cpuid("begin", 0x80000007, 0, (0, 0, 0, edx))
        writer.cpuid("begin", 1, 0, (1, 2, 3 + edx, 4))
        writer.msr("begin", 0x3B, tsc_adjust)
        writer.msr("begin", 0x6E0, edx)
        writer.close(True, "")
    result = {item["what"]: (item["a"], item["b"]) for item in compare(paths[0], paths[1])["guest"]}
    assert result == {
        "command line": ("console=ttyS0 x=0", "console=ttyS0 x=256"),
        "CPUID 0x80000007 EDX[8] invariant TSC": ("no", "yes"),
        "CPUID 0x1": ("00000001 00000002 00000003 00000004", "00000001 00000002 00000103 00000004"),
        "MSR 0x3b IA32_TSC_ADJUST": ("0x0", "0x5"),
    }


def test_functions_reached_by_one_only(tmp_path: Path) -> None:
    """Only where both looked."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, hits in zip(paths, (1, 0)):
        writer = TraceWriter(str(path))
        for address, name in enumerate(("f", "g", f"only_{path.name}")):
            writer.counter(function=name, address=address, hits=hits if name != "g" else 1 - hits, first_run_ns=None,
                           first_cpu=None, first_icount=None)  # fmt: skip
        writer.close(True, "")
    functions = compare(paths[0], paths[1])["functions"]
    assert (functions["only_a"], functions["only_b"]) == (["f"], ["g"])


def test_exit_statuses(program: Program, sample: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", registered("tsc"))
    assert program("diff", sample, sample).returncode == 0
    assert program("diff", sample, other).returncode == 1
    assert program("diff", sample, tmp_path / "none").returncode == 2
    run = program("diff", sample, ROOT / "LICENSE")
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "LICENSE" in run.stderr
    run = program("diff", "--ppm", "many", sample, sample)
    assert run.returncode == 2 and "a number from 0 to 1000000 is expected" in run.stderr


def test_damage_is_trouble(program: Program, sample: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    content = sample.read_bytes()
    page = content.index(b"clocksource watchdog") // 4096 * 4096
    damaged.write_bytes(content[:page] + b"\x7f" * 64 + content[page + 64 :])
    run = program("diff", sample, damaged)
    assert run.returncode == 2 and "B is DAMAGED: " in run.stdout


def test_incomplete_is_said(program: Program, sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "cut", end=(False, "killed"))
    run = program("diff", sample, tmp_path / "cut")
    assert "B is incomplete" in run.stdout and run.returncode == 0


def test_hostile_texts_do_not_reach_the_terminal(program: Program, tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\n\r\t\x07\x85"
    a = write(tmp_path / "a", registered(evil, rating=1), selected(evil), banner=evil)
    b = write(tmp_path / "b", registered(evil, rating=2), registered("x"), banner="good")
    run = program("diff", a, b)
    assert run.returncode == 1
    assert not set(run.stdout) & set("\x1b\x9b\r\t\x07\x85")
    assert program("diff", "--format", "json", a, b).stdout.isascii()


def test_the_binding_wants_two_traces(sample: Path) -> None:
    with Trace(str(sample)) as one, Trace(str(sample)) as other:
        with pytest.raises(ValueError, match="open it twice"):
            diff_function(one, 1, one, 1)
        with pytest.raises(TypeError, match="a Trace is wanted"):
            diff_function(one, 1, 5, 1)  # type: ignore[arg-type]
        with pytest.raises(NotFoundError, match="no function 7"):
            diff_function(one, 7, other, 7)


# ---------------------------------------------------------------- real boots


def names(items: list[Record]) -> list[str]:
    return [item["name"] for item in items]


def test_every_trace_equals_itself() -> None:
    for path in sorted(TRACES.glob("*.trace")):
        assert compare(path, path)["same"], path.name


def test_the_second_investigation() -> None:
    """Healthy against failing: the decision that the printk markers of the investigation narrowed down to."""
    result = compare(TRACES / "linux-healthy.trace", TRACES / "linux-samples-rejected.trace")
    first = result["first_divergence"]
    assert not result["same"] and first["function"] == "tsc_read_refs"
    assert first["a"]["taken"] != first["b"]["taken"]
    assert first["a"]["in_gap"] and first["b"]["in_gap"]  # nobody stopped in the timing window
    assert first["b"]["returned"] == "yes" and first["b"]["value"] == 2**64 - 1
    assert first["a"]["value"] < 2**63
    assert {event["what"] for event in first["b"]["events"]} == {"calibration.retried"}
    assert names(result["clocks"]["only_a"]) == ["tsc"]
    work = next(item for item in result["functions"]["differ"] if item["function"] == "tsc_refine_calibration_work")
    assert work["same_code"] and work["invocations"][1] > work["invocations"][0]
    assert work["divergence"]["b"]["invocation"] == 2  # the first call is the same on both sides
    assert work["divergence"]["clocks"] == ["tsc"]


def test_bare_against_xen() -> None:
    """The same kernel: which clocks there are, and which decision registers tsc at once."""
    result = compare(TRACES / "linux-healthy.trace", TRACES / "linux-xen.trace")
    assert {"hpet", "acpi_pm", "lapic"} <= set(names(result["clocks"]["only_a"]))
    assert set(names(result["clocks"]["only_b"])) == {"xen"}
    divergences = {item["function"]: item["divergence"] for item in result["functions"]["differ"]}
    assert "tsc" in divergences["init_tsc_clocksource"]["clocks"]
    # if (boot_cpu_has(X86_FEATURE_TSC_KNOWN_FREQ)), as the kernel's source has it
    assert divergences["init_tsc_clocksource"]["source"].endswith("arch/x86/kernel/tsc.c:1420")
    assert divergences["init_tsc_clocksource"]["b"]["events"][0]["what"] == "clock.registered"
    assert "tsc_refine_calibration_work" in result["functions"]["only_a"]


def test_bare_against_xen_as_their_logs_have_it(shared_directory: Path) -> None:
    """The clocks that one of two live boots has alone; and why tsc is there at once: nothing is refined under Xen."""
    boots = [cached_record(machine(xen=xen), shared_directory) for xen in (False, True)]
    said = [parse_messages(boot.log) for boot in boots]
    result = compare(boots[0].trace, boots[1].trace)
    registered = [{clock.name for clock in messages.registered} for messages in said]
    alone = [
        {clock["name"] for clock in result["clocks"][side] if clock["kind"] == "clocksource"}
        for side in ("only_a", "only_b")
    ]
    assert alone == [registered[0] - registered[1], registered[1] - registered[0]] and "xen" in alone[1]
    assert ["Refined" in "".join(messages.tsc) for messages in said] == [True, False]
    assert all("tsc" in names for names in registered)


def test_two_versions_of_a_kernel() -> None:
    """What is common is compared: the same clocks, and decisions in functions that compilers laid out anew. 6.12 registers
    jiffies before hpet, 6.1 after."""
    result = compare(TRACES / "linux-healthy.trace", TRACES / "linux-6.12.trace")
    assert {item["what"] for item in result["guest"]} == {"release", "banner", "build id"}
    assert result["clocks"] == {"only_a": [], "only_b": [], "differ": []}
    assert result["functions"]["compared"] > 6
    assert all(item["branches_paired"] for item in result["functions"]["differ"])
    alone = [[(event["what"], event["clock"]) for event in result["events"][side]] for side in ("only_a", "only_b")]
    assert alone == [[("clock.registered", "jiffies")]] * 2


def test_text_of_the_second_investigation(program: Program) -> None:
    run = program("diff", TRACES / "linux-healthy.trace", TRACES / "linux-samples-rejected.trace")
    lines = run.stdout.splitlines()
    at = lines.index("The first decision that differs")
    assert lines[at + 1].startswith("  tsc_read_refs  tsc.c:")
    assert any("(all ones)" in line for line in lines[at:])
    assert run.returncode == 1


def test_a_callee_decides_before_its_caller(tmp_path: Path) -> None:
    """The outer decision was worked out, so nobody knows its time; it still comes after the inner ones."""
    result = compare(TRACES / "linux-healthy.trace", TRACES / "linux-reference-stood-still.trace")
    order = [item["function"] for item in result["functions"]["differ"] if item["divergence"]]
    assert order[0] == "tsc_refine_calibration_work"
    for item in result["functions"]["differ"]:
        if item["divergence"]:
            assert item["divergence"]["a"]["position"] >= item["divergence"]["a"]["seq"]


def test_other_addresses_are_no_difference(tmp_path: Path) -> None:
    """As in a kernel that was relocated."""
    moved = tmp_path / "moved.trace"
    shutil.copy(TRACES / "linux-healthy.trace", moved)
    with sqlite3.connect(moved) as database:
        for table, column in (
            *(("function", "entry"), ("block", "from_address"), ("block", "to_address"), ("instruction", "target")),
            *(("decision", "address"), ("invocation", "caller"), ("probe", "address"), ("instruction", "address")),
        ):
            # Twice, for a table is not to hold one address two times on the way.
            database.execute(f"UPDATE {table} SET {column} = {column} + 1000000000")
            database.execute(f"UPDATE {table} SET {column} = {column} - 990000000")
    database.close()
    assert compare(TRACES / "linux-healthy.trace", moved)["same"]


def test_two_live_boots(gdb: Callable[..., Transcript], program: Program, tmp_path: Path) -> None:
    """The frequency that the kernel measures is never twice the same, by itself or by what a boot's stops take."""
    guest = machine(options=("-icount", "shift=7"))
    a, b = tmp_path / "a.trace", tmp_path / "b.trace"
    for path in (a, b):
        transcript = gdb([
            f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"),
            f"clock record -o {path} --until exit --functions tsc_read_refs,tsc_refine_calibration_work",
        ])  # fmt: skip
        assert transcript.status == 0, transcript.text
    assert compare(a, b)["same"] and program("diff", a, b).returncode == 0
    exact = compare(a, b, ppm=0)
    assert not any([exact["guest"], exact["first_divergence"], exact["functions"]["differ"]])
    measured = {item["name"] for event in exact["events"]["differ"] for item in event["values"]}
    measured |= {item["what"] for item in exact["clocks"]["differ"]}
    assert measured <= {"frequency_hz", "frequency_khz", "unrefined_khz", "mhz", "max_cycles", "max_idle_ns", "period"}


def test_two_replays_of_one_boot(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    machine = model("netbsd", "healthy")
    paths = []
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        paths.append(directory / "boot.trace")
        transcript = gdb([
            f"file {machine.vmlinux}",
            machine.launch(tmp_path / "serial.log", f"--replay={tmp_path}/boot.rr"),
            f"clock record -o {paths[-1]} --until exit",
        ])  # fmt: skip
        assert transcript.status == 0, transcript.text
    result = compare(paths[0], paths[1])
    assert result["same"] and result["functions"]["compared"] > 3
    with Trace(str(paths[0])) as trace:
        assert trace.rows("SELECT count(*) AS n FROM decision")[0]["n"] > 10


def test_in_gdb(gdb: Callable[..., Transcript], program: Program, sample: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", registered("tsc"))
    transcript = gdb([f"clock diff {sample} {other}", f"clock diff {sample} {sample}"])
    assert program("diff", sample, other).stdout in transcript.text
    assert "No difference: " in transcript.text and len(EVENTS) == 10
