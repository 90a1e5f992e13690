# SPDX-License-Identifier: MIT
"""The observer effect: what the guest measures is the same whether it is recorded or not, or the trace says otherwise."""

import json
import re
import statistics
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
import pytest
from gdbrun import Transcript, run_gdb
from frequencies import frequencies
from guest import DETERMINISTIC, ROOT, Machine, boot_untouched, machine, read_serial
from model import MODELS, boot_model, calibrated, model

from clockscope._core import Trace
from clockscope.base.ui import TerminalUi
from clockscope.live.observer import CALIBRATED
from clockscope.model import disturbed, experiment_result, flow_graph
from clockscope.reports import experiment

# QEMU counts instructions, so untouched boots measure the same each time; guest time leaks where such a guest is stopped.
COUNTED = ("-icount", "shift=3")
LINUX = ("-icount", "shift=7", *DETERMINISTIC[2:])
ROUNDS = model("netbsd", "rounds", options=())
MACHINES: Mapping[str, Machine] = {
    "netbsd-rounds": ROUNDS,
    "netbsd-ticks": model("netbsd", "ticks", options=()),
    "netbsd": model("netbsd", options=COUNTED),
    "freebsd": model("freebsd", options=COUNTED),
    "linux": machine(options=LINUX),
    "linux-no-hpet": machine("hpet=disable", options=LINUX),
    "linux-6.12": machine(kernel="6.12", options=LINUX),
}
# Of the first two medians; the others have no loop that was ever stopped in.
RECORDINGS = {"netbsd-rounds": 3, "netbsd-ticks": 3}
PPM = 100


@pytest.mark.parametrize("name", MACHINES)
def test_frequencies_are_those_of_an_untouched_boot(name: str, gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    """Medians, for a recording may be held up by a busy host: one stop may cost a millisecond."""
    guest = MACHINES[name]
    recorded = []
    for number in range(RECORDINGS.get(name, 1)):
        serial = tmp_path / f"serial-{number}.log"
        gdb(
            [
                f"file {guest.vmlinux}",
                guest.launch(serial),
                f"clock record --overwrite -o {tmp_path}/a.trace --until exit",
            ]
        )
        recorded.append(frequencies(read_serial(serial)))
    untouched = frequencies(boot_untouched(guest, tmp_path))
    assert len(untouched) >= 2, untouched
    for what, hertz in untouched.items():
        found = statistics.median(boot[what] for boot in recorded)
        assert found == pytest.approx(hertz, rel=PPM * 1e-6), (what, [boot[what] for boot in recorded])


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_calls_through_pointers_in_a_measuring_function(compiler: str) -> None:
    directory = MODELS / "clang" if compiler == "clang" else MODELS
    (one,) = flow_graph.from_elf(str(directory / "netbsd.elf"), "cpu_get_tsc_freq", flow_graph.no_text)
    rounds = [block for block in one["blocks"] if block["depth"]]
    assert rounds and all(each["in_window"] for block in rounds for each in block["instructions"])
    assert any(window["polls"] for window in one["windows"])


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_loop_that_waits_for_the_clocks_interrupt(compiler: str) -> None:
    directory = MODELS / "clang" if compiler == "clang" else MODELS
    (one,) = flow_graph.from_elf(str(directory / "netbsd.elf"), "lapic_calibrate_timer", flow_graph.no_text)
    waiting = [
        block for block in one["blocks"] if any("pause" in each["instruction"] for each in block["instructions"])
    ]
    assert waiting and all(each["in_window"] for block in waiting for each in block["instructions"])


# ---------------------------------------------------------------- what is disturbed is said


@pytest.fixture(scope="module")
def intrusive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A recording that stops its guest in all of its windows; its trace, and what GDB said."""
    directory = tmp_path_factory.mktemp("intrusive")
    done = run_gdb([
        f"file {ROUNDS.vmlinux}", ROUNDS.launch(directory / "serial.log"),
        f"clock record --intrusive -o {directory}/boot.trace --until exit",
    ], directory)  # fmt: skip
    assert done.status == 0, done.text
    return directory / "boot.trace", done.text


def test_the_recording_says_so(intrusive: tuple[Path, str]) -> None:
    said = re.search(r"^TSC ([\d.]+) MHz: DISTURBED by up to (\d+) ppm, your guest stood", intrusive[1], re.MULTILINE)
    assert said and int(said[2]) > 1000
    assert "A replay is not disturbed" in intrusive[1]
    # How far it really is off is within the bound.
    truth = calibrated(boot_model(ROUNDS, intrusive[0].parent).log)["TSC freq DELAY"]
    assert 0 < abs(float(said[1]) * 1e6 - truth) / truth * 1e6 < int(said[2])


def test_each_calibrated_value_carries_it(intrusive: tuple[Path, str]) -> None:
    with Trace(str(intrusive[0])) as trace:
        events = trace.timeline()["events"]
    values = {event["rule"]: event["values"] for event in events if event["what"] in CALIBRATED}
    assert set(values) == {"tsc-frequency", "lapic-calibrated-once", "lapic-calibrated-twice"}
    for one in values.values():
        assert one["stood_ns"] > 0 and one["stops"] > 0 and one["lost_cycles"] >= 0
    assert values["tsc-frequency"]["disturbed"] == "yes"
    assert values["lapic-calibrated-twice"]["disturbed"] == "yes"  # it trusts that TSC
    assert not any("disturbed" in event["values"] for event in events if event["what"] not in CALIBRATED)


def test_every_reader_says_so(
    intrusive: tuple[Path, str], program: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    trace = intrusive[0]
    shown = program("timeline", trace).stdout
    assert re.search(r"^TSC [\d.]+ MHz: DISTURBED by up to", shown, re.MULTILINE)
    assert re.search(r"frequency detected +TSC +DISTURBED by up to \d+ ppm, [\d.]+ MHz", shown)
    assert re.search(r"^  TSC +3000 +[\d.]+ MHz \(disturbed\)", shown, re.MULTILINE)
    content = json.loads(program("timeline", "--format", "json", trace).stdout)
    jsonschema.validate(content, json.loads((ROOT / "schemas/timeline.schema.json").read_text()))
    assert {one["clock"]: one["certain"] for one in content["disturbed"]} == {"TSC": True, "lapic": True}
    assert {clock["name"] for clock in content["clocks"] if clock["disturbed"]} == {"TSC", "lapic"}
    for verb in ("diagnose", "diff"):
        files = [trace] if verb == "diagnose" else [ROOT / "traces/netbsd-healthy.trace", trace]
        assert "DISTURBED by up to" in program(verb, *files).stdout
        told = json.loads(program(verb, "--format", "json", *files).stdout)
        jsonschema.validate(told, json.loads((ROOT / f"schemas/{verb}.schema.json").read_text()))
        found = told["files"][0]["disturbed"] if verb == "diagnose" else told["disturbed"]["b"]
        assert found == content["disturbed"]
    assert re.search(r"TSC +timecounter +frequency .*MHz \(disturbed\)$", program("diff", *files).stdout, re.MULTILINE)
    page = tmp_path / "page.html"
    assert program("report", trace, "-o", page).returncode == 0
    assert page.read_text().count("DISTURBED by up to") > 2


def test_the_limit_is_the_users(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    text = gdb([
        f"file {ROUNDS.vmlinux}", ROUNDS.launch(tmp_path / "serial.log"), "set clockscope disturbed-ppm 1000000000",
        f"clock record --intrusive -o {tmp_path}/boot.trace --until exit",
    ]).text  # fmt: skip
    assert "DISTURBED" not in text
    with Trace(str(tmp_path / "boot.trace")) as trace:
        assert trace.meta()["plan.disturbed_ppm"] == "1000000000" and disturbed.of(trace.timeline()) == []


def test_older_traces_say_nothing() -> None:
    with Trace(str(ROOT / "traces/netbsd-healthy.trace")) as trace:
        content = disturbed.timeline(trace)
    assert content["disturbed"] == [] and not any(clock["disturbed"] for clock in content["clocks"])


def test_an_experiment_says_so(intrusive: tuple[Path, str]) -> None:
    files = (str(ROOT / "traces/netbsd-healthy.trace"), str(intrusive[0]))
    shown = experiment.experiment(experiment_result.compare(files), TerminalUi())
    assert re.search(r"in B, TSC [\d.]+ MHz: DISTURBED by up to", shown)
