# SPDX-License-Identifier: MIT
"""Branch traces: how many stops they need, what a stop costs, what a boot costs, and how long the analysis takes."""

import contextlib
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import traced
from gdbrun import run_gdb
from guest import Guest, Machine
from model import model

from bench.boots import untouched
from bench.measure import Pairs, paired, show
from clockscope._core import Analyser, Relay, Trace, TraceWriter
from clockscope.live.branches import BranchTrace, Options
from clockscope.kernel import hints
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from clockscope.profiles.profile import Branches

PAIRS = 3
STOPS, WARM_UP = 120, 20
LIVE = Options(virtual=True)
# Its first process sleeps long enough for the refined calibration.
DEMO = Machine()
TO_PANIC = Machine(("rdinit=/none",))


def run(directory: Path) -> None:
    analysis(directory)
    stops(directory)
    stop_costs(directory)
    boots(directory)


def linux_branches() -> Branches:
    return profile.load("linux").branches


def fresh(directory: Path, name: str) -> Path:
    """An empty folder for one run."""
    number = sum(1 for _ in directory.glob(f"{name}-*"))
    folder = directory / f"{name}-{number}"
    folder.mkdir()
    return folder


# --- Static analysis ---


def analysis(directory: Path) -> None:
    del directory
    analyser = Analyser(str(DEMO.vmlinux))
    elf = ElfFile(str(DEMO.vmlinux))
    branches = linux_branches()
    names = [name for name in branches.functions if analyser.find(name)]
    known = hints.of_kernel(elf, branches)

    def summarise(name: str) -> list[dict[str, Any]]:
        return analyser.summarise(name, **known.known)

    parts = [part for name in names for part in summarise(name)]
    each = [part["ns"] / 1e6 for part in parts]
    print(
        f"static analysis: median {median(each):.3f} ms a function (aim: under 1), {sum(each):.1f} ms for all"
        f" {len(parts)} default functions (aim: under 50)"
    )
    ranges = [symbol for name in names for symbol in elf.functions(name)]

    def objdump() -> float:
        began = time.monotonic()
        for symbol in ranges:
            limits = [f"--start-address={symbol.address}", f"--stop-address={symbol.address + symbol.size}"]
            subprocess.run(["objdump", "-d", *limits, DEMO.vmlinux], stdout=subprocess.DEVNULL, check=True)
        return 1e3 * (time.monotonic() - began)

    def ours() -> float:
        began = time.monotonic()
        for name in names:
            summarise(name)
        return 1e3 * (time.monotonic() - began)

    show("the default functions", paired(PAIRS, ours, objdump), ("analysed", "objdump -d of the same"), "ms")


# --- Stops ---


def stops(directory: Path) -> None:
    """Counted in a trace of a whole boot in which every branch outside windows is known."""
    folder = fresh(directory, "stops")
    boot = traced.trace(TO_PANIC, folder, linux_branches(), LIVE)
    with boot.open() as trace:
        used = _count(trace, "SELECT count(*) AS n FROM stop WHERE seq IN (SELECT stop FROM decision)")
        total = _count(trace, "SELECT count(*) AS n FROM stop")
        naive = _count(trace, "SELECT count(*) AS n FROM decision")
        least = sum(knuth(trace, row["id"]) for row in trace.rows("SELECT id FROM function"))
    # Stops at an entry tell that a function was called, those at returns its value: each way needs them.
    print(
        f"stops that tell branches: {used} for {naive} branches executed, {used / naive:.0%} of a stop at each (aim: at most"
        f" 60%); Knuth's bound for edge counts {least}; with entries and returns {total} stops"
    )


def _count(trace: Trace, sql: str) -> int:
    return int(trace.rows(sql)[0]["n"])


def knuth(trace: Trace, function: int) -> int:
    """Fewest counts from which those of all edges follow: the edges outside a spanning tree of the greatest weight,
    with an edge from each end to the entry (Knuth and Stevenson, "Optimal measurement points for program frequency
    counts", BIT 13, 1973). Weights are executions in this trace."""
    weights: dict[tuple[int, int], int] = {}
    for row in trace.rows("SELECT source, target FROM edge WHERE function = ?", [function]):
        weights[row["source"], row["target"]] = 0
    walked = trace.rows(
        "SELECT s.block AS source, t.block AS target FROM step s JOIN invocation i ON i.id = s.invocation"
        " LEFT JOIN step t ON t.invocation = s.invocation AND t.ordinal = s.ordinal + 1"
        " WHERE i.function = ? AND i.complete AND s.block IS NOT NULL",
        [function],
    )
    for row in walked:
        edge = row["source"], row["target"] if row["target"] is not None else 0
        weights[edge] = weights.get(edge, 0) + 1
    parents: dict[int, int] = {}

    def root(block: int) -> int:
        while parents.get(block, block) != block:
            block = parents[block]
        return block

    outside = 0
    for (source, target), weight in sorted(weights.items(), key=lambda item: -item[1]):
        if root(source) == root(target):
            outside += weight
        else:
            parents[root(source)] = root(target)
    return outside


# --- A stop ---


def stop_costs(directory: Path) -> None:
    """In loops of a model guest's: so many stops, then the guest is killed."""
    ways: dict[str, Callable[[Path], float]] = {
        "recorder": recorder,
        "bare stop and resume": bare,
        "GDB breakpoint in Python": breakpoint_in_python,
        "GDB's stepi": stepi,
    }
    notes = {"bare stop and resume": "aim: at most 1.15", "GDB breakpoint in Python": "aim: at most 0.5"}
    results: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(PAIRS):
        for name, way in ways.items():
            results[name].append(way(fresh(directory, "stop")))
    mine = results.pop("recorder")
    for name, theirs in results.items():
        show("a stop at a branch", Pairs(mine, theirs), ("recorder", name), "µs", notes.get(name, ""))


GUEST = model("netbsd", "healthy", "workload=loop,reenter")
COUNTS = "work_loop"  # its branches run some hundred times
WAITS = "work_reentered"  # its loop ends with the third tick


def _branch(name: str) -> tuple[int, int]:
    """A jump in the innermost loop of a function, and where it goes."""
    (function,) = Analyser(str(GUEST.vmlinux)).analyse(name)
    deepest = max(block["depth"] for block in function["blocks"])
    instructions = [one for block in function["blocks"] if block["depth"] == deepest for one in block["instructions"]]
    return next((one["address"], one["target"]) for one in instructions if one["kind"] == "branch")


def recorder(directory: Path) -> float:
    writer = TraceWriter(str(directory / "paths.trace"))
    with Guest(GUEST, directory) as guest, contextlib.closing(traced.connect(guest)) as relay:
        branches = BranchTrace(
            relay, writer, ElfFile(str(GUEST.vmlinux)), traced.chosen([COUNTS]), replace(LIVE, hit_limit=0)
        )
        branches.start()
        relay.resume()
        first, began = _await_stops(relay, WARM_UP)
        last, ended = _await_stops(relay, first + STOPS)
        relay.interrupt()
        relay.wait(10)
        branches.stop()
        writer.close(False, "measured")
    return 1e6 * (ended - began) / (last - first)


def _await_stops(relay: Relay, count: int) -> tuple[int, float]:
    deadline = time.monotonic() + 120
    while (seen := relay.statistics()["own_stops"]) < count:
        if time.monotonic() > deadline or relay.state != "running":
            raise RuntimeError(f"the guest came to {seen} stops of {count}")
        time.sleep(0.005)
    return seen, time.monotonic()


def bare(directory: Path) -> float:
    """Nothing is asked, nothing decided: PC is written so that the loop never ends, and the guest goes on."""
    address, target = _branch(WAITS)
    written = b"P10=" + target.to_bytes(8, "little").hex().encode()
    with Guest(GUEST, directory) as guest, contextlib.closing(traced.connect(guest)) as relay:
        relay.request(b"Z1,%x,1" % address)
        for number in range(WARM_UP + STOPS):
            if number == WARM_UP:
                began = time.monotonic()
            relay.resume()
            if relay.wait(60) is None or relay.request(written) != b"OK":
                raise RuntimeError("the guest did not stop at the branch")
        return 1e6 * (time.monotonic() - began) / STOPS


PYTHON = """\
python
import time
class Branch(gdb.Breakpoint):
    seen = []
    def stop(self):
        frame = gdb.newest_frame()
        Branch.seen.append((time.monotonic(), int(frame.read_register("rip")), int(frame.read_register("eflags"))))
        return len(Branch.seen) == COUNT
Branch("*ADDRESS", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
gdb.execute("continue")
print("seconds:", Branch.seen[-1][0] - Branch.seen[0][0])
end"""

STEPI = """\
python
import time
gdb.execute("thbreak *ADDRESS")
gdb.execute("continue", to_string=True)
began = time.monotonic()
for _ in range(COUNT):
    gdb.execute("stepi", to_string=True)
print("seconds:", time.monotonic() - began)
end"""


def breakpoint_in_python(directory: Path) -> float:
    return _in_gdb(PYTHON, directory)


def stepi(directory: Path) -> float:
    return _in_gdb(STEPI, directory)


def _in_gdb(script: str, directory: Path) -> float:
    """Microseconds a stop of a script in a GDB without the plugin."""
    script = script.replace("ADDRESS", f"{_branch(COUNTS)[0]:#x}").replace("COUNT", str(STOPS))
    with Guest(GUEST, directory) as guest:
        lines = ["set osabi none", f"file {GUEST.vmlinux}", f"target remote {guest.socket}", script]
        text = run_gdb(lines, directory, plugin=False, limit=600).text
    found = re.search(r"^seconds: ([\d.]+)$", text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"GDB measured nothing:\n{text}")
    return 1e6 * float(found[1]) / STOPS


# --- A boot ---


def boots(directory: Path) -> None:
    for what, machine in (("boot to its panic", TO_PANIC), ("the demo's boot", DEMO)):
        pairs = paired(
            PAIRS,
            lambda: traced.trace(machine, fresh(directory, "boot"), linux_branches(), LIVE).seconds,
            lambda: untouched(machine, fresh(directory, "boot")),
        )
        show(what, pairs, ("with branch traces", "untouched"), "s", "aim: at most 1.25")
