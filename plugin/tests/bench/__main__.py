# SPDX-License-Identifier: MIT
"""Runs the measurements named on the command line, or all: `python3 -m bench [packets|counters|boots|branches|calibrations|writers|diffs|fleets|starting]…`."""

import sys
import tempfile
from pathlib import Path

from bench import boots, branches, calibrations, counters, diffs, fleets, packets, starting, writers

MEASUREMENTS = {
    "packets": packets.run,
    "counters": counters.run,
    "boots": boots.run,
    "branches": branches.run,
    "calibrations": calibrations.run,
    "writers": writers.run,
    "diffs": diffs.run,
    "fleets": fleets.run,
    "starting": starting.run,
}

for name in sys.argv[1:] or MEASUREMENTS:
    with tempfile.TemporaryDirectory(prefix="clockscope-bench-") as directory:
        MEASUREMENTS[name](Path(directory))
