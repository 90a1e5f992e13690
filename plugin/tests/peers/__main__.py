# SPDX-License-Identifier: MIT
"""Runs GDB's testsuite directly and through the relay: `python3 -m peers [--counters] [gdb.base/break …]`.

Exit status 0: no test passes directly and fails through the relay, but for those of testsuite.toml. 1: some do. 2: trouble.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from peers.results import Limit, Results, covered, file_of, load_limits, lost, read_sum, steadily_lost

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WORK = ROOT / "build" / "peers"
SUITE = WORK / "gdb-13.1" / "gdb" / "testsuite"
GDBSERVER = "/usr/bin/gdbserver"
COUNTING = "relay-with-counters"
AGAIN = 2  # further runs of a file some of whose tests were lost

SITE = """\
set srcdir {suite}
set objdir {directory}
set tool gdb
set boards_dir {{}}
lappend boards_dir {suite}/boards
set host_triplet x86_64-pc-linux-gnu
set build_triplet x86_64-pc-linux-gnu
set target_triplet x86_64-pc-linux-gnu
set host_alias x86_64-pc-linux-gnu
set target_alias x86_64-pc-linux-gnu
"""

WRAPPER = """\
#!/bin/sh
PYTHONPATH={plugin}:{tests}:{tests}/support {flags}exec {python} -P -m peers.relayed "$@"
"""


class Trouble(Exception):
    """The tests cannot be run; one line."""


@dataclass(frozen=True)
class Way:
    """How GDB comes to gdbserver."""

    name: str
    server: str


@dataclass(frozen=True)
class Batch:
    """Files of the testsuite, and the board that they run on: `unix` where they start gdbserver themselves."""

    board: str
    files: tuple[str, ...]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Trouble(f"{name} is missing: run `make -f setup.mk peers`, which installs what it needs")
    return found


def write_wrapper(name: str, flags: str = "") -> str:
    path = WORK / name
    text = WRAPPER.format(plugin=ROOT / "plugin", tests=ROOT / "plugin" / "tests", flags=flags, python=sys.executable)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def find_files(patterns: Iterable[str]) -> tuple[str, ...]:
    """Names as the data file has them, `gdb.base/break` or `gdb.server/*`, as files of the testsuite."""
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(str(path.relative_to(SUITE)) for path in SUITE.glob(pattern.removesuffix(".exp") + ".exp"))
        if not matches:
            raise Trouble(f"GDB's testsuite has no {pattern}.exp")
        found += matches
    return tuple(dict.fromkeys(found))


def run(batch: Batch, way: Way, name: str) -> Results:
    """One run of DejaGnu, in a directory of its own; its output stays there."""
    directory = WORK / "runs" / f"{name}-{way.name}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "site.exp").write_text(SITE.format(suite=SUITE, directory=directory))
    command = [program("runtest"), "--tool", "gdb", "--srcdir", str(SUITE), "--objdir", str(directory)]
    command += [f"--target_board={batch.board}", f"GDB={program('gdb')}", f"GDBSERVER={way.server}"]
    command += ["GDB_DATA_DIRECTORY=/usr/share/gdb", *batch.files]
    environment = {key: value for key, value in os.environ.items() if key not in ("DEBUGINFOD_URLS", "DISPLAY")}
    environment |= {"CLOCKSCOPE_PEERS_LOG": str(directory / "relay.log"), "LC_ALL": "C", "TERM": "dumb"}
    with (directory / "output").open("w") as output:
        subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    results = read_sum(directory / "gdb.sum")
    if not results.ended:
        raise Trouble(f"DejaGnu ran no test; see {directory / 'output'}")
    return results


def run_all(batch: Batch, ways: list[Way], name: str) -> list[Results]:
    """At the same time: that spares time, and all have the same load."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: run(batch, way, name), ways))


def settle(batch: Batch, ways: list[Way], name: str, first: list[Results], names: list[str]) -> list[str]:
    """Which of the tests that are lost by the way are lost for good; their files are run again."""
    again = Batch(batch.board, tuple(sorted({file_of(test) for test in names})))
    runs = [first]
    for number in range(1, AGAIN + 1):
        runs.append(run_all(again, ways, f"{name}-again-{number}"))
    return [test for test in names if steadily_lost(test, [one[0] for one in runs], [one[1] for one in runs])]


def check_way(batch: Batch, ways: list[Way], name: str, results: list[Results], limits: list[Limit]) -> list[str]:
    """Compares one way with the direct one; the tests lost without a reason."""
    direct, relayed = results
    names = lost(direct, relayed)
    known = covered(names, [limit for limit in limits if limit.way in ("", ways[1].name)])
    open_ = [test for test in names if test not in known]
    steady = settle(batch, ways, name, results, open_) if open_ else []
    print(f"{name} ({len(batch.files)} files): {direct.passes} pass directly, {relayed.passes} by {ways[1].name}")
    for limit in dict.fromkeys(known.values()):
        print(f"  {sum(found == limit for found in known.values())} need what is not offered: {limit.reason}")
    for test in open_:
        print(f"  {'LOST' if test in steady else 'unsteady'}: {test} ({relayed.how(test)})")
    sys.stdout.flush()
    return steady


def main(arguments: list[str]) -> int:
    counters, chosen = "--counters" in arguments, [name for name in arguments if name != "--counters"]
    data = tomllib.loads((HERE / "testsuite.toml").read_text())
    limits = load_limits(data["limit"])
    batches = [(entry["name"], Batch(entry["board"], find_files(entry["files"]))) for entry in data["run"]]
    if chosen:
        only = set(find_files(chosen))
        batches = [
            (name, Batch(batch.board, tuple(file for file in batch.files if file in only))) for name, batch in batches
        ]
    batches = [(name, batch) for name, batch in batches if batch.files]
    if not batches:
        raise Trouble("none of these files is in plugin/tests/peers/testsuite.toml")
    plain = Way("gdbserver", GDBSERVER)
    relays = [Way("relay", write_wrapper("gdbserver-relayed"))]
    if counters:
        relays += [Way(COUNTING, write_wrapper("gdbserver-counted", "CLOCKSCOPE_PEERS_COUNT=1 "))]
    passes: Counter[str] = Counter()
    bad: list[str] = []
    for name, batch in batches:
        results = run_all(batch, [plain, *relays], name)
        for way, result in zip([plain, *relays], results, strict=True):
            passes[way.name] += result.passes
        for relay, relayed in zip(relays, results[1:], strict=True):
            bad += check_way(batch, [plain, relay], name, [results[0], relayed], limits)
    counts = ", ".join(f"{passes[way.name]} by {way.name}" for way in relays)
    print(f"{passes[plain.name]} tests pass directly, {counts}; {len(bad)} are lost without a reason")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Trouble, OSError) as error:
        print(f"peers: {error}", file=sys.stderr)
        sys.exit(2)
