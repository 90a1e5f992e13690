# SPDX-License-Identifier: MIT
"""Interventions in a model guest: the guest really does what it was told, the trace and every reader say so, and what
cannot be is said before the boot."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import execlog
import jsonschema
import pytest
from gdbrun import Session, Transcript, run_gdb
from guest import ROOT, read_serial
from model import model

from relay_world import BODY, CALL, END, ROUNDS, START, hits, make, relayed, run_out
from scripted_quirks import FirecrackerStub, QemuStub

from clockscope._core import Analyser, ArgumentError, Interventions, Trace, TraceWriter, Xref

Gdb = Callable[..., Transcript]
Program = Callable[..., subprocess.CompletedProcess[str]]
Record = dict[str, Any]

GUEST = model("netbsd", "healthy", "workload=switch")
SOURCES = ROOT / "examples" / "model"


def line_of(file: str, text: str) -> int:
    """The line of a model's source that has this text."""
    lines = (SOURCES / file).read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found


TAIL = line_of("workload.c", "if (value > 100)")
RARE = line_of("workload.c", "if (__builtin_expect(value % 16 == 13, 0))")
FREQUENCY = line_of("netbsd/tsc.c", "tsc_timecounter.tc_frequency = tsc_freq;")
REGISTER = line_of("netbsd/tsc.c", "tc_init(&tsc_timecounter);")


def frequency_register() -> str:
    """What the compiler keeps the frequency in where it is stored."""
    stores = Xref(str(GUEST.vmlinux)).writers("tsc_timecounter.tc_frequency")["writers"]
    (instruction,) = (str(store["instruction"]) for store in stores if store["function"] == "tsc_tc_init")
    return instruction.split()[1].strip("%,")


def branches_of(function: str) -> list[Record]:
    (found,) = Analyser(str(GUEST.vmlinux)).analyse(function)
    instructions = [one for block in found["blocks"] for one in block["instructions"]]
    return [one for one in instructions if one["kind"] == "branch"]


def work_switch(operation: int, value: int) -> int:
    """As examples/model/workload.c has it."""
    ways = [value + 3, value * 5, value ^ 0x55, value << 2, value // 7, abs(value - 40), ~value & 0xFF, value % 9]
    return ways[operation] if operation < 8 else 0


def total(tail: Callable[[int], int], rare: Callable[[int], int] | None = None) -> str:
    """What the guest prints of its work, if these are its functions."""
    rarely = rare or (lambda value: value // 2 if value % 16 == 13 else value + 1)
    numbers = [work_switch(i, 50) + tail(i * 15) + rarely(i) for i in range(10)]
    return f"workload switch: {sum(numbers) + rarely(29)}"


def work_tail(value: int) -> int:
    return value if value > 100 else work_switch(value & 7, value)


@dataclass(frozen=True)
class Run:
    trace: Path
    said: str
    console: str

    def uses(self) -> list[Record]:
        with Trace(str(self.trace)) as trace:
            return trace.rows("SELECT * FROM intervention_use ORDER BY seq")


def record(directory: Path, *options: str, qemu: Sequence[str] = (), before: Sequence[str] = ()) -> Run:
    """A live boot with these interventions."""
    trace, serial = directory / "boot.trace", directory / "serial.log"
    launch = " ".join(["clock launch --", *map(_quoted, GUEST.command(serial, *qemu))])
    script = [f"file {GUEST.vmlinux}", launch, *before, f"clock record -o {trace} --until exit {' '.join(options)}"]
    result = run_gdb(script, directory)
    assert result.status == 0, result.text
    return Run(trace, result.text, read_serial(serial))


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


FORCED = f"work_tail:{TAIL}=true"


@pytest.fixture(scope="module")
def forced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[int]]:
    """A branch that is always forced, and what QEMU says it executed of its function."""
    directory = tmp_path_factory.mktemp("forced")
    log = directory / "exec.log"
    (branch,) = branches_of("work_tail")
    logged = execlog.options(log, [(branch["address"] - 32, branch["target"] + 16)], single=True)
    run = record(directory, "--no-branches", f"--force {FORCED}", qemu=logged)
    return run, [execution.address for execution in execlog.executions(log)]


def test_the_guest_takes_the_forced_edge(forced: tuple[Run, list[int]]) -> None:
    run, executed = forced
    (branch,) = branches_of("work_tail")
    counts = Counter(executed)
    assert counts[branch["address"] + branch["length"]] == 10
    assert counts[branch["target"]] == 0
    assert total(lambda value: value) in run.console.splitlines()


def test_each_use_is_recorded(forced: tuple[Run, list[int]]) -> None:
    run, _ = forced
    ways = [(use["was"], use["became"]) for use in run.uses()]
    assert ways == [("taken", "not taken")] * 7 + [("not taken", "not taken")] * 3
    assert f"--force {FORCED} was made 10 times." in run.said


CHANGES = {
    "force": [f"work_tail:{TAIL}=not,times=3"],
    "set": [
        f"tsc_tc_init:{FREQUENCY}:${frequency_register()}=123456789",
        f"tsc_tc_init:{REGISTER}:*(unsigned long *)&tsc_freq=42",
        f"work_rare:{RARE}:value=29",
        f"work_rare:{RARE}:$r9=7",  # at the same place; nobody uses it
    ],
    "return": ["work_switch=1000"],
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One boot with interventions of each kind, and with branch traces."""
    options = [f"--{kind} '{option}'" for kind, several in CHANGES.items() for option in several]
    names = "--functions work_tail,work_rare,work_switch"
    return record(tmp_path_factory.mktemp("changed"), names, *options)


def test_the_guest_sees_what_was_set(changed: Run) -> None:
    lines = changed.console.splitlines()
    assert any('"TSC" frequency 123456789 Hz' in line for line in lines)  # a register
    assert "model: tsc_freq 42" in lines  # memory
    assert lines.count("workload switch: rare value 29") == 11  # a variable


def test_times_and_a_function_that_returns_at_once(changed: Run) -> None:
    calls = iter(range(10))

    def tail(value: int) -> int:
        return value if next(calls) < 3 or value > 100 else 1000

    numbers = [1000 + tail(i * 15) + 29 // 2 for i in range(10)]
    assert f"workload switch: {sum(numbers) + 29 // 2}" in changed.console.splitlines()


def paths_of(program: Program, run: Run, function: str) -> Record:
    content: Record = json.loads(program("path", run.trace, function, "--format", "json").stdout)
    jsonschema.validate(content, json.loads((ROOT / "schemas/path.schema.json").read_text()))
    return content


def test_paths_mark_what_was_forced(changed: Run, program: Program) -> None:
    calls = paths_of(program, changed, "work_tail")["invocations"]
    assert [call["decisions"][0]["forced"] for call in calls] == [True] * 3 + [False] * 7
    assert [call["decisions"][0]["taken"] for call in calls] == [False] * 3 + [True] * 4 + [False] * 3
    assert "true forced" in program("path", changed.trace, "work_tail").stdout


def test_a_call_that_returned_at_once_has_its_value_and_no_path(changed: Run, program: Program) -> None:
    calls = paths_of(program, changed, "work_switch")["invocations"]
    assert len(calls) == 14
    for call in calls:
        assert (call["returned"], call["value"], call["consistent"], call["complete"]) == ("yes", 1000, True, True)
        assert call["blocks"] == [] and [one["became"] for one in call["interventions"]] == ["returned 0x3e8"]
    assert "fit no path" not in program("path", changed.trace).stdout


LINE = re.compile(
    r"^ *(?:[AB]: )?interventions: --force work_tail:\d+=not,times=3, made 3 times; .*--return work_switch", re.M
)


@pytest.mark.parametrize("verb", ["timeline", "path", "diagnose", "cpuid", "reached", "diff"])
def test_every_reader_names_them(verb: str, changed: Run, program: Program) -> None:
    more: Sequence[str | Path] = ["work_*"] if verb == "reached" else [changed.trace] if verb == "diff" else []
    text = program(verb, changed.trace, *more)
    assert text.returncode in (0, 1) and LINE.search(text.stdout), text
    content = json.loads(program(verb, changed.trace, *more, "--format", "json").stdout)
    schema = {"reached": "xref"}.get(verb, verb)
    jsonschema.validate(content, json.loads((ROOT / f"schemas/{schema}.schema.json").read_text()))
    if verb == "diff":
        assert content["interventions"]["a"] == content["interventions"]["b"]
    found = content["files"][0] if verb == "diagnose" else content
    listed = found["interventions"]["a"] if verb == "diff" else found["interventions"]
    asked = [(kind, option) for kind, several in CHANGES.items() for option in several]
    assert [(one["kind"], one["option"]) for one in listed] == asked
    assert [one["times"] for one in listed] == [3, 1, 1, 11, 11, 14]


def test_untouched_traces_say_nothing(program: Program) -> None:
    for verb in ("timeline", "path", "diagnose"):
        assert "interventions:" not in program(verb, ROOT / "traces/netbsd-healthy.trace").stdout


REFUSED = {
    "--force work_tail:1=taken": f"line 1 of work_tail has no conditional branch; lines that have: {TAIL}",
    "--force work_tail:1": r"expected is FUNCTION:LINE=true\|false\[,times=N\]",
    f"--force work_tail:{TAIL}=taken,times=0": r"expected is FUNCTION:LINE=true\|false\[,times=N\]",
    "--force work_tale:70=taken": "no function in .* is called work_tale",
    "--force work_tail:*0x10=taken": "0x10 is no conditional branch of work_tail; there are: work_tail:\\*0xf",
    "--force work_tail+0x0=taken": "is no conditional branch of work_tail",
    f"--force work_tail:{TAIL}=taken --force work_tail:{TAIL}=not": "the same place has --force work_tail:.* already",
    f"--set tsc_tc_init:{REGISTER}:nosuch=1": "there is no variable nosuch",
    f"--set tsc_tc_init:{REGISTER}:$nosuch=1": "there is no register \\$nosuch",
    f"--set tsc_tc_init:{REGISTER}:tsc_freq=1+": "A syntax error in expression",
    f"--set tsc_tc_init:{REGISTER}:tsc_freq=nosuch": "there is no variable nosuch",
    f"--set tsc_tc_init:{REGISTER}": "expected is FUNCTION:LINE:EXPR=VALUE",
    "--set tsc_tc_init:1:tsc_freq=1": "line 1 of tsc_tc_init has no code of its own; lines that have: ",
    "--return tsc_tc_init=nosuch": "nosuch is no value: ",
    "--return nosuch=1": "no function in .* is called nosuch",
    "--return work_tail": "expected is FUNCTION=VALUE",
}


def refusals(gdb: Gdb, before: Sequence[str], commands: Sequence[str]) -> list[str]:
    """What each command is refused with, in one GDB."""
    script = ["python", "for command in " + repr(list(commands)) + ":", "    try:", "        gdb.execute(command)"]
    script += ["    except gdb.error as error:", "        print('refused', repr(str(error)))", "end"]
    text = gdb([*before, *script]).text
    return [str(eval(found)) for found in re.findall(r"^refused (.*)$", text, re.M)]  # what GDB printed of its own


def test_what_cannot_be_is_said_before_the_boot(gdb: Gdb, tmp_path: Path) -> None:
    start = [f"file {GUEST.vmlinux}", GUEST.launch(tmp_path / "serial.log")]
    said = refusals(gdb, start, [f"clock record -o {tmp_path}/none.trace {options}" for options in REFUSED])
    assert len(said) == len(REFUSED)
    for one, (options, expected) in zip(said, REFUSED.items()):
        assert "\n" not in one and re.search(expected, one), (options, one)
    assert not (tmp_path / "none.trace").exists()


def test_a_line_with_several_branches(gdb: Gdb, tmp_path: Path) -> None:
    lines = Counter(
        line for one in branches_of("work_loop") for _, _, line in Analyser(str(GUEST.vmlinux)).source(one["address"])
    )
    line, count = lines.most_common(1)[0]
    assert count > 1
    start = [f"file {GUEST.vmlinux}", GUEST.launch(tmp_path / "serial.log")]
    (said,) = refusals(gdb, start, [f"clock record -o {tmp_path}/none.trace --force work_loop:{line}=taken"])
    named = re.findall(r"work_loop:\*(0x[0-9a-f]+)", said)
    assert f"has {count} conditional branches; there are:" in said and len(named) == count
    assert {int(address, 16) for address in named} < {one["address"] for one in branches_of("work_loop")}


def test_a_place_is_named_by_its_offset_too(tmp_path: Path) -> None:
    (branch,) = branches_of("work_tail")
    (entry,) = Analyser(str(GUEST.vmlinux)).find("work_tail")
    run = record(tmp_path, "--no-branches", f"--force work_tail+{branch['address'] - entry:#x}=not,times=2")
    assert len(run.uses()) == 2


def test_what_was_never_reached(tmp_path: Path, program: Program) -> None:
    run = record(tmp_path, "--no-branches", "--return work_parallel=1", f"--set work_rare:{RARE}:value=29")
    assert "--return work_parallel=1 was never reached." in run.said
    assert {use["intervention"] for use in run.uses()} == {1}  # --set comes first
    assert "--return work_parallel=1, never reached" in program("timeline", run.trace).stdout


def test_where_breakpoints_are_bytes_in_memory(tmp_path: Path) -> None:
    """They wait for the kernel's early function; the guest is the same here, and is said to be of that kind."""
    pretend = "python import clockscope.live.session as r; r.breakpoints_are_virtual = lambda relay: False"
    options = ["--no-branches", f"--force {FORCED}", f"--set work_rare:{RARE}:value=29"]
    run = record(tmp_path, *options, before=[pretend])
    assert total(lambda value: value, lambda value: 14) in run.console.splitlines()


def test_a_replay_cannot_be_changed(gdb: Gdb, tmp_path: Path) -> None:
    launch = GUEST.launch(tmp_path / "serial.log", "--replay")
    commands = [
        f"clock record -o {tmp_path}/none.trace {option}" for option in (f"--force {FORCED}", "--return work_tail=1")
    ]
    said = refusals(gdb, [f"file {GUEST.vmlinux}", launch], commands)
    assert len(said) == 2 and all("a replay cannot be changed" in one for one in said)


def test_the_users_own_breakpoint_at_a_forced_branch(gdb_session: Callable[..., Session], tmp_path: Path) -> None:
    """The user sees the flags that force it, and steps the way that was wished."""
    (branch,) = branches_of("work_tail")
    session = gdb_session()
    for line in (f"file {GUEST.vmlinux}", GUEST.launch(tmp_path / "serial.log")):
        session.command(line)
    session.command(f"clock record -o {tmp_path}/boot.trace --no-branches --force {FORCED}")
    session.command(f"hbreak *{branch['address']:#x}")
    session.command("continue")
    assert int(session.command("print $eflags & 0x41").split("=")[1]) == 0  # jbe: CF or ZF
    session.command("stepi")
    assert f"{branch['address'] + branch['length']:#x}" in session.command("print/x $pc")
    session.command("delete")
    session.command("continue")
    assert total(lambda value: value) in read_serial(tmp_path / "serial.log").splitlines()


def test_status_says_how_often_each_was_made(gdb: Gdb, tmp_path: Path) -> None:
    script = [
        f"file {GUEST.vmlinux}",
        GUEST.launch(tmp_path / "serial.log"),
        f"clock record -o {tmp_path}/boot.trace --no-branches --force {FORCED} --return work_rare=1",
        "thbreak work_tail",
        "continue",
        "clock status",
    ]
    text = gdb(script).text
    assert re.search(rf"^intervention +--force {FORCED} was not reached so far$", text, re.M)


@contextmanager
def written(path: Path) -> Iterator[TraceWriter]:
    writer = TraceWriter(str(path))
    yield writer
    writer.close(True, "")


@pytest.mark.parametrize("kind", ["force", "return"])
def test_a_stub_that_writes_no_registers(kind: str, tmp_path: Path) -> None:
    """The guest goes its own way, and nothing is claimed to have been made."""
    stub = make(FirecrackerStub)
    stub.machine.memory.map(CALL, b"\x75\x00")
    path = tmp_path / "a.trace"
    with relayed(stub) as relay, written(path) as writer:
        made = Interventions(relay, writer)
        writer.intervention(1, kind, "f=1", "f", "", 0, CALL)
        if kind == "force":
            made.force(1, CALL, b"\x75\x00", False)
        else:
            made.have_return(1, CALL, 1, END)
        counter = relay.add_counter(BODY, "body")
        assert run_out(relay).startswith(b"W")
        assert made.states() == {1: {"uses": 0, "other_text": False, "refused": True}}
        assert hits(relay) == {"body": ROUNDS} and counter
        made.stop()
    with Trace(str(path)) as trace:
        assert trace.rows("SELECT * FROM intervention_use") == []


def test_text_that_is_not_what_was_analysed_is_left_alone(tmp_path: Path) -> None:
    stub = make(QemuStub)
    stub.machine.memory.map(CALL, b"\x74\x00")
    with relayed(stub) as relay, written(tmp_path / "a.trace") as writer:
        made = Interventions(relay, writer)
        writer.intervention(1, "force", "f:1=taken", "f", "", 1, CALL)
        made.force(1, CALL, b"\x75\x00", True)
        assert run_out(relay).startswith(b"W")
        assert made.states() == {1: {"uses": 0, "other_text": True, "refused": False}}
        made.stop()


def test_a_kernel_that_was_moved(tmp_path: Path) -> None:
    """It is told of by the file's addresses, and met where it runs."""
    offset = 0x800
    place = (offset, START - offset, BODY + 1 - offset)
    stub = make(QemuStub)
    stub.machine.memory.map(CALL, b"\x75\x00")
    with relayed(stub) as relay, written(tmp_path / "a.trace") as writer:
        made = Interventions(relay, writer, place)
        writer.intervention(1, "force", "f:1=not", "f", "", 1, CALL - offset)
        made.force(1, CALL - offset, b"\x75\x00", False, 1)
        relay.add_counter(BODY - offset, "body", place)
        relay.add_counter(BODY, "elsewhere", place)  # outside of the image: it lies where it lies
        assert run_out(relay).startswith(b"W")
        assert made.states() == {1: {"uses": 1, "other_text": False, "refused": False}}
        assert hits(relay) == {"body": ROUNDS, "elsewhere": ROUNDS}
        assert [counter["address"] for counter in relay.counters()] == [BODY - offset, BODY]
        made.stop()


@pytest.mark.parametrize("code", [b"\xe3\x00", b"\xe2\x00", b"\x90"])
def test_what_no_flags_decide_is_refused(code: bytes, tmp_path: Path) -> None:
    with relayed(make(QemuStub)) as relay, written(tmp_path / "a.trace") as writer:
        with pytest.raises(ArgumentError, match="decides by a register|holds no conditional branch"):
            Interventions(relay, writer).force(1, CALL, code, True)


def test_the_users_breakpoint_at_a_function_that_returns_at_once(
    gdb_session: Callable[..., Session], tmp_path: Path
) -> None:
    """The user sees the call, and the next step is back in the caller, with the value."""
    session = gdb_session()
    for line in (f"file {GUEST.vmlinux}", GUEST.launch(tmp_path / "serial.log")):
        session.command(line)
    session.command(f"clock record -o {tmp_path}/boot.trace --no-branches --return work_switch=1000")
    session.command("hbreak *work_switch")
    session.command("continue")
    assert "work_switch" in session.command("info symbol $pc")
    back = session.command("print/x *(long *)$rsp").split("=")[1].strip()
    session.command("stepi")
    assert session.command("print/x $pc").split("=")[1].strip() == back
    assert session.command("print $rax").split("=")[1].strip() == "1000"
