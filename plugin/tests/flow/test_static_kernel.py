# SPDX-License-Identifier: MIT
"""Static analysis of Debian's kernels: jump targets against objdump's, the functions traced by default, and the time it
takes."""

import random
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clockscope.model import flow_graph
from clockscope._core import Analyser, FormatError
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from guest import Machine

SAMPLE = 500
SEED = 3
KERNELS = ("6.1", "6.12")

_TRANSFER = re.compile(
    r"^\s*([0-9a-f]+):\s+(?:(?:bnd|notrack|cs|ds|data16|rex\.W|repz|repnz) )*(j[a-z]+|call|loop[a-z]*)\S*\s+0x([0-9a-f]+)"
)
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    return Machine(kernel=request.param).vmlinux


def objdump(elf: ElfFile, start: int, end: int, path: Path) -> tuple[dict[int, int], set[int]]:
    """Targets of direct jumps and calls by their address, and where instructions begin, as objdump says."""
    path.write_bytes(elf.read(start, end - start))
    listing = subprocess.run(
        [
            "objdump",
            "-D",
            "-w",
            "-b",
            "binary",
            "-m",
            "i386:x86-64",
            "--no-show-raw-insn",
            f"--adjust-vma={start:#x}",
            path,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    targets, begins = {}, set()
    for line in listing.splitlines():
        if found := _INSTRUCTION.match(line):
            begins.add(int(found[1], 16))
        if found := _TRANSFER.match(line):
            targets[int(found[1], 16)] = int(found[3], 16)
    return targets, begins


def blocks_within(function: dict[str, Any], start: int, end: int) -> Iterator[dict[str, Any]]:
    return (block for block in function["blocks"] if start <= block["start"] < end)


def test_targets_agree_with_objdump(kernel: Path, tmp_path: Path) -> None:
    analyser, elf = Analyser(str(kernel)), ElfFile(str(kernel))
    everything = [(name, start, size) for name, start, size in analyser.functions() if size > 1]
    jumps = 0
    for name, start, size in random.Random(SEED).sample(everything, SAMPLE):
        targets, begins = objdump(elf, start, start + size, tmp_path / "text")
        for function in analyser.analyse(name):
            if function["entry"] != start:
                continue
            for block in blocks_within(function, start, start + size):
                for one in block["instructions"]:
                    assert one["address"] in begins, f"{name}: {one['address']:#x} {one['text']}"
                    if one["kind"] in ("branch", "jump", "call"):
                        assert (
                            targets.get(one["address"]) == one["target"]
                        ), f"{name}: {one['address']:#x} {one['text']}"
                        jumps += 1
                    else:
                        assert one["address"] not in targets, f"{name}: {one['address']:#x} {one['text']}"
    assert jumps > 5 * SAMPLE
    print(f"{jumps} jumps and calls of {SAMPLE} functions")


def test_little_is_left_out(kernel: Path, tmp_path: Path) -> None:
    """What objdump shows and the graph lacks is padding, or behind what never returns."""
    analyser, elf = Analyser(str(kernel)), ElfFile(str(kernel))
    named = [name for name in profile.load("linux").branches.functions if analyser.summarise(name)]
    assert len(named) >= 25
    for name in named:
        for function in analyser.analyse(name):
            size = next(size for other, start, size in analyser.functions() if start == function["entry"])
            targets, _ = objdump(elf, function["entry"], function["entry"] + size, tmp_path / "text")
            known = {one["address"] for block in function["blocks"] for one in block["instructions"]}
            assert set(targets) <= known, f"{name}: {[hex(one) for one in set(targets) - known]}"
            assert function["complete"]


def test_time(kernel: Path, tmp_path: Path) -> None:
    """Under a millisecond a function in the median, under 50 ms for all that are traced by default."""
    analyser, elf = Analyser(str(kernel)), ElfFile(str(kernel))
    names = profile.load("linux").branches.functions
    hints = flow_graph.hints_of(elf)
    known = hints.known
    rounds = []
    for _ in range(5):
        rounds.append([one["ns"] / 1e6 for name in names for one in analyser.summarise(name, **known)])
    best = [min(times) for times in zip(*rounds, strict=True)]
    began = time.monotonic()
    for name in names:
        for function in analyser.analyse(name):
            end = max(block["end"] for block in function["blocks"] if not block["cold"])
            objdump(elf, function["entry"], end, tmp_path / "text")
    theirs = 1000 * (time.monotonic() - began)
    print(
        f"{len(best)} functions: median {statistics.median(best):.3f} ms, all {sum(best):.1f} ms;"
        f" objdump on the same bytes {theirs:.0f} ms, {theirs / sum(best):.0f} times as long"
    )
    assert statistics.median(best) < 1
    assert sum(best) < 50


def test_plans_of_what_is_traced_by_default(kernel: Path) -> None:
    analyser = Analyser(str(kernel))
    hints = flow_graph.hints_of(ElfFile(str(kernel)))
    assert hints.references and hints.measuring
    known = hints.known
    stops = naive = 0.0
    for name in profile.load("linux").branches.functions:
        for one in analyser.summarise(name, **known, allow_patched=True):
            assert one["probes"], one["function"]
            assert one["determined"] or one["windows"], one["function"]
            stops += one["stops"]
            naive += one["naive_stops"]
    print(f"expected stops a call for the branches: {stops:.1f}, {naive:.1f} with a stop at each")
    assert stops < 0.6 * naive


def test_the_window_of_tsc_read_refs() -> None:
    """Up to five tries of TSC, reference, TSC: seen from the machine code."""
    (function,) = Analyser(str(Machine().vmlinux)).analyse("tsc_read_refs")
    (window,) = function["windows"]
    (loop,) = function["loops"]
    assert window["polls"]
    assert loop["rounds"] == 5
    assert not function["determined"]
    inside = [one for block in function["blocks"] for one in block["instructions"] if one["in_window"]]
    assert {"rdtsc", "branch", "call"} <= {one["kind"] for one in inside}
    probes = {probe["address"] for probe in function["probes"]}
    assert probes.isdisjoint(one["address"] for one in inside)


def test_intrusive_and_budget() -> None:
    analyser = Analyser(str(Machine().vmlinux))
    (intrusive,) = analyser.summarise("tsc_read_refs", intrusive=True)
    assert intrusive["determined"]
    (small,) = analyser.summarise("tsc_refine_calibration_work", budget=4)
    assert small["probes"] == 4
    assert small["left_out"] > 0
    assert not small["determined"]


def test_cpu_features_are_tested_out_of_line() -> None:
    """static_cpu_has() in 6.12's tsc_init: until it is patched it jumps to .altinstr_aux, and from there back."""
    (function,) = Analyser(str(Machine(kernel="6.12").vmlinux)).analyse("tsc_init")
    kinds = {edge["kind"] for block in function["blocks"] for edge in block["next"]}
    assert "alternate" in kinds
    assert any(block["cold"] and block["next"] for block in function["blocks"])
    assert function["complete"]


def test_what_is_no_kernel() -> None:
    with pytest.raises(FormatError, match="not an ELF file"):
        Analyser(__file__)
    assert Analyser(str(Machine().vmlinux)).analyse("no_such_function") == []
