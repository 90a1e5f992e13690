# SPDX-License-Identifier: MIT
"""Tab: verbs, options, files, functions, variables, events; in GDB, and in a shell."""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import ROOT, Machine

from clockscope.front import cli, verbs

Gdb = Callable[..., Transcript]
HEALTHY = ROOT / "traces" / "linux-healthy.trace"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a kernel and a trace."""
    (tmp_path / "vmlinux").symlink_to(Machine().vmlinux)
    (tmp_path / "boot.trace").symlink_to(HEALTHY)
    (tmp_path / "folder").mkdir()
    for name in ("one", "two", ".hidden"):
        (tmp_path / "folder" / name).touch()
    return tmp_path


def offered(gdb: Gdb, place: Path, lines: Iterable[str], *before: str) -> dict[str, list[str]]:
    """What GDB completes each line to, without what was typed before its last word."""
    script = [*before, *(word for line in lines for word in (f"echo ={line}\\n", f"complete clock {line}"))]
    found: dict[str, list[str]] = {}
    for printed in gdb(script, cwd=place).text.splitlines():
        if printed.startswith("="):
            line = printed[1:]
            found[line] = []
        else:
            start = f"clock {line}".rpartition(" ")[0] + " "
            assert printed.startswith(start), printed
            found[line].append(printed.removeprefix(start))
    return found


# What both fronts offer, where they are told everything.
BOTH: dict[str, list[str]] = {
    "timeline --b": ["--backtrace"],
    "timeline --format j": ["json"],
    "timeline --format=j": ["--format=json"],
    "timeline boo": ["boot.trace"],
    "timeline fold": ["folder/one", "folder/two"],
    "path boot.trace tsc_re": ["tsc_read_refs", "tsc_refine_calibration_work"],
    "reached boot.trace tsc_in": ["tsc_init"],
    "path boot.trace --format json tsc_in": ["tsc_init"],
    "writers vmlinux tsc_kh": ["tsc_khz", "tsc_khz_ref"],
    "callers vmlinux tsc_refine": ["tsc_refine_calibration_work"],
    "diff boot.trace vml": ["vmlinux"],
    "path nonsense tsc_": [],
    "writers nonsense tsc_": [],
}

# What needs a kernel that is loaded, a trace that was recorded, or a verb that is in GDB alone.
GDB_ALONE = {
    "": verbs.names(),
    "record --until clock.reg": ["clock.registered"],
    "record --until i": ["idle"],
    "record --profile l": ["linux"],
    "record --functions tsc_init,hpet_enab": ["tsc_init,hpet_enable"],
    "record --watch tsc_kh": ["tsc_khz", "tsc_khz_ref"],
    "writers tsc_kh": ["tsc_khz", "tsc_khz_ref"],
    "writers ./vml": ["./vmlinux"],
    "path tsc_in": ["tsc_init"],
    "launch --rep": ["--replay"],
    "launch -- vml": ["vmlinux"],
    "launch -- program --rep": [],
}


def test_in_gdb(gdb: Gdb, place: Path) -> None:
    assert offered(gdb, place, BOTH) == BOTH


def test_what_only_gdb_knows(gdb: Gdb, place: Path) -> None:
    known = ("file vmlinux", 'set $clockscope_trace = "boot.trace"')
    assert offered(gdb, place, GDB_ALONE, *known) == GDB_ALONE


_IN_BASH = """
source "$1"
for line in "${@:2}"; do
	echo "=$line"
	COMP_LINE="clockscope $line" COMP_POINT=$((${#line} + 11)) COMPREPLY=()
	_clockscope clockscope "${line##*[ =:]}"
	[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
done
"""


def offered_in_bash(place: Path, lines: Iterable[str]) -> dict[str, list[str]]:
    environment = {**os.environ, "PATH": f"{ROOT}/build:{os.environ['PATH']}"}
    words = ["bash", "--norc", "-c", _IN_BASH, "bash", f"{ROOT}/plugin/clockscope.bash", *lines]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    parts = [part.splitlines() for part in done.stdout.split("=")[1:]]
    return {line: found for line, *found in parts}


def test_in_bash(place: Path) -> None:
    outside = [verb.NAME for verb in cli.find_verbs([])]
    wanted = BOTH | {"": outside, "timel": ["timeline"], "timeline": ["timeline"]}
    # Bash takes what follows a "=" to be a word of its own.
    wanted.pop("timeline --format=j")
    assert offered_in_bash(place, wanted) == wanted
