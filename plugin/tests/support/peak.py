# SPDX-License-Identifier: MIT
"""The most memory that a program had.

Of a process that is started, Linux counts what its parent had at that moment (fs/exec.c, exec_mmap() keeps the old
memory's maximum). A test's own memory may be more than what is asked for, so a small process stands in between.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BETWEEN = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(ended.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class Ended:
    status: int  # its exit status, or a signal's number below 0
    errors: str
    memory: int  # resident, in bytes, at most


def ended(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end, its output thrown away."""
    line = [sys.executable, "-S", "-E", "-c", _BETWEEN, *command]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, errors="replace", check=True)
    status, kilobytes = map(int, done.stdout.split())
    return Ended(status, done.stderr, kilobytes * 1024)
