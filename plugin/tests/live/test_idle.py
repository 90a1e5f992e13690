# SPDX-License-Identifier: MIT
"""A guest that stands in `hlt`, and wakes or never wakes: nothing that is asked of it hangs, or ends the connection."""

import time
from collections.abc import Callable
from pathlib import Path

import bare
import pytest
from gdbrun import Session, Transcript

from clockscope._core import Trace

ASLEEP = bare.function("body", "cli\ncall idle\n" + bare.END) + bare.function("idle", "hlt\njmp idle")
LENT = bare.function("lent", "cpuid\nret\nrdtsc\nret\n")


@pytest.fixture
def guest(tmp_path: Path) -> bare.Bare:
    return bare.build(tmp_path, ASLEEP + LENT)


@pytest.mark.parametrize("counted", ["lent", "idle"])
def test_a_recording_until_it_is_idle(
    counted: str, guest: bare.Bare, gdb: Callable[..., Transcript], tmp_path: Path
) -> None:
    """QEMU's step over hlt, off a probe that stands there, does not come back."""
    trace = tmp_path / "idle.trace"
    result = gdb([
        f"file {guest.vmlinux}", f"clock launch -- {guest.command()}", "set clockscope idle-seconds 1",
        f"clock record -o {trace} --until idle --no-branches --functions {counted}",
        "clock status", "info registers rip", "kill",
    ])  # fmt: skip
    assert result.status == 0, result.text
    assert f"to {trace}, complete: no event for 1 s" in result.text
    assert "stopped, at" in result.text and "<idle+1>" in result.text
    with Trace(str(trace)) as opened:
        assert "told.end" in opened.meta()  # why nothing was borrowed
        assert opened.rows("SELECT hits FROM counter") == [{"hits": int(counted == "idle")}]


def test_what_is_asked_after_ctrl_c(guest: bare.Bare, gdb_session: Callable[..., Session]) -> None:
    session = gdb_session()
    for line in (f"file {guest.vmlinux}", f"clock launch -- {guest.command()}"):
        session.command(line)
    session.send("continue\n")
    time.sleep(1)
    session.interrupt()
    assert "in idle ()" in session.prompt(limit=20)
    assert "nothing could be read: " in session.command("clock cpuid live")
    session.command("set $pc = lent")  # no loop that waits for a clock
    assert "did not run into a breakpoint" in session.command("clock cpuid live")
    session.send("stepi\n")  # waits, as without the relay: the processor is halted
    time.sleep(1)
    session.interrupt()
    assert "in lent ()" in session.prompt(limit=20)
    assert "stopped, at" in session.command("clock status")
    assert "[Inferior 1" in session.command("with confirm off -- kill")
