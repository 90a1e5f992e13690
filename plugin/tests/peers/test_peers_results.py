# SPDX-License-Identifier: MIT
"""The comparison of two runs of GDB's testsuite, and gdbserver's arguments; not the testsuite itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from peers.relayed import parse as parse_command
from peers.results import Limit, covered, load_limits, lost, parse, steadily_lost

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

DIRECT = """\
Running target native-gdbserver
PASS: gdb.base/a.exp: break
PASS: gdb.base/a.exp: break
PASS: gdb.base/a.exp: attach to process 1234
FAIL: gdb.base/a.exp: never
PASS: gdb.base/b.exp: non-stop: run
# of expected passes 3
"""


def test_what_is_lost() -> None:
    relayed = """\
PASS: gdb.base/a.exp: break
FAIL: gdb.base/a.exp: break
PASS: gdb.base/a.exp: attach to process 4321
PASS: gdb.base/a.exp: never
"""
    direct, through = parse(DIRECT), parse(relayed)
    assert (direct.passes, through.passes) == (4, 3)
    assert lost(direct, through) == ["gdb.base/a.exp: break", "gdb.base/b.exp: non-stop: run"]
    assert through.how("gdb.base/a.exp: break") == "FAIL"
    assert through.how("gdb.base/b.exp: non-stop: run") == "not reached"
    assert lost(direct, direct) == []


def test_a_test_that_fails_directly_too_is_not_the_relays_fault() -> None:
    good, bad = parse("PASS: gdb.base/a.exp: break"), parse("FAIL: gdb.base/a.exp: break")
    name = "gdb.base/a.exp: break"
    assert steadily_lost(name, [good, good, good], [bad, bad, good])
    assert not steadily_lost(name, [good, good, good], [bad, good, good])
    assert not steadily_lost(name, [good, bad, good], [bad, bad, bad])


def test_a_limit_covers_what_it_names() -> None:
    limit = Limit("non-stop mode", "no non-stop mode", ("gdb.base/b.exp: non-stop: *",))
    names = lost(parse(DIRECT), parse(""))
    assert covered(names, [limit]) == {"gdb.base/b.exp: non-stop: run": limit}


def test_the_limits_tell_of_each() -> None:
    limits = " ".join((ROOT / "examples/LIMITS.md").read_text().split())
    for limit in load_limits(tomllib.loads((HERE / "testsuite.toml").read_text())["limit"]):
        assert limit.readme in limits, limit.reason


@pytest.mark.parametrize(
    ("arguments", "address", "once"),
    [
        (["--once", "localhost:2346", "a.out", "-x"], "localhost:2346", True),
        ([":2346", "a.out", "--once"], ":2346", False),
        (["--once", "--wrapper", "env", "A=1", "--", ":2346", "a.out"], ":2346", True),
        (["--attach", "[::1]:2346", "17"], "[::1]:2346", False),
        (["-", "a.out"], "-", False),
    ],
)
def test_gdbservers_arguments(arguments: list[str], address: str, once: bool) -> None:
    command = parse_command(arguments)
    assert command is not None and (command.address, command.once) == (address, once)
    assert command.at("127.0.0.1:1")[1:] == ["127.0.0.1:1" if part == address else part for part in arguments]


@pytest.mark.parametrize("arguments", [[], ["--version"], ["--wrapper", "env"]])
def test_gdbserver_that_is_not_to_serve(arguments: list[str]) -> None:
    assert parse_command(arguments) is None
