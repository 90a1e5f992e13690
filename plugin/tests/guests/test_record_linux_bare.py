# SPDX-License-Identifier: MIT
"""A Linux kernel whose debug sections are stripped: symbols, registers and struct offsets give the same clocks."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guest import Machine, parse_messages
from recorded import Recorded, cached_record, record

# CLOCK_SOURCE_VALID_FOR_HRES: tsc takes it over from tsc-early, if the watchdog has come to that one by then.
VALID_FOR_HRES = 0x20


@dataclass(frozen=True)
class Bare(Machine):
    """The same machine with a kernel that has symbols alone."""

    stripped: Path = Path()

    @property
    def vmlinux(self) -> Path:
        return self.stripped


def told(recorded: Recorded, what: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a kind, in order: clock, and values."""
    return [(event["clock"], event["values"]) for event in recorded.events if event["what"] == what]


def check_log(recorded: Recorded) -> None:
    """What a boot measures, tries again and gives up is its own: held against what this very boot printed."""
    said, messages, lines = parse_messages(recorded.log), recorded.messages(), recorded.clock_lines()
    assert lines and [line for line in messages if line in lines] == lines
    printed = [match[1] for match in re.finditer(r"^\[ *[\d.]+\](?:\[[^]\n]*\])? (.*?)\r?$", recorded.log, re.M)]
    assert [line for line in printed if line in messages] == messages
    registered = told(recorded, "clock.registered")
    assert [(clock, values["mask"]) for clock, values in registered] == [
        (each.name, each.mask) for each in said.registered
    ]
    for (_, values), each in zip(registered, said.registered):
        # clocks_calc_max_nsecs(): a clock may be adjusted by 11 %, and half is left as a margin.
        by_log = each.max_cycles * 1e9 / each.max_idle_ns * 0.89 / 2
        assert values["frequency_hz"] == pytest.approx(by_log, rel=0.005), each.name
    selected = told(recorded, "clock.selected")
    assert [clock for clock, _ in selected] == said.switched
    assert [values["replaced"] for _, values in selected] == ["jiffies", *said.switched[:-1]]
    ratings = {clock: values["rating"] for clock, values in registered}
    assert [values["rating"] for _, values in selected] == [ratings[clock] for clock in said.switched]
    clocks = [clock for clock in recorded.timeline["clocks"] if clock["kind"] == "clocksource"]
    assert [clock["name"] for clock in clocks if clock["current"]] == [said.current]


def check_devices(recorded: Recorded) -> None:
    """The kernel prints nothing of its event devices: they are held against what the calibration gave in this boot."""
    registered, selected = told(recorded, "device.registered"), told(recorded, "device.selected")
    assert selected and [clock for clock, _ in selected] == [clock for clock, _ in registered]
    assert {values["processor"] for _, values in selected} == {0}
    results = [values for clock, values in told(recorded, "calibration.finished") if clock == "lapic"]
    # setup_APIC_timer() is told a sixteenth of the bus clock, APIC_DIVISOR.
    found = dict(registered)["lapic"]["frequency_hz"]
    assert found == pytest.approx(results[-1]["frequency_hz"] / 16, rel=0.001)


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_same_clocks(kernel: str, shared_directory: Path, tmp_path: Path) -> None:
    whole = cached_record(Machine(kernel=kernel), shared_directory)
    stripped = tmp_path / "vmlinux"
    subprocess.run(["objcopy", "--strip-debug", Machine(kernel=kernel).vmlinux, stripped], check=True)
    bare = record(Bare(kernel=kernel, stripped=stripped), tmp_path)
    for each in (bare, whole):
        check_log(each)
        check_devices(each)
    # What the kernel's source says of a clock is the same in any boot that has it.
    for what, names in (("clock.registered", ("rating", "mask")), ("device.registered", ("rating", "irq"))):
        found, expected = dict(told(bare, what)), dict(told(whole, what))
        both = found.keys() & expected.keys()
        assert both
        for clock in both:
            assert [found[clock][name] for name in names] == [expected[clock][name] for name in names], clock
            if what == "clock.registered":
                assert (found[clock]["flags"] ^ expected[clock]["flags"]) & ~VALID_FOR_HRES == 0, clock
