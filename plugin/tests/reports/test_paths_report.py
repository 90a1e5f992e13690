# SPDX-License-Identifier: MIT
"""`path` on a small trace of the model guest: its report, its JSON, and how it fails."""

import subprocess
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from gdbrun import run_gdb
from guest import ROOT
from model import model
from sample_trace import write_sample

from clockscope._core import Trace
from clockscope.model import paths
from clockscope.model.source_text import Source

Program = Callable[..., subprocess.CompletedProcess[str]]

SCHEMA = json.loads((ROOT / "schemas/path.schema.json").read_text())

# Times, and what the compiler decides, are masked.
GOLDEN = """\
work_choice  examples/model/workload.c:106  called 3 times

  #1  at T ms, cpu 0, from run_choice+N: returned 0x3
      workload.c:106  asm("cmpl %3, %2\\n\\tcmovb %2, %0" : "+r"(least), "=@ccb"(below)…  moved (cmovbl)
      workload.c:107  if (below)                                                        true            → workload.c:111  limit (%esi)=0x7, value (%edi)=0x3

  #2 to #3  at T ms, cpu 0, from run_choice+N: returned 2 different values, 0xa, 0xb
      2 times the same way, T ms apart on average
      workload.c:106  asm("cmpl %3, %2\\n\\tcmovb %2, %0" : "+r"(least), "=@ccb"(below)…  not moved (cmovbl)
      workload.c:107  if (below)                                                        false               → workload.c:109  limit (%esi)=0x7, value (%edi)=0x7
      workload.c:109  asm("cmpl %2, %1\\n\\tseta %b0\\n\\taddl $10, %0" : "+q"(above) : "…  not known (seta)

work_rare  examples/model/workload.c:82  called 11 times

  #1 to #10  at T ms, cpu 0, from run_switch+N: returned 10 different values, 0x1, 0x2, 0x3, …
      10 times the same way, T ms apart on average
      workload.c:82  if (__builtin_expect(value % 16 == 13, 0)) {  false  → workload.c:86  %eax=0x0

  #11  at T ms, cpu 0, from run_switch+N: returned 0xe
      workload.c:82  if (__builtin_expect(value % 16 == 13, 0)) {  true  → workload.c:81  %eax=0xd

work_tail  examples/model/workload.c:69  called 10 times

  #1 to #7  at T ms, cpu 0, from run_switch+N: left by a tail call
      7 times the same, T ms apart on average
      workload.c:70  if (value > 100)  false  → workload.c:72  value (%edi)=0x0

  #8 to #10  at T ms, cpu 0, from run_switch+N: returned 3 different values, 0x69, 0x78, 0x87
      3 times the same way, T ms apart on average
      workload.c:70  if (value > 100)  true  → workload.c:73  value (%edi)=0x69
"""


ANNOTATED = """\
work_rare  examples/model/workload.c:82  called 11 times
  #1 to #10  at T ms, cpu 0, from run_switch+N: returned 10 different values, 0x1, 0x2, 0x3, …
      10 times the same way, T ms apart on average
  #11  at T ms, cpu 0, from run_switch+N: returned 0xe

            80  TRACED unsigned work_rare(unsigned value)
       1    81  {
      11    82          if (__builtin_expect(value % 16 == 13, 0)) {  false (#1 to #10): %eax=0x0; true (#11): %eax=0xd
       1    83                  report_rare(value);
       1    84                  return value / 2;
            85          }
      10    86          return value + 1;
      11    87  }
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace recorded in GDB, which finds the source of the model."""
    directory = tmp_path_factory.mktemp("report")
    machine, trace = model("netbsd", "healthy", "workload=switch,choice"), directory / "boot.trace"
    result = run_gdb(
        [
            f"file {machine.vmlinux}",
            machine.launch(directory / "serial.log"),
            f"clock record -o {trace} --until exit --functions 'work_rare,work_tail,work_choice'",
            f"clock path {trace} work_rare",
        ],
        directory,
    )
    assert result.status == 0 and "work_rare  examples/model/workload.c:82  called 11 times" in result.text, result.text
    return trace


def masked(text: str) -> str:
    text = re.sub(r"\d+\.\d+ ms|\[ *~?\d+\.\d{6}\]", "T ms", text)
    return re.sub(r"\+0x[0-9a-f]+", "+N", text)


def test_text(program: Program, recorded: Path) -> None:
    done = program("path", recorded, "--branches")
    assert done.returncode == 0, done.stderr
    assert masked(done.stdout) == f"{recorded}\n\n{GOLDEN}"


def test_annotated_source(program: Program, recorded: Path) -> None:
    done = program("path", recorded, "work_rare")
    assert done.returncode == 0, done.stderr
    assert masked(done.stdout) == f"{recorded}\n\n" + ANNOTATED


def test_a_function_without_a_value_has_none() -> None:
    with Trace(str(ROOT / "traces/netbsd-healthy.trace")) as trace:
        found = {one["function"]: one for one in paths.functions(trace, None, Source(trace, ROOT))}
    assert {call["value"] for call in found["tc_init"]["invocations"]} == {None}
    assert {call["returned"] for call in found["tc_init"]["invocations"]} == {"yes", "tail call"}
    with Trace(str(ROOT / "traces/netbsd-told.trace")) as trace:
        (told,) = paths.functions(trace, "tsc_freq_vmware_cpuid", Source(trace, ROOT))
    assert all(call["value"] is not None for call in told["invocations"])


def test_source_comes_from_the_named_file_alone(tmp_path: Path) -> None:
    """Of a tree that has no such file, another's under that name, or one that is not below it, nothing is taken."""
    tree = tmp_path / "tree"
    (tree / "examples/model/netbsd").mkdir(parents=True)
    clock = tree / "examples/model/netbsd/clock.c"
    text = (ROOT / "examples/model/netbsd/clock.c").read_text()
    bare = tmp_path / "bare.trace"  # which holds no text itself
    shutil.copy(ROOT / "traces/netbsd-healthy.trace", bare)
    with sqlite3.connect(bare) as database:
        database.execute("DELETE FROM source")
    for content, taken in ((text, True), ("\n" * 500, False), (text.split("startrtclock")[0], False), (None, False)):
        clock.unlink(missing_ok=True)
        if content is None:
            (tmp_path / "clock.c").write_text(text)
            clock.symlink_to(tmp_path / "clock.c")
        else:
            clock.write_text(content)
        with Trace(str(bare)) as trace:
            (found,) = paths.functions(trace, "startrtclock", Source(trace, tree))
        assert bool(found["annotated"]) == taken, content


def test_calls_with_different_results_are_not_the_same(program: Program) -> None:
    text = program("path", ROOT / "traces/linux-healthy.trace", "tsc_read_refs").stdout
    assert "returned 2 different values, 0x" in text and "2 times the same," not in text


def test_json(program: Program, recorded: Path) -> None:
    every = json.loads(program("path", recorded, "--format", "json").stdout)
    one = json.loads(program("path", recorded, "work_tail", "--format", "json").stdout)
    for content in (every, one):
        jsonschema.validate(content, SCHEMA)
    assert [function["function"] for function in every["functions"]] == ["work_choice", "work_rare", "work_tail"]
    assert {"interventions": every["interventions"], **every["functions"][2]} == one
    decisions = [invocation["decisions"] for invocation in one["invocations"]]
    assert [(len(way), way[0]["taken"]) for way in decisions] == [(1, True)] * 7 + [(1, False)] * 3
    assert {way[0]["text"] for way in decisions} == {"if (value > 100)"}
    assert {way[0]["variables"]["%edi"] for way in decisions} == {"value"}
    assert [way[0]["values"]["edi"] for way in decisions] == [15 * number for number in range(10)]


def test_conditions_without_a_jump(program: Program, recorded: Path) -> None:
    """cmov before a jump on the same flags, seta whose flags an addition has overwritten before any stop."""
    found = json.loads(program("path", recorded, "work_choice", "--format", "json").stdout)
    held = [[choice["held"] for choice in invocation["choices"]] for invocation in found["invocations"]]
    assert held == [[True], [False, None], [False, None]]  # of (3, 7), (7, 7), (9, 7)
    assert [invocation["value"] for invocation in found["invocations"]] == [3, 10, 11]


def test_a_pattern_finds_it(program: Program, recorded: Path) -> None:
    found = json.loads(program("path", recorded, "*_rare", "--format", "json").stdout)
    assert found["function"] == "work_rare"
    assert found["never_reached"] == []  # the rare value came


def test_unknown_function(program: Program, recorded: Path) -> None:
    done = program("path", recorded, "work_raer")
    assert done.returncode == 2
    assert (
        done.stderr
        == "clockscope: no traced function is called work_raer; traced are: work_choice, work_rare, work_tail\n"
    )


def test_trace_without_branches(program: Program, tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.trace")
    done = program("path", tmp_path / "sample.trace")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "holds no branch traces" in done.stderr


def test_a_function_that_ran_within_another(program: Program) -> None:
    """... was not simply never called; one that is not traced itself is shown where it is."""
    trace = ROOT / "traces" / "netbsd-no-pit.trace"
    head = program("path", trace, "cpu_tsc_freq_cpuid").stdout.splitlines()[2]
    assert head.endswith("never called; inlined into cpu_get_tsc_freq, where it ran once")
    shown = program("path", trace, "tsc_is_invariant").stdout
    assert "tsc_tc_init" in shown and "tsc_is_invariant is inlined into it" in shown
    answer = json.loads(program("path", trace, "cpu_tsc_freq_cpuid", "--format", "json").stdout)
    jsonschema.validate(answer, SCHEMA)
    assert answer["inlined"] == [{"within": "cpu_get_tsc_freq", "times": 1}]
