# SPDX-License-Identifier: MIT
"""A Linux kernel whose debug sections are stripped: symbols, registers and struct offsets give the same clocks."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guest import Machine
from recorded import cached_record, record


@dataclass(frozen=True)
class Bare(Machine):
    """The same machine with a kernel that has symbols alone."""

    stripped: Path = Path()

    @property
    def vmlinux(self) -> Path:
        return self.stripped


def model_of(timeline: dict[str, Any]) -> list[dict[str, Any]]:
    """What a timeline says of each clock, by name, but for what was measured: no two boots measure alike."""
    names = ("name", "kind", "rating", "mask", "flags", "current")
    clocks = sorted(timeline["clocks"], key=lambda clock: (clock["kind"], clock["name"]))
    return [{name: clock[name] for name in names} for clock in clocks]


def told(events: list[dict[str, Any]], what: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a kind, in order: clock, and values."""
    return [(event["clock"], event["values"]) for event in events if event["what"] == what]


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_same_clocks(kernel: str, shared_directory: Path, tmp_path: Path) -> None:
    whole = cached_record(Machine(kernel=kernel), shared_directory)
    stripped = tmp_path / "vmlinux"
    subprocess.run(["objcopy", "--strip-debug", Machine(kernel=kernel).vmlinux, stripped], check=True)
    bare = record(Bare(kernel=kernel, stripped=stripped), tmp_path)
    assert bare.log.count(": mask: ") == whole.log.count(": mask: ") > 0
    assert model_of(bare.timeline) == model_of(whole.timeline)
    for what in ("clock.registered", "device.registered"):
        found, expected = told(bare.events, what), told(whole.events, what)
        assert [clock for clock, _ in found] == [clock for clock, _ in expected]
        measured = [(mine["frequency_hz"], theirs["frequency_hz"]) for (_, mine), (_, theirs) in zip(found, expected)]
        assert measured and all(mine == pytest.approx(theirs, rel=0.02) for mine, theirs in measured)
    for what, names in (("clock.selected", ("rating", "replaced")), ("device.selected", ("processor",))):
        found, expected = told(bare.events, what), told(whole.events, what)
        assert found and [(clock, *(values[name] for name in names)) for clock, values in found] == [
            (clock, *(values[name] for name in names)) for clock, values in expected
        ]
    assert [event["what"] for event in bare.events if event["clock"] == "lapic"] == [
        event["what"] for event in whole.events if event["clock"] == "lapic"
    ]
