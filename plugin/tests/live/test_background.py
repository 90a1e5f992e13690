# SPDX-License-Identifier: MIT
"""Guests that run in GDB's background, and GDBs that end beside them: no traceback, a closed trace, a guest that runs on."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from debuggee import compile_program
from gdbrun import Session, run_gdb
from guest import Guest
from model import model

from clockscope._core import Trace

# A boot of the model's takes a second, less than a test of a guest that runs may need. With fewer nanoseconds of guest
# time for each instruction it takes some fifteen, ten of them after its first timecounter.
LASTING = model("netbsd", options=("-icount", "shift=1"))
END_LIMIT = 180.0

Sessions = Callable[..., Session]
Boot = Callable[..., Guest]


@pytest.fixture
def recorded(gdb_session: Sessions, boot: Boot, tmp_path: Path) -> tuple[Session, Guest, Path]:
    """A GDB that records a guest which it was attached to, and a guest that stands at its start."""
    guest = boot(LASTING)
    session = gdb_session()
    trace = tmp_path / "a.trace"
    session.command(f"file {LASTING.vmlinux}")
    session.command(f"clock attach {guest.socket}")
    assert "Recording to" in session.command(f"clock record -o {trace}")
    return session, guest, trace


def ended(session: Session) -> int:
    """GDB's exit status; what it printed to its end is in the transcript."""
    deadline = time.monotonic() + 60
    while session.process.poll() is None:
        assert time.monotonic() < deadline, session.transcript
        session._read(0.1)
    while session._read(0):
        if not session.transcript or session.process.poll() is not None:
            break
    return int(session.process.returncode)


def outcome(trace: Path) -> tuple[bool, str]:
    assert [path.name for path in sorted(trace.parent.glob("a.trace*"))] == ["a.trace"]
    with Trace(str(trace)) as opened:
        found = opened.timeline()
        return found["complete"], found["end_reason"]


def runs_on(guest: Guest) -> bool:
    """The model powers itself off at its end, if nothing stops it for nobody."""
    try:
        return guest.wait(END_LIMIT) == 0
    except subprocess.TimeoutExpired:
        return False


def come_to_its_kernel(session: Session, guest: Guest) -> None:
    """Wait until the guest runs its kernel, where it has more to do than the test takes."""
    deadline = time.monotonic() + 60
    while "selected timecounter" not in guest.log():
        assert time.monotonic() < deadline, session.transcript
        session._read(0.05)
    assert "exited" not in session.transcript


def test_what_needs_a_guest_that_stands_says_so(recorded: tuple[Session, Guest, Path]) -> None:
    session, guest, trace = recorded
    before = session.command("show breakpoint always-inserted")
    assert " on." in before
    session.command("continue &")
    for line in ("clock record --stop", "clock cpuid live"):
        said = session.command(line).splitlines()
        assert sum("your guest runs: stop it by `interrupt`" in each for each in said) == 1, said
    assert "a.trace" in session.command("clock status")
    come_to_its_kernel(session, guest)
    session.send("interrupt\n")
    session.expect("Program received signal SIGINT")
    assert "incomplete: ended by `clock record --stop`" in session.command("clock record --stop")
    assert " off." in session.command("show breakpoint always-inserted")
    assert outcome(trace) == (False, "ended by `clock record --stop`")
    session.command("detach")
    assert runs_on(guest)


@pytest.mark.parametrize("when", ["at once", "in its kernel", "at a breakpoint"])
def test_quit(recorded: tuple[Session, Guest, Path], when: str) -> None:
    session, guest, trace = recorded
    session.command("hbreak main" if when == "at a breakpoint" else "hbreak *0x1234567")  # to which nobody comes
    session.command("continue &")
    if when == "in its kernel":
        come_to_its_kernel(session, guest)
    elif when == "at a breakpoint":
        session.expect("Breakpoint 1, main")
    session.send("quit\n")
    assert ended(session) == 0
    assert session.transcript.count("Recorded ") == 1
    assert outcome(trace) == (False, "GDB was left")
    assert runs_on(guest)


@pytest.mark.parametrize("how", ["continue &", "continue"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_gdb(recorded: tuple[Session, Guest, Path], number: signal.Signals, how: str) -> None:
    session, guest, trace = recorded
    session.send(f"{how}\n")
    session.expect("Continuing")
    come_to_its_kernel(session, guest)
    session.process.send_signal(number)
    ended(session)
    assert "Fatal signal" not in session.transcript
    complete, reason = outcome(trace)
    assert not complete and reason.startswith("GDB was left")


_INTERRUPTED = """python
import ctypes, gdb
from clockscope.gdbside.own_breakpoints import Probe
class Interrupting(gdb.Breakpoint): pass
main = int(gdb.parse_and_eval("(long)&main"))
first = Interrupting(f"*{main}", internal=True)
first.stop = ctypes.PyDLL(None).PyErr_SetInterrupt
gdb.execute("starti")
probe = Probe(main, lambda stop: False, hardware=False)
gdb.execute("continue")
print("stays" if int(gdb.parse_and_eval("(long)$pc")) == main else "elsewhere")
end"""


def test_an_interrupt_that_is_due_when_a_probe_is_asked(tmp_path: Path) -> None:
    """As Ctrl-C and SIGTERM leave one: no Python code that GDB calls then can catch it, and GDB prints no exception."""
    program = compile_program("int main(void) { return 0; }", tmp_path)
    assert "stays" in run_gdb([f"file {program.path}", _INTERRUPTED], tmp_path).text
