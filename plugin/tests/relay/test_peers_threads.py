# SPDX-License-Identifier: MIT
"""Several threads under gdbserver, which reach one probe at the same time, or after their tracer was stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from debuggee import Peer, Program, compile_program, relay_to, start_gdbserver, transcript

from clockscope._core import ProtocolError, Relay

# With an argument it does what GDB's own siginfo-threads.c does: it stops its tracer, and its threads run into the probe.
SOURCE = r"""
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4
#define CALLS 150

static int calls[THREADS];
static pthread_barrier_t begin;

__attribute__((noinline)) void shared(int *count)
{
	++*count;
}

static void *run(void *count)
{
	pthread_barrier_wait(&begin);
	for (int i = 0; i < CALLS; i++)
		shared(count);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int sum = 0;

	(void)argv;
	pthread_barrier_init(&begin, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, &calls[i]);
	if (argc > 1)
		kill(getppid(), SIGSTOP);
	pthread_barrier_wait(&begin);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		sum += calls[i];
	printf("called %d\n", sum);
	return 0;
}
"""
CALLED = 4 * 150


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return compile_program(SOURCE, tmp_path_factory.mktemp("threads"), "-pthread")


@pytest.fixture
def peers(program: Program, tmp_path: Path) -> Iterator[list[Peer]]:
    """Killed after the test; one that is stopped too."""
    started: list[Peer] = []
    yield started
    for peer in started:
        peer.process.kill()
        peer.process.communicate()


def hits(relay: Relay) -> list[int]:
    return [counter["hits"] for counter in relay.counters()]


@pytest.mark.parametrize("also_run", [False, True], ids=["one counter", "two counters"])
def test_threads_that_reach_one_probe_at_once_are_all_counted(
    program: Program, tmp_path: Path, peers: list[Peer], also_run: bool
) -> None:
    peers.append(start_gdbserver(program, tmp_path))
    with relay_to(peers[0]) as relay:
        relay.add_counter(program.symbols["shared"], "shared")
        if also_run:
            relay.add_counter(program.symbols["run"], "run")
        relay.resume()
        stop = relay.wait(60)
        assert stop is not None and stop.startswith(b"W0")
        assert hits(relay) == [CALLED, 4][: 1 + also_run]
    assert f"called {CALLED}" in peers[0].output()


def test_gdb_debugs_threads_among_own_stops(program: Program, tmp_path: Path, peers: list[Peer]) -> None:
    """GDB has a breakpoint with a condition at the same function."""
    script = "break shared if *count == 100\ncontinue\ncontinue\ninfo threads\nnext\ndelete\ncontinue"
    peers.append(start_gdbserver(program, tmp_path))
    with relay_to(peers[0]) as relay:
        relay.add_counter(program.symbols["shared"], "shared")
        text = transcript(program, relay.socket_path, script)
        assert hits(relay) == [CALLED]
    assert len(re.findall("hit Breakpoint 1", text)) >= 2 and "exited normally" in text
    assert f"called {CALLED}" in peers[0].output()


def wait_for_state(pid: int, state: str) -> None:
    deadline = time.monotonic() + 20
    while f"State:\t{state}" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_guest_that_stops_its_stub_hangs_nobody(program: Program, tmp_path: Path, peers: list[Peer]) -> None:
    """Nothing is told, for there is nobody to tell it; each wait ends, and all goes on once the stub does."""
    peers.append(start_gdbserver(program, tmp_path, "stop"))
    with relay_to(peers[0]) as relay:
        relay.add_counter(program.symbols["shared"], "shared")
        relay.resume()
        wait_for_state(peers[0].process.pid, "T")
        assert relay.wait(0.5) is None and relay.state == "running"
        os.kill(peers[0].process.pid, signal.SIGCONT)
        stop = relay.wait(60)
        assert stop is not None and stop.startswith(b"W0")
        assert hits(relay) == [CALLED]


def test_a_stub_that_is_stopped_is_left_in_time(program: Program, tmp_path: Path, peers: list[Peer]) -> None:
    peers.append(start_gdbserver(program, tmp_path, "stop"))
    relay = Relay(peers[0].address, request_timeout=0.5)
    relay.add_counter(program.symbols["shared"], "shared")
    relay.resume()
    wait_for_state(peers[0].process.pid, "T")
    began = time.monotonic()
    relay.interrupt()
    assert relay.wait(0.2) is None
    relay.close()
    assert time.monotonic() - began < 5


def test_a_gdbserver_without_a_program_is_told_of(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as file:
        server = subprocess.Popen(["gdbserver", "--multi", "127.0.0.1:0"], stderr=file)
    try:
        deadline = time.monotonic() + 10
        while (match := re.search(r"Listening on port (\d+)", said.read_text())) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(ProtocolError, match="nothing runs at the stub; start your guest there first"):
            Relay(f"127.0.0.1:{match[1]}")
    finally:
        server.kill()
        server.wait()
