# SPDX-License-Identifier: MIT
"""Stops a second: the C core's entry counter against the same counter as a gdb.Breakpoint in Python."""

import re
import time
from pathlib import Path

from clockscope._core import Relay
from clockscope.kernel.elffile import ElfFile
from gdbrun import run_gdb
from guest import Guest, Machine

from bench.measure import paired, show

PAIRS = 5
HITS = 2000
START = "start_kernel"
COUNTED = "_raw_spin_lock_irqsave"  # called so often that the guest's own time between hits is nothing

PYTHON_COUNTER = f"""
python
import time
class Counter(gdb.Breakpoint):
    hits = 0
    def stop(self):
        self.hits += 1
        return self.hits == {HITS}
counter = Counter("*&{COUNTED}", internal=True)
began = time.monotonic()
gdb.execute("continue")
print("seconds:", time.monotonic() - began)
end
kill
"""


def in_c(machine: Machine, directory: Path, start: int, counted: int) -> float:
    with Guest(machine, directory) as guest:
        relay = Relay(str(guest.socket))
        relay.request(b"Z1,%x,1" % start)
        relay.resume()
        relay.wait(60)
        relay.request(b"z1,%x,1" % start)
        relay.add_counter(counted, COUNTED)
        began = time.monotonic()
        relay.resume()
        while (hits := relay.counters()[0]["hits"]) < HITS:
            relay.wait(0.02)
        rate = hits / (time.monotonic() - began)
        relay.interrupt()
        relay.wait(5)
        relay.close()
        return float(rate)


def in_python(machine: Machine, directory: Path) -> float:
    with Guest(machine, directory) as guest:
        script = [f"file {machine.vmlinux}", f"target remote {guest.socket}", f"thbreak {START}", "continue"]
        result = run_gdb([*script, PYTHON_COUNTER], directory, plugin=False)
    found = re.search(r"^seconds: ([\d.]+)$", result.text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"the breakpoint in Python failed:\n{result.text}")
    return HITS / float(found[1])


def run(directory: Path) -> None:
    machine = Machine()
    elf = ElfFile(str(machine.vmlinux))
    start, counted = (elf.functions(name)[0].address for name in (START, COUNTED))
    pairs = paired(PAIRS, lambda: in_c(machine, directory, start, counted), lambda: in_python(machine, directory))
    show("entry counter", pairs, ("in C", "gdb.Breakpoint in Python"), "stops/s")
