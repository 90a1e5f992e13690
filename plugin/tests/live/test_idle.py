# SPDX-License-Identifier: MIT
"""A guest that stands in `hlt`, and wakes or never wakes: nothing that is asked of it hangs, or ends the connection."""

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bare
import pytest
from gdbrun import Session, Transcript
from model import model

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
    assert "SIGINT" not in result.text  # nobody sent it one
    with Trace(str(trace)) as opened:
        assert "told.end" in opened.meta()  # why nothing was borrowed
        assert opened.rows("SELECT hits FROM counter") == [{"hits": int(counted == "idle")}]


def test_hits_of_counted_functions_are_no_events(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    busy = bare.function("body", "cli\ncall busy\n" + bare.END) + bare.function("busy", "call tick\njmp busy")
    guest, trace = bare.build(tmp_path, busy + bare.function("tick", "ret")), tmp_path / "busy.trace"
    result = gdb([
        f"file {guest.vmlinux}", f"clock launch -- {guest.command()}", "set clockscope idle-seconds 1",
        f"clock record -o {trace} --until idle --no-branches --functions tick", "kill",
    ])  # fmt: skip
    assert "no event for 1 s" in result.text
    with Trace(str(trace)) as opened:
        assert opened.rows("SELECT hits FROM counter")[0]["hits"] > 10


def test_a_recording_that_ends_before_its_boot(
    gdb: Callable[..., Transcript], program: Callable[..., Any], tmp_path: Path
) -> None:
    """By `--stop` it is not complete; where it ended at what was asked for, nothing later is called never."""
    here = model()
    load = [f"file {here.vmlinux}", f"clock launch -- {shlex.join(here.command(tmp_path / 'serial.log'))}"]
    stopped, reached = tmp_path / "stopped.trace", tmp_path / "reached.trace"
    result = gdb([*load, f"clock record -o {stopped}", "thbreak tc_init", "continue", "clock record --stop", "kill"])
    assert "incomplete: ended by `clock record --stop`" in result.text
    gdb([*load, f"clock record -o {reached} --until clock.registered:i8254", "kill"])
    for trace, ended in ((stopped, "INCOMPLETE: ended by"), (reached, "the boot's end was not seen")):
        text = program("timeline", trace).stdout
        assert ended in text and "Not known: the recording ended early" in text and "Did not happen" not in text
        assert re.search(r"tsc_tc_init +watched from .* to ", text)


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
