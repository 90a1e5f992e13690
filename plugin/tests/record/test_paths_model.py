# SPDX-License-Identifier: MIT
"""Paths of the model guests against QEMU's execution log: recursion, interrupts, threads, processors, lifted probes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import execlog
import pytest
from model import Model, model
from traced import Recording, Traced, chosen, trace

from clockscope.model import paths
from clockscope._core import Analyser, Trace
from clockscope.live.branches import Options
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from clockscope.profiles.profile import Branches, Gate
from clockscope.kernel.hints import of_kernel
from clockscope.reports import path as report

INSIDE = Options(replay=True, intrusive=True, virtual=True)
LIVE = Options(virtual=True)

# Its text is patched by the model itself, which no table says; and the other waits some 50,000 rounds for a tick.
WORK = ["work_loop", "work_switch", "work_tail", "work_rare", "work_recurse", "work_sleeper"]
ON_TWO = ["work_loop", "work_switch", "work_tail", "work_rare", "work_parallel", "work_migrant"]


def assert_true(comparisons: list[execlog.Comparison]) -> dict[str, execlog.Comparison]:
    """Nothing but what the log says was recorded, and all of it; whole, where the probes tell all."""
    assert not [f"{one.function}: {wrong}" for one in comparisons for wrong in one.wrong]
    return {one.function: one for one in comparisons}


def assert_sound(traced: Traced) -> None:
    assert {name: traced.statistics[name] for name in ("orphans", "mismatches")} == {"orphans": 0, "mismatches": 0}
    with traced.open() as opened:
        assert opened.rows("SELECT count(*) AS n FROM invocation")[0]["n"] > 0


def log_options(traced: Traced, log: Path, **options: bool) -> list[str]:
    with traced.open() as opened:
        return execlog.options(log, execlog.ranges(execlog.read_functions(opened)), **options)


@dataclass(frozen=True)
class Replayed:
    recording: Recording
    traced: Traced
    log: Path  # each instruction, with the stack


@pytest.fixture(scope="module", params=["netbsd", "freebsd"])
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """A boot with all workloads: replayed once while it is traced, windows included, and once to write the log."""
    directory: Path = tmp_path_factory.mktemp("replayed")
    recording = Recording(model(request.param, "healthy", "workload=all", options=()), directory)
    recording.record()
    known = profile.load(request.param).branches
    names = [*known.functions, *WORK, "work_parallel"]
    traced = trace(recording.replayed, directory, chosen(names, known.references), INSIDE, replayed=True)
    log = directory / "exec.log"
    assert recording.replay(log, *log_options(traced, log, single=True, stack=True)) == recording.serial
    return Replayed(recording, traced, log)


def test_replayed_windows_included(replayed: Replayed) -> None:
    assert replayed.traced.serial == replayed.recording.serial
    assert_sound(replayed.traced)
    with replayed.traced.open() as opened:
        found = assert_true(execlog.compare(opened, replayed.log, single=True))
        exact = opened.rows("SELECT count(*) AS n FROM stop WHERE icount IS NULL")[0]["n"]
    assert exact == 0
    assert all(one.determined and one.complete == one.invocations for one in found.values())
    assert found["work_recurse"].invocations > 10  # how many are calls is for the compiler to say
    assert found["work_sleeper"].invocations == 2


@pytest.mark.parametrize("flavour", ["netbsd", "freebsd"])
@pytest.mark.parametrize("variant", ["healthy", "smp"])
def test_live_while_the_log_is_written(flavour: str, variant: str, tmp_path: Path) -> None:
    """The relay executes the probed instructions itself, so that they are not in the log, but what follows is."""
    log = tmp_path / "exec.log"
    names = WORK if variant == "healthy" else ON_TWO
    traced = trace(
        logging(model(flavour, variant, "workload=all", options=()), names, log), tmp_path, chosen(names), LIVE
    )
    assert_sound(traced)
    with traced.open() as opened:
        probes = {row["address"] % (1 << 64) for row in opened.rows("SELECT address FROM probe")}
        found = assert_true(execlog.compare(opened, log, probes, single=True))
        cpus = {row["cpu"] for row in opened.rows("SELECT cpu FROM invocation")}
        migrant = opened.rows(
            "SELECT count(DISTINCT s.cpu) AS cpus, count(DISTINCT i.id) AS invocations FROM decision d"
            " JOIN stop s ON s.seq = d.stop JOIN invocation i ON i.id = d.invocation"
            " JOIN function f ON f.id = i.function WHERE f.name = 'work_migrant'"
        )[0]
    assert all(one.determined and one.complete == one.invocations > 0 for one in found.values())
    if variant == "smp":
        assert cpus == {0, 1}
        assert migrant == {"cpus": 2, "invocations": 1}


def logging(machine: Model, names: list[str], log: Path) -> Model:
    """The machine, with a log of these functions' instructions."""
    ranges = execlog.ranges_of(Analyser(str(machine.vmlinux)), names)
    options = execlog.options(log, ranges, single=True, stack=machine.variant != "smp")
    return replace(machine, options=(*machine.options, *options))


def test_threads_sleep_inside(replayed: Replayed) -> None:
    """Two stacks, one processor: the invocations overlap, and neither holds the other."""
    with replayed.traced.open() as opened:
        first, second = invocations(opened, "work_sleeper")
    assert first["seq"] < second["seq"] < first["end_seq"] < second["end_seq"]
    assert first["stack"] != second["stack"]


def test_recursion_nests(replayed: Replayed) -> None:
    with replayed.traced.open() as opened:
        outer, *inner = invocations(opened, "work_recurse")
    assert outer["value"] == 13
    for one in inner:
        assert outer["seq"] < one["seq"] < one["end_seq"] < outer["end_seq"]
        assert one["stack"] < outer["stack"]


def test_an_interrupt_calls_it_again(tmp_path: Path) -> None:
    """It goes round until the clock interrupt has called it three times: its probe is lifted, its path open."""
    log = tmp_path / "exec.log"
    machine = model("netbsd", "healthy", "workload=reenter", options=())
    recording = Recording(machine, tmp_path)
    recording.record()
    limited = Options(virtual=True, intrusive=True, hit_limit=20)  # it waits: a window
    traced = trace(recording.replayed, tmp_path, chosen(["work_reentered"]), limited, replayed=True)
    recording.replay(log, *log_options(traced, log))
    assert traced.serial == recording.serial
    assert_sound(traced)
    assert traced.statistics["lifted"] == 1
    with traced.open() as opened:
        assert_true(execlog.compare(opened, log))
        outer, *inner = invocations(opened, "work_reentered")
        record = paths.functions(opened, "work_reentered")[0]["invocations"][0]
    assert [one["value"] for one in inner] == [1, 2, 3] and outer["value"] == 30
    assert not any(one["complete"] for one in (outer, *inner))  # while the probe is out, nobody's path is certain
    assert all(outer["seq"] < one["seq"] < one["end_seq"] < outer["end_seq"] for one in inner)
    assert sum(decision["seen"] for decision in record["decisions"]) >= 20
    assert [gap["at_least"] for gap in record["gaps"]] == [20]
    (shown,) = (row for row in report.decisions(record) if "not determined" in row[1])
    assert shown[1] == "… not determined: at least 20 times before the probe was lifted"


def invocations(opened: Trace, name: str) -> list[dict[str, Any]]:
    return opened.rows(
        "SELECT i.* FROM invocation i JOIN function f ON f.id = i.function WHERE f.name = ? ORDER BY i.seq", [name]
    )


@pytest.mark.parametrize("flavour", ["netbsd", "freebsd"])
def test_no_stop_in_a_window(flavour: str, tmp_path: Path) -> None:
    """Live, by default. All that the profile traces: its calibrations are full of windows."""
    known = profile.load(flavour).branches
    traced = trace(model(flavour), tmp_path, known, LIVE)
    assert_sound(traced)
    with traced.open() as opened:
        assert opened.rows("SELECT count(*) AS n FROM window")[0]["n"] > 0
        assert stops_in_windows(opened, model(flavour), known) == []
        assert opened.rows("SELECT * FROM window_pass WHERE stops_inside > 0") == []


def stops_in_windows(opened: Trace, machine: Model, known: Branches) -> list[int]:
    """By what the file alone tells; a window's blocks need not lie one behind the other."""
    elf = ElfFile(str(machine.vmlinux))
    hints = of_kernel(elf, known)
    inside = {
        one["address"]
        for function in opened.rows("SELECT DISTINCT name FROM function")
        for part in elf.analyser.analyse(function["name"], **hints.known)
        for block in part["blocks"]
        for one in block["instructions"]
        if one["in_window"]
    }
    assert inside
    stops = opened.rows("SELECT address, in_window FROM stop")
    return [stop["address"] for stop in stops if stop["in_window"] or stop["address"] % (1 << 64) in inside]


# The workloads call, in this order: work_loop; work_switch, work_tail and work_rare by turns; work_choice.
@pytest.mark.parametrize(
    ("after", "before", "seen"),
    [
        ("work_loop", "work_choice", 11),
        ("work_choice", None, 0),
        (None, "work_loop", 0),
        ("work_switch", "work_loop", 11),  # what would close it came before it was open
    ],
)
def test_watched_from_one_place_to_another(after: str | None, before: str | None, seen: int, tmp_path: Path) -> None:
    gate = Gate("test", covers=("work_rare",), rules=(), during=None, after=after, after_event=(), before=before)
    branches = replace(chosen(["work_rare"]), gates=(gate,))
    traced = trace(model("netbsd", "healthy", "workload=loop,switch,choice"), tmp_path, branches, LIVE)
    limits = [f"from {after} on"] * bool(after) + [f"until {before}"] * bool(before)
    with traced.open() as opened:
        assert len(invocations(opened, "work_rare")) == seen
        assert opened.rows("SELECT note FROM function")[0]["note"] == f"watched only {' and '.join(limits)}"


def test_watched_during_a_call(tmp_path: Path) -> None:
    """A gate that is open during the calls of a function that is traced as well."""
    gate = Gate("test", covers=("work_tail",), rules=(), during="run_switch", after=None, after_event=(), before=None)
    branches = replace(chosen(["work_tail", "run_switch"]), gates=(gate,))
    traced = trace(model("netbsd", "healthy", "workload=switch"), tmp_path, branches, LIVE)
    with traced.open() as opened:
        assert len(invocations(opened, "work_tail")) == 10
        note = opened.rows("SELECT note FROM function WHERE name = 'work_tail'")[0]["note"]
    assert note == "watched only while run_switch is under way"
