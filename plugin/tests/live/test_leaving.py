# SPDX-License-Identifier: MIT
"""GDB with the plugin lets go of a guest, or tries to: what it then says is what happened, and its settings are as before.
A guest that stalls costs time, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from model import model
from relay_world import make
from scripted_quirks import ClingingStub, KgdbStub, NoVKillStub, UnleavableStub
from scripted_stub import FakeStub

from clockscope._core import Trace

Gdb = Callable[..., Transcript]
NO_PROCESSES = "set remote multiprocess-feature-packet off"
X86 = "set architecture i386:x86-64"


def attached(stub: FakeStub, *commands: str) -> list[str]:
    return [X86, f"clock attach {stub.address}", *commands]


def tried(command: str) -> str:
    """The command, whose failure does not end the script: GDB prints what it says of it."""
    return f"python\ntry:\n  gdb.execute({command!r})\nexcept gdb.error as error:\n  print(error)\nend"


def patience(transcript: Transcript) -> list[int]:
    return [
        int(found) for found in re.findall(r"Timeout limit to wait for target to respond is (\d+)", transcript.text)
    ]


# --- GDB's patience is the relay's ---


def test_gdb_waits_as_long_as_the_relay(gdb: Gdb) -> None:
    with make(FakeStub) as stub:
        show = "show remotetimeout"
        script = ["set remotetimeout 3", "set clockscope request-timeout 20", *attached(stub, show, "detach", show)]
        assert patience(gdb(script)) == [25, 3]


def test_what_the_user_has_set_is_the_users(gdb: Gdb) -> None:
    with make(FakeStub) as stub:
        show = "show remotetimeout"
        assert patience(gdb(["set remotetimeout 90", *attached(stub, show, "detach", show)])) == [90, 90]
    with make(FakeStub) as stub:
        script = ["set remotetimeout 2", *attached(stub, "set remotetimeout 7", "detach", show)]
        assert patience(gdb(script)) == [7]


def test_an_attach_that_fails_leaves_the_setting(gdb: Gdb) -> None:
    class Unreadable(FakeStub):
        def qfThreadInfo(self) -> str:
            return "E01"

        def H(self, what: str, thread: str) -> str:
            return "E01"

    with make(Unreadable) as stub:
        show = "show remotetimeout"
        script = ["set remotetimeout 2", X86, tried(f"clock attach {stub.address}"), tried("kill"), show]
        assert patience(gdb(script)) == [2]


# --- leaving ---


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NoVKillStub, "Your guest is gone: GDB killed the guest."),
        (
            KgdbStub,
            "Your guest is no longer attached: GDB asked for the guest's end (k), of which the stub says nothing",
        ),
        (UnleavableStub, "Your guest is no longer attached: the stub knows no way to end the guest (k)"),
    ],
)
def test_a_kill_by_k_is_told_as_it_was(gdb: Gdb, kind: type[FakeStub], said: str) -> None:
    with make(kind) as stub:
        text = gdb([NO_PROCESSES, *attached(stub, "kill", "clock", "echo GDB lives\\n")]).text
        assert said in text and "GDB lives" in text
        assert stub.killed == (kind is NoVKillStub)
    assert "Your guest is attached" not in text


def test_disconnect_leaves_the_guest_where_it_stands(gdb: Gdb, tmp_path: Path) -> None:
    """GDB tells no stub of it. A recording ends, its probes are lifted, and the guest can be attached to again."""
    guest, trace = model("netbsd"), tmp_path / "boot.trace"
    again = "python gdb.execute('clock attach ' + __import__('clockscope').live.connection.here().left_running[0].socket_path)"
    text = gdb([
        "set osabi none", f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), "hbreak main",
        f"clock record -o {trace}", "continue", "disconnect", tried("clock record --stop"), again,
        "delete", "hbreak tc_init", "continue", "backtrace",
    ]).text  # fmt: skip
    assert "could not be kept" not in text
    assert "stands where it stood, without GDB" in text and "nothing is being recorded" in text
    assert "main () at" in text[text.index("Breakpoint 2, tc_init") :]
    with Trace(str(trace)) as opened:
        assert opened.timeline()["end_reason"] == "GDB has disconnected"


@pytest.mark.parametrize("processes", ["auto", "off"])
@pytest.mark.parametrize(("command", "says"), [("detach", "can't detach process"), ("kill", "can't kill process")])
def test_what_was_refused_is_no_farewell(gdb: Gdb, command: str, says: str, processes: str) -> None:
    with make(ClingingStub) as stub:
        script = attached(stub, tried(command), "clock", "x/2xb 0x1000", "continue")
        text = gdb([f"set remote multiprocess-feature-packet {processes}", *script]).text
    assert says in text.lower() and "0x1000:\t0xf4\t0xf4" in text
    assert text.count("Your guest is attached") >= 1 and "runs on" not in text
    assert text.index("0x1000:") < text.index("Your guest is gone: the guest ended.")


def test_an_end_that_names_a_process(gdb: Gdb, tmp_path: Path) -> None:
    """gdbserver says W3;process:…, on which GDB fails an assertion where it has not asked for processes."""
    (tmp_path / "a.c").write_text("int main(void) { return 3; }")
    subprocess.run(["gcc", "-o", tmp_path / "a.out", tmp_path / "a.c"], check=True)
    script = [NO_PROCESSES, "set remote threads-packet off", f"file {tmp_path}/a.out"]
    script += [f"clock launch -- gdbserver --once localhost:{{port}} {tmp_path}/a.out", "continue", "echo GDB lives\\n"]
    text = gdb(script).text
    assert "exited with code 03" in text and "Your guest is gone: the guest ended." in text and "GDB lives" in text


# --- a guest that stalls ---

STALLER = """python
import os, signal, subprocess
class Staller(gdb.Breakpoint):
    done = False
    def stop(self):
        if self.done:
            return False
        self.done = True
        guest = int(subprocess.check_output(["pgrep", "-P", str(os.getpid()), "qemu"]))
        os.kill(guest, signal.SIGSTOP)
        subprocess.Popen(["sh", "-c", f"sleep 5; kill -CONT {guest}"])
        print("read", len(gdb.selected_inferior().read_memory(int(gdb.parse_and_eval("$pc")), 8)), "bytes")
        return False
Staller("tc_init")
end"""


def test_a_recording_outlives_a_guest_that_stalls(gdb: Gdb, tmp_path: Path) -> None:
    """Longer than GDB waits with all its tries, where the user has set it to wait for a second only."""
    guest, trace = model("netbsd"), tmp_path / "boot.trace"
    text = gdb([
        "set osabi none", f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"),
        "set remotetimeout 1", *STALLER.splitlines(), f"clock record -o {trace} --until exit",
    ]).text  # fmt: skip
    assert "complete: the guest ended" in text and "read 8 bytes" in text, text
    for word in ("Ignoring packet error", "Invalid hex digit", "timed out"):
        assert word not in text, text
    with Trace(str(trace)) as opened:
        assert opened.complete() and opened.timeline()["events"]
