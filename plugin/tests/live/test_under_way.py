# SPDX-License-Identifier: MIT
"""While a guest is recorded, verbs that read a trace read that recording; every report says which file it is of."""

from collections.abc import Callable
from pathlib import Path

from gdbrun import Transcript
from model import model
from sample_trace import write_sample

from clockscope._core import Trace

Gdb = Callable[..., Transcript]


def test_what_is_asked_is_of_the_recording(gdb: Gdb, tmp_path: Path) -> None:
    guest = model("netbsd")
    other, trace = tmp_path / "other.trace", tmp_path / "boot.trace"
    write_sample(other)
    result = gdb([
        f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), f'set $clockscope_trace = "{other}"',
        f"clock record -o {trace}", "thbreak initclocks", "continue", "echo begin\\n", "clock timeline",
        "echo path\\n", "clock path", "echo reached\\n", "clock reached tc_init", "echo cpuid\\n", "clock cpuid",
        "echo named\\n", f"clock timeline {other}", "echo end\\n", "clock record --stop", "echo after\\n", "clock timeline", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    names = ["begin", "path", "reached", "cpuid", "named", "end"]
    parts = [result.text.partition(f"\n{name}\n")[2].splitlines() for name in names]
    assert [part[0] for part in parts[:4]] == [str(trace)] * 4, result.text
    assert parts[4][0] == str(other) and "being recorded" not in parts[4][3]
    shown = parts[0][: parts[0].index("path")]
    assert shown[3] == "being recorded: more may follow"
    with Trace(str(trace)) as opened:
        events = opened.timeline()["events"]
    assert shown[2].startswith(f"{len(events)} events") and len(events) > 2  # up to the last stop
    after = result.text.partition("\nafter\n")[2].splitlines()
    assert after[0] == str(trace) and "ended by `clock record --stop`" in after[3]
