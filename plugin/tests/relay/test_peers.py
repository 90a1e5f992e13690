# SPDX-License-Identifier: MIT
"""Real stubs: an ordinary program under gdbserver and qemu-x86_64 counts itself, and GDB debugs it as ever."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from debuggee import Peer, Program, compile_program, relay_to, start_gdbserver, start_qemu, transcript

SOURCE = r"""
#include <stdio.h>
#include <string.h>

volatile int leaves, pairs, level, watched, forever = 1;

__attribute__((noinline)) int leaf(int n)
{
	leaves++;
	return n & 1;
}

__attribute__((noinline)) int pair(int n)
{
	pairs++;
	return leaf(n) + leaf(n + 1);
}

__attribute__((noinline)) int recurse(int n)
{
	level++;
	return n ? recurse(n - 1) + leaf(n) : 0;
}

__attribute__((noinline)) void spin(void)
{
	while (forever) leaf(0);
}

int main(int argc, char **argv)
{
	int sum = 0;

	(void)argv;
	for (int i = 0; i < 20; i++)
		sum += pair(i);
	sum += recurse(7);
	watched = 42;
	sum += pair(sum);
	if (argc > 1)
		spin();
	printf("leaf %d pair %d recurse %d\n", leaves, pairs, level);
	fflush(stdout);
	return sum < 0;
}
"""


@pytest.fixture(scope="module", params=["dynamic", "static"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    directory = tmp_path_factory.mktemp("peer")
    return compile_program(SOURCE, directory, *(["-static"] if request.param == "static" else []))


Start = Callable[..., Peer]


@pytest.fixture(params=[start_gdbserver, start_qemu], ids=["gdbserver", "qemu-x86_64"])
def start(request: pytest.FixtureRequest, program: Program, tmp_path: Path) -> Iterator[Start]:
    """start("argument"): the program under a stub, killed after the test."""
    peers: list[Peer] = []

    def run(*arguments: str) -> Peer:
        peers.append(request.param(program, tmp_path, *arguments))
        return peers[-1]

    yield run
    for peer in peers:
        peer.process.kill()
        peer.process.communicate()


def test_counts_are_what_the_program_says(start: Start, program: Program) -> None:
    peer = start()
    with relay_to(peer) as relay:
        for name in ("leaf", "pair", "recurse", "spin"):
            relay.add_counter(program.symbols[name], name)
        relay.resume()
        stop = relay.wait(60)
        assert stop is not None and stop.startswith(b"W0")
        counted = {counter["name"]: counter["hits"] for counter in relay.counters()}
        own = relay.statistics()["own_stops"]
    said = re.search(r"leaf (\d+) pair (\d+) recurse (\d+)", peer.output())
    assert said is not None
    assert counted == {"leaf": int(said[1]), "pair": int(said[2]), "recurse": int(said[3]), "spin": 0}
    assert own > 50


def test_detached_it_runs_on_alone(start: Start, program: Program) -> None:
    peer = start()
    with relay_to(peer) as relay:
        relay.add_counter(program.symbols["leaf"], "leaf")
        relay.detach()
    assert "leaf 49 pair 21 recurse 8" in peer.output()


# --- GDB's transcripts, with and without the relay ---

STEPPING = """
break pair
continue
print n
backtrace
finish
stepi
next
next
tbreak leaf
continue
up
info locals
delete
break recurse if n == 3
continue
backtrace
delete
print leaves
print $_siginfo.si_signo
continue
"""

WATCHING = """
break recurse
continue
delete
watch watched
continue
delete
continue
"""

# qemu-x86_64 has no watchpoints: GDB steps, over the probes too.
WATCHING_BY_STEPS = "set can-use-hw-watchpoints 0" + WATCHING

LEAVING = """
break recurse
continue
detach
"""

KILLING = """
break recurse
continue
kill
"""

INTERRUPTING = """
break spin
continue
delete
python import os; os.system(f"(sleep 0.5; kill -INT {os.getpid()}) &")
continue
info symbol $pc
print forever = 0
continue
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [(STEPPING, "exited"), (WATCHING_BY_STEPS, "New value = 42"), (LEAVING, "detached"), (KILLING, "killed")],
    ids=["stepping", "watching by steps", "leaving", "killing"],
)
def test_gdb_shows_the_same(start: Start, program: Program, script: str, expected: str) -> None:
    assert expected in the_same(start, program, script)


def the_same(start: Start, program: Program, script: str, settings: Sequence[str] = ()) -> str:
    """What GDB prints of the script, with the relay between as without it."""
    plain = transcript(program, start().address, script, settings)
    with relay_to(start()) as relay:
        for name in ("leaf", "pair", "recurse", "main"):
            relay.add_counter(program.symbols[name], name)
        assert transcript(program, relay.socket_path, script, settings) == plain
    return plain


# QEMU since 8.1 tells no GDB the program's name that does not say which process it means.
MODEST = [
    f"set remote {packet}-packet off"
    for packet in ("multiprocess-feature", "threads", "swbreak-feature", "hwbreak-feature", "pid-to-exec-file")
]


@pytest.mark.parametrize(
    ("script", "expected"),
    [(STEPPING + "info threads\n", "exited"), (KILLING, "killed")],
    ids=["stepping", "killing"],
)
def test_gdb_that_negotiates_little_shows_the_same(start: Start, program: Program, script: str, expected: str) -> None:
    """The relay has negotiated more with the stub than GDB has with the relay."""
    assert expected in the_same(start, program, script, MODEST)


@pytest.mark.usefixtures("hardware_watchpoints")
def test_gdb_watches_the_same(start: Start, program: Program) -> None:
    """By the processor's own watchpoints, which a stub may lack (qemu-x86_64), and a host."""
    plain = the_same(start, program, WATCHING)
    assert "New value = 42" in plain or "Could not insert hardware watchpoint" in plain


def test_counts_hold_while_gdb_debugs(start: Start, program: Program) -> None:
    peer = start()
    with relay_to(peer) as relay:
        for name in ("leaf", "pair", "recurse"):
            relay.add_counter(program.symbols[name], name)
        transcript(program, relay.socket_path, STEPPING)
        counted = {counter["name"]: counter["hits"] for counter in relay.counters()}
    assert counted == {"leaf": 49, "pair": 21, "recurse": 8}
    assert "leaf 49 pair 21 recurse 8" in peer.output()


def test_ctrl_c_in_gdb_among_own_stops(start: Start, program: Program, tmp_path: Path) -> None:
    """The program calls a probed function without end: one Ctrl-C, one stop, and it goes on afterwards."""
    peer = start("spin")
    with relay_to(peer) as relay:
        relay.add_counter(program.symbols["leaf"], "leaf")
        text = transcript(program, relay.socket_path, INTERRUPTING)
        assert relay.statistics()["own_stops"] > 50
        counted = relay.counters()[0]["hits"]
    assert text.count("received signal SIGINT") == 1
    assert "exited" in text
    said = re.search(r"leaf (\d+)", peer.output())
    assert said is not None and int(said[1]) == counted
