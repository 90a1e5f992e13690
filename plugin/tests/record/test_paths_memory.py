# SPDX-License-Identifier: MIT
"""Text as it is in the guest's memory: patched by the kernel itself, or not what the symbol file has."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from guest import machine
from model import model
from traced import Traced, chosen, run_to, trace

from clockscope._core import Analyser, Relay, Trace
from clockscope.live.branches import Options

MASK = (1 << 64) - 1
LIVE = Options(virtual=True)

# By then Linux has applied its alternatives and taken the calls of __fentry__ out.
LATE = machine("rdinit=/none")
FUNCTIONS = ["__clocksource_select", "timekeeping_notify", "change_clocksource", "__clocksource_register_scale"]


def symbol(analyser: Analyser, name: str) -> tuple[int, int]:
    return next((address, size) for known, address, size in analyser.functions() if known == name)


def instructions(opened: Trace, name: str) -> dict[int, str]:
    rows = opened.rows(
        "SELECT i.address, i.text FROM instruction i JOIN function f ON f.id = i.function WHERE f.name = ?", [name]
    )
    return {row["address"] & MASK: row["text"] for row in rows}


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[Traced, dict[str, bytes]]:
    """A trace that began when the kernel was up, and the text that it had in memory then."""
    analyser = Analyser(str(LATE.vmlinux))
    memory: dict[str, bytes] = {}

    def arrive(relay: Relay) -> None:
        run_to(relay, symbol(analyser, "clocksource_done_booting")[0])
        memory.update({name: relay.read_memory(*symbol(analyser, name)) for name in FUNCTIONS})

    traced = trace(LATE, tmp_path_factory.mktemp("late"), chosen(FUNCTIONS), LIVE, arrive=arrive)
    return traced, memory


def disassembled(code: bytes, address: int, directory: Path) -> dict[int, str]:
    """Mnemonics by address, as objdump reads these bytes."""
    (directory / "text").write_bytes(code)
    form = ["-D", "-b", "binary", "-m", "i386:x86-64", f"--adjust-vma={address:#x}"]
    done = subprocess.run(["objdump", *form, directory / "text"], capture_output=True, text=True, check=True)
    found = re.finditer(r"^\s*([0-9a-f]+):\t[0-9a-f ]+\t(\S+)", done.stdout, re.MULTILINE)
    return {int(one[1], 16): one[2] for one in found}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_linux_patched(late: tuple[Traced, dict[str, bytes]], name: str, tmp_path: Path) -> None:
    """A guest that is up already: its functions begin with a nop, where the file calls __fentry__."""
    traced, memory = late
    entry, _ = symbol(Analyser(str(LATE.vmlinux)), name)
    truth = disassembled(memory[name], entry, tmp_path)
    with traced.open() as opened:
        found = instructions(opened, name)
        (note,) = (row["note"] for row in opened.rows("SELECT note FROM function WHERE name = ?", [name]))
    (function,) = Analyser(str(LATE.vmlinux)).analyse(name)
    before = {one["address"]: one["text"] for block in function["blocks"] for one in block["instructions"]}
    assert before[entry].startswith("call") and found[entry].startswith("nop") and truth[entry].startswith("nop")
    own = {address: text.split()[0] for address, text in found.items() if address - entry < len(memory[name])}
    assert own.keys() <= truth.keys()
    branches = {address for address, text in own.items() if text.startswith("j")}
    assert branches and all(truth[address] == own[address] for address in branches)
    assert "in memory" not in note  # the kernel's tables say that it patches there


def test_its_paths_are_known(late: tuple[Traced, dict[str, bytes]]) -> None:
    traced, _ = late
    assert {name: traced.statistics[name] for name in ("orphans", "mismatches")} == {"orphans": 0, "mismatches": 0}
    with traced.open() as opened:
        invocations = opened.rows("SELECT i.*, f.name FROM invocation i JOIN function f ON f.id = i.function")
    assert {row["name"] for row in invocations} == set(FUNCTIONS)
    assert all(row["complete"] and row["consistent"] and row["returned"] != "not seen" for row in invocations)


def rare(opened: Trace) -> list[dict[str, Any]]:
    return opened.rows(
        "SELECT i.value, i.consistent, d.taken FROM invocation i JOIN function f ON f.id = i.function"
        " JOIN decision d ON d.invocation = i.id WHERE f.name = 'work_rare' ORDER BY i.seq"
    )


def test_code_that_the_file_does_not_have(tmp_path: Path) -> None:
    """The comparison of work_rare is turned round in memory, which no table tells of: the path is the guest's."""
    guest = model("netbsd", "healthy", "workload=switch")
    analyser = Analyser(str(guest.vmlinux))
    (function,) = analyser.analyse("work_rare")
    (branch,) = (one for block in function["blocks"] for one in block["instructions"] if one["kind"] == "branch")
    assert branch["condition"] == "e" and branch["length"] == 6  # to the cold part

    def arrive(relay: Relay) -> None:
        run_to(relay, symbol(analyser, "main")[0])
        assert relay.read_memory(branch["address"], 2) == b"\x0f\x84"
        relay.write_memory(branch["address"], b"\x0f\x85")  # jne

    traced = trace(guest, tmp_path, chosen(["work_rare"]), LIVE, arrive=arrive)
    assert traced.statistics["mismatches"] == 0
    with traced.open() as opened:
        assert instructions(opened, "work_rare")[branch["address"]].startswith("jne")
        (note,) = (row["note"] for row in opened.rows("SELECT note FROM function"))
        found = rare(opened)
    assert f"analysed as it is in memory, which is not the symbol file's code at {branch['address'] + 1:#x}" in note
    # Values 0 to 9 and 29: now each but the last is rare, and what is rare is halved.
    assert [(row["taken"], row["value"]) for row in found] == [(1, value // 2) for value in range(10)] + [(0, 30)]
    assert all(row["consistent"] for row in found)


def test_a_debuggers_breakpoint_is_no_code(tmp_path: Path) -> None:
    """An int3 in memory, as KVM's breakpoints are and GDB's own where the stub has none, is not taken for text."""
    guest = model("netbsd", "healthy", "workload=switch")
    analyser = Analyser(str(guest.vmlinux))
    entry = symbol(analyser, "work_rare")[0]
    original = b""

    def arrive(relay: Relay) -> None:
        nonlocal original
        run_to(relay, symbol(analyser, "main")[0])
        original = relay.read_memory(entry, 1)
        relay.write_memory(entry, b"\xcc")

    def prepare(relay: Relay) -> None:
        relay.write_memory(entry, original)

    traced = trace(guest, tmp_path, chosen(["work_rare"]), LIVE, arrive=arrive, prepare=prepare)
    assert traced.statistics["mismatches"] == 0
    with traced.open() as opened:
        assert opened.rows("SELECT note FROM function")[0]["note"] == ""
        assert len(rare(opened)) == 11
