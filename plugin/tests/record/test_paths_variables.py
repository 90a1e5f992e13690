# SPDX-License-Identifier: MIT
"""The variables that a trace names for the operands of comparisons, against what GDB says is where in the same kernel."""

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from guest import Machine, machine
from traced import trace

from clockscope.live.branches import Options
from clockscope.profiles import profile
from clockscope.arch.known import PROCESSOR
from clockscope.model.registers import compared

# Without a first process the kernel panics, and the guest ends, as soon as its clocks are up.
MACHINE = machine("rdinit=/none")
MASK = (1 << 64) - 1

# GDB's `info scope`: each variable of the innermost function around an address, with the ranges in which it is somewhere.
_SYMBOL = re.compile(r"^Symbol (\S+) is (.*)$")
_RANGE = re.compile(r"Range (0x[0-9a-f]+)-(0x[0-9a-f]+): (.*)$")
_REGISTER = re.compile(r"a variable in \$(\w+)")

Row = Mapping[str, Any]


class Scopes:
    """What GDB knows of several addresses."""

    def __init__(self, booted: Machine, addresses: list[int]) -> None:
        asked = [f"-ex=info scope *{address:#x}" for address in addresses]
        done = subprocess.run(
            ["gdb", "-nx", "-batch", *asked, booted.vmlinux], capture_output=True, text=True, check=True
        )
        answers = re.split(r"^(?:Scope for \*|Symbol table .*\*)(?=0x)", done.stdout, flags=re.MULTILINE)[1:]
        self.known: dict[int, set[str]] = {}  # the variables that are somewhere
        self._places: dict[int, dict[str, set[str]]] = {}  # … and those in each register
        for answer in answers:
            address = int(answer.split(":", 1)[0].split()[0], 16)
            self.known[address], self._places[address] = _read(answer, address)

    def held(self, address: int, register: str) -> set[str]:
        return self._places.get(address, {}).get(PROCESSOR.whole_register(register)[0], set())


def _read(answer: str, address: int) -> tuple[set[str], dict[str, set[str]]]:
    known: set[str] = set()
    places: dict[str, set[str]] = {}
    name = ""
    for line in answer.splitlines():
        symbol, found = _SYMBOL.match(line), _RANGE.search(line)
        name = symbol[1] if symbol else name
        if found and not int(found[1], 16) <= address < int(found[2], 16):
            continue
        if found or (symbol and not re.match("multi-location|optimized out", symbol[2])):
            known.add(name)
        if register := _REGISTER.search(line):
            places.setdefault(register[1], set()).add(name)
    return known, places


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Each branch of the traced functions with its `comparison`, its `operands` and the `variables` recorded for them."""
    traced = trace(MACHINE, tmp_path_factory.mktemp("variables"), profile.load("linux").branches, Options(virtual=True))
    with traced.open() as opened:
        found = opened.rows("SELECT * FROM instruction WHERE kind = 'branch'")
        for branch in found:
            place = [branch["function"], branch["block"]]
            block = opened.rows("SELECT * FROM instruction WHERE function = ? AND block = ? ORDER BY address", place)
            branch["operands"] = compared(block, branch)
            writers = [row for row in block if row["flags"] & 2 and row["address"] < branch["address"]]
            branch["comparison"] = writers[-1] if writers else None
            branch["adjacent"] = len(block) > 1 and block[-2] in writers
            named = opened.rows(
                "SELECT * FROM variable WHERE function = ? AND address = ?", [branch["function"], branch["address"]]
            )
            branch["variables"] = {row["operand"]: row["name"] for row in named}
    return found


def addresses(branch: Row) -> tuple[int, int]:
    return branch["comparison"]["address"] & MASK, branch["address"] & MASK


@pytest.fixture(scope="module")
def scopes(branches: list[dict[str, Any]]) -> Scopes:
    compared_at = [addresses(branch) for branch in branches if branch["comparison"]]
    return Scopes(MACHINE, sorted({address for pair in compared_at for address in pair}))


def test_what_is_named_is_there(branches: list[dict[str, Any]], scopes: Scopes) -> None:
    """A name that GDB knows in the innermost function is in that register by GDB's word too."""
    agreed = 0
    for branch in branches:
        for operand, name in branch["variables"].items():
            places = [at for at in addresses(branch) if name in scopes.known.get(at, ())]
            if places and operand.startswith("%"):
                assert any(name in scopes.held(at, operand[1:]) for at in places), (hex(places[0]), operand, name)
                agreed += 1
    assert agreed > 30


def test_what_is_there_is_named(branches: list[dict[str, Any]], scopes: Scopes) -> None:
    """Where GDB finds a variable in a register that is compared right before the branch, the trace names it."""
    found = 0
    for branch in branches:
        if not branch["adjacent"] or not re.match("cmp|test|bt", branch["comparison"]["text"]):
            continue
        for operand in (one for one in branch["operands"] if one.startswith("%")):
            held = scopes.held(addresses(branch)[0], operand[1:])
            assert not held or branch["variables"].get(operand) in held, (hex(addresses(branch)[0]), operand, held)
            found += bool(held)
    assert found > 30


def test_a_slot_of_the_stack(branches: list[dict[str, Any]]) -> None:
    """hpet_enable(), arch/x86/kernel/hpet.c: cpuid(…, &mwait_substates); if ((mwait_substates & …) …)."""
    names = {name for branch in branches for one, name in branch["variables"].items() if one.endswith("(%rsp)")}
    assert "mwait_substates" in names
