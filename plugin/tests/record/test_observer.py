# SPDX-License-Identifier: MIT
"""The observer effect: what the guest measures is the same whether it is recorded or not, or the trace says otherwise."""

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import read_serial
from model import MODELS, boot_model, calibrated, model

from clockscope.model import flow_graph

# QEMU counts instructions, so untouched boots measure the same each time; guest time leaks where such a guest is stopped.
COUNTED = ("-icount", "shift=3")
MACHINES = {
    "netbsd-rounds": model("netbsd", "rounds", options=()),
    "netbsd-ticks": model("netbsd", "ticks", options=()),
    "netbsd": model("netbsd", options=COUNTED),
    "freebsd": model("freebsd", options=COUNTED),
}
# Of the first two medians; the others have no loop that was ever stopped in.
RECORDINGS = {"netbsd-rounds": 3, "netbsd-ticks": 3}
PPM = 100


@pytest.mark.parametrize("name", MACHINES)
def test_frequencies_are_those_of_an_untouched_boot(name: str, gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    """Medians, for a recording may be held up by a busy host: one stop may cost a millisecond."""
    machine = MACHINES[name]
    recorded = []
    for number in range(RECORDINGS.get(name, 1)):
        serial = tmp_path / f"serial-{number}.log"
        gdb(
            [
                f"file {machine.vmlinux}",
                machine.launch(serial),
                f"clock record --force -o {tmp_path}/a.trace --until exit",
            ]
        )
        recorded.append(calibrated(read_serial(serial)))
    untouched = calibrated(boot_model(machine, tmp_path).log)
    assert untouched
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
