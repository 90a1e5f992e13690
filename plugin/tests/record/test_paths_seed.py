# SPDX-License-Identifier: MIT
"""The second investigation's finding, without a rebuild: every sample of the TSC is rejected, for ever."""

import subprocess
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gdbrun import run_gdb
from guest import ROOT, machine

from clockscope._core import Analyser

Program = Callable[..., subprocess.CompletedProcess[str]]

SCHEMA = json.loads((ROOT / "schemas/path.schema.json").read_text())
ALL_ONES = (1 << 64) - 1
# Counted instructions: on a busy host the TSC is not always calibrated in the first place.
MACHINE = machine(options=("-icount", "shift=3"))

# `if ((t2 - t1) < thresh) return t2;`: below is what accepts a sample; with CF cleared there is none.
REJECT = """\
python
class Reject(gdb.Breakpoint):
    def stop(self):
        gdb.execute("set var $eflags = $eflags & ~1")
        return False
Reject("*ADDRESS", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
end"""


def comparison() -> int:
    """The jump that accepts a sample of tsc_read_refs."""
    (function,) = Analyser(str(MACHINE.vmlinux)).analyse("tsc_read_refs")
    instructions = [one for block in function["blocks"] for one in block["instructions"]]
    (accepting,) = [one["address"] for one in instructions if one["kind"] == "branch" and one["condition"] == "b"]
    return int(accepting)


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The trace of a boot in which a breakpoint, not one of clockscope's, makes tsc_read_refs reject each sample."""
    directory = tmp_path_factory.mktemp("seed")
    trace = directory / "boot.trace"
    script = [
        f"file {MACHINE.vmlinux}",
        MACHINE.launch(directory / "serial.log"),
        REJECT.replace("ADDRESS", f"{comparison():#x}"),
        f"clock record -o {trace} --until exit",
    ]
    result = run_gdb(script, directory)
    assert result.status == 0, result.text
    yield trace


def read(program: Program, trace: Path, function: str) -> dict[str, Any]:
    done = program("path", trace, function, "--format", "json")
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(content, SCHEMA)
    return content


def test_tsc_read_refs_returns_all_ones(program: Program, rejected: Path) -> None:
    calls = read(program, rejected, "tsc_read_refs")["invocations"]
    assert len(calls) >= 3
    for call in calls:
        assert call["value"] == ALL_ONES
        assert call["caller"].startswith("tsc_refine_calibration_work+")
        assert call["windows"] and not any(window["stops_inside"] for window in call["windows"])


def test_the_refinement_begins_again_and_again(program: Program, rejected: Path) -> None:
    refinement = read(program, rejected, "tsc_refine_calibration_work")
    again = refinement["invocations"]
    assert len(again) >= 3
    ways = [[(one["address"], one["taken"]) for one in invocation["decisions"]] for invocation in again]
    assert all(way == ways[0] for way in ways) and all(invocation["complete"] for invocation in again)
    apart = [after["run_ns"] - before["run_ns"] for before, after in zip(again, again[1:], strict=False)]
    # While the guest's first process sleeps, a second of the guest is one of the host.
    assert len([one for one in apart if 0.9e9 < one < 1.3e9]) >= 2
    assert again[0]["task"].startswith("kworker")


def test_the_report_says_so(program: Program, rejected: Path) -> None:
    text = program("path", rejected, "tsc_refine_calibration_work").stdout
    count = len(read(program, rejected, "tsc_refine_calibration_work")["invocations"])
    assert f"tsc.c:1332  called {count} times" in text
    assert f"{count} times the same, " in text
    # What would have refined the frequency (`freq = calc_hpet_ref(…)`, "Refined TSC clocksource calibration").
    never = {
        (one["source"].rsplit(":", 1)[0], int(one["source"].rsplit(":", 1)[1]))
        for one in read(program, rejected, "tsc_refine_calibration_work")["never_reached"]
        if one["certain"]
    }
    assert len({line for file, line in never if file.endswith("tsc.c")}) > 20
    assert "never reached: " in text
    assert "all ones" in program("path", rejected, "tsc_read_refs").stdout
