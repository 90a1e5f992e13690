# SPDX-License-Identifier: MIT
"""The commands in GDB: help, settings, advice; every kind of bad input; what ends a recording."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Session, Transcript
from guest import GUESTS, ROOT, Guest, Machine, machine
from model import model
from scripted_quirks import Peer, hangs_up, says_garbage, speaks_http, stays_silent

from clockscope._core import Trace

Gdb = Callable[..., Transcript]
VERBS = ("attach", "launch", "record", "status", "timeline")


def failure(transcript: Transcript) -> str:
    """The one line that a failed command printed, without the script's name before it."""
    assert transcript.status == 1, transcript.text
    match = re.search(r"script\.gdb:\d+: Error in sourced command file:\n(.*)\n", transcript.text)
    assert match, transcript.text
    return match[1]


def opened(path: Path) -> tuple[bool, str, int]:
    """Whether a trace is complete, how it ended, and how many events it has."""
    with Trace(str(path)) as trace:
        timeline = trace.timeline()
        return timeline["complete"], timeline["end_reason"], len(timeline["events"])


# ---------------------------------------------------------------- without a guest


def test_sourcing_twice_changes_nothing(gdb: Gdb) -> None:
    result = gdb([f"source {ROOT}/plugin/clockscope.py", "clock"])
    assert result.status == 0
    assert result.text.count("\n") == 1 and "file vmlinux" in result.text


def test_an_extension_that_is_not_built(gdb: Gdb, tmp_path: Path) -> None:
    shutil.copy(ROOT / "plugin" / "clockscope.py", tmp_path)
    shutil.copytree(
        ROOT / "plugin" / "clockscope", tmp_path / "clockscope", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    result = gdb([f"source {tmp_path}/clockscope.py"], plugin=False)
    assert result.text.count("\n") == 1
    assert "the extension is not built" in result.text and "make -f setup.mk build" in result.text


def test_help(gdb: Gdb) -> None:
    text = gdb(["help clockscope", *(f"help clock {verb}" for verb in VERBS)]).text
    for verb in VERBS:
        assert re.search(rf"^clockscope {verb} -- \w", text, re.MULTILINE), verb
        assert f"usage: clock {verb}" in text
    assert text.count("example") >= len(VERBS)


def test_help_by_option(gdb: Gdb) -> None:
    result = gdb(["clock record --help", "echo done"])
    assert result.status == 0 and "usage: clock record" in result.text and result.text.endswith("done")


def test_settings(gdb: Gdb) -> None:
    names = ["connect-timeout", "request-timeout", "idle-seconds", "backtrace-limit", "profile", "replay-seconds"]
    values = {"profile": "netbsd"}  # it must be there
    script = [
        f"{word} clockscope {name} {values.get(name, 7) if word == 'set' else ''}"
        for name in names
        for word in ("set", "show")
    ]
    shown = gdb(script).text.splitlines()
    assert len(shown) == len(names)
    assert all(line.endswith(f": {values.get(name, 7)}.") for name, line in zip(names, shown))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("clock fly", "no such command: fly"),
        ("clock record --untill exit", "unrecognized arguments"),
        ("clock attach", "the following arguments are required: HOST:PORT|SOCKET; see `help clock attach`"),
        ("clock launch", "no command to run"),
        ("clock launch -- qemu-system-vax", "qemu-system-vax: no such program"),
        ("clock launch -- nosuch-program -kernel x", "nosuch-program: no such program"),
        ("clock launch --replay -- qemu-system-x86_64 -kernel /none", "-kernel /none: No such file"),
        ("clock launch -- sleep 5", "say where its stub shall listen, by {port} or {socket}"),
        ("clock launch --console x -- gdbserver :{port} /bin/true", "--console is for QEMU"),
        ("clock launch --replay -- gdbserver :{port} /bin/true", "--replay needs QEMU"),
        ("clock launch --replay -- qemu-system-x86_64 -smp 2", "one processor only"),
        ("clock launch --replay -- qemu-system-x86_64 -enable-kvm", "under KVM"),
        ("clock launch -- qemu-system-x86_64 -m 64 -bogus", "-bogus: invalid option"),
        ("clock launch -- qemu-system-x86_64 -M nosuch", "unsupported machine type"),
        ("clock launch -- qemu-system-x86_64 -nodefaults -display none -gdb pty", "-gdb pty: not understood"),
        ("clock record", "no guest is attached"),
        ("clock record --stop", "nothing is being recorded"),
        ("clock status", "no guest is attached"),
        ("clock timeline /nonexistent", "/nonexistent"),
    ],
)
def test_mistakes_are_one_line(gdb: Gdb, command: str, said: str) -> None:
    assert said in failure(gdb([command]))


# ---------------------------------------------------------------- no stub


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_nothing_listens(gdb: Gdb) -> None:
    port = free_port()
    assert f"localhost:{port}" in failure(gdb([f"clock attach localhost:{port}"]))


@pytest.mark.parametrize("speak", [speaks_http, says_garbage, hangs_up, stays_silent])
def test_a_port_that_is_no_stub(gdb: Gdb, speak: Callable[[socket.socket], None]) -> None:
    with Peer(speak) as peer:
        began = time.monotonic()
        line = failure(gdb(["set clockscope request-timeout 1", f"clock attach {peer.address}"]))
        assert peer.address in line
        assert time.monotonic() - began < 20


def test_ctrl_c_ends_an_attach_that_hangs(gdb_session: Callable[..., Session]) -> None:
    with Peer(stays_silent) as peer:
        session = gdb_session()
        session.command("set clockscope request-timeout 60")
        session.send(f"clock attach {peer.address}\n")
        time.sleep(1)
        session.interrupt()
        session.prompt(limit=20)
        assert "no guest is attached" in session.command("clock status")


def test_gdb_is_connected_already(gdb: Gdb) -> None:
    result = gdb(["file /bin/true", "starti", "clock attach localhost:1"])
    assert "GDB is connected already" in failure(result)


# ---------------------------------------------------------------- a guest, but something else is amiss


def attached(guest: Guest, *script: str, symbols: bool = True) -> list[str]:
    file = [f"file {guest.machine.vmlinux}"] if symbols else []
    return [*file, f"clock attach {guest.socket}", *script]


def test_no_symbol_file(boot: Callable[..., Guest], gdb: Gdb) -> None:
    line = failure(gdb(attached(boot(), "clock record", symbols=False)))
    assert "no symbols of your guest" in line and "file vmlinux" in line


def test_other_symbol_files(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest = boot()
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, "/bin/busybox"], check=True)
    line = failure(gdb([f"file {stripped}", f"clock attach {guest.socket}", "clock record"]))
    assert f"{stripped}: it has no symbols (stripped)" in line


def test_a_program_without_profile(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest = boot()
    (tmp_path / "a.c").write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", tmp_path / "a.out", tmp_path / "a.c"], check=True)
    script = [f"file {tmp_path}/a.out", "set architecture i386:x86-64", f"clock attach {guest.socket}"]
    assert "no profile fits" in failure(gdb([*script, "clock record"]))


def test_symbols_of_another_kernel(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest, other, trace = boot(), Machine(kernel="6.12").vmlinux, tmp_path / "boot.trace"
    script = [f"file {guest.machine.vmlinux}", f"clock attach {guest.socket}", "hbreak start_kernel", "continue"]
    result = gdb([*script, f"file {other}", f"clock record -o {trace} --until exit"])
    assert re.match(rf"your guest runs another kernel \(.*\) than {other} \(build id \w+\)", failure(result))
    assert not trace.exists()


def test_symbols_of_a_kernel_that_was_not_started(gdb: Gdb, tmp_path: Path) -> None:
    here, other = machine(), Machine(kernel="6.12").vmlinux
    result = gdb([f"file {other}", here.launch(tmp_path / "serial.log"), f"clock record -o {tmp_path}/x.trace"])
    assert f"your guest runs another kernel ({here.vmlinux}, build id " in failure(result)
    assert not (tmp_path / "x.trace").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-nographic", "neither -kernel nor a disk to boot from"),
        (f"-kernel {GUESTS}/linux-6.1/modules/vmlinuz", "/modules/vmlinuz, 6.1."),
    ],
)
def test_a_command_that_never_boots_the_loaded_kernel(gdb: Gdb, options: str, said: str) -> None:
    """It ends before anything starts."""
    other = Machine(kernel="6.12").vmlinux
    assert said in failure(gdb([f"file {other}", f"clock launch -- qemu-system-x86_64 {options}"]))


def test_guests_of_other_machines(gdb: Gdb) -> None:
    said = failure(gdb(["clock launch -- qemu-system-i386 -nodefaults -display none"]))
    assert said.endswith("the stub's guest is i386; only x86-64 guests can be traced")


def test_symbols_of_a_kernel_that_never_came(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    """Before the kernel is in memory nothing shows the mistake; a boot without its first function does."""
    guest, other, trace = boot(machine("rdinit=/none")), Machine(kernel="6.12").vmlinux, tmp_path / "boot.trace"
    script = [f"file {other}", f"clock attach {guest.socket}", f"clock record --no-branches -o {trace} --until exit"]
    assert "never came to start_kernel: is " in gdb(script).text
    assert opened(trace)[0] is False


def test_output_that_cannot_be_written(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    kept = tmp_path / "kept.trace"
    kept.write_text("precious")
    paths = [kept, tmp_path, tmp_path / "none" / "x"]
    tried = ["python", "def tried(command):", "    try: gdb.execute(command)"]
    tried += ["    except gdb.error as error: print('failed:', error)", "end"]
    result = gdb(attached(boot(), *tried, *(f"python tried('clock record -o {path}')" for path in paths)))
    failed = re.findall("^failed: (.*)$", result.text, re.MULTILINE)
    assert len(failed) == len(paths) and all(str(path) in line for path, line in zip(paths, failed))
    assert kept.read_text() == "precious"


def test_output_is_replaced_by_force(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    kept = tmp_path / "kept.trace"
    kept.write_text("precious")
    result = gdb(attached(boot(), f"clock record --overwrite -o {kept}", "clock record --stop", "kill"))
    assert result.status == 0
    assert opened(kept) == (False, "ended by `clock record --stop`", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--until tomorrow", "--until tomorrow: no such event; expected one of: idle, exit, "),
        ("--profile plan9", "profile plan9"),
        ("--functions tsc_nonsense", "tsc_nonsense"),
    ],
)
def test_options_that_make_no_sense(
    boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path, options: str, said: str
) -> None:
    trace = tmp_path / "x.trace"
    assert said in failure(gdb(attached(boot(), f"clock record -o {trace} {options}")))
    assert not trace.exists()


def test_two_recordings_at_once(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    first, second = tmp_path / "first.trace", tmp_path / "second.trace"
    record = f"clock record --no-branches -o {first}"
    result = gdb(attached(boot(), record, f"clock record -o {second}"))
    assert f"a recording to {first} is under way" in failure(result)
    assert not second.exists()
    assert opened(first)[:2] == (False, "GDB was left")


def test_symbols_read_before_the_abi_was_set(gdb: Gdb, tmp_path: Path) -> None:
    """GDB keeps what it read of a BSD's kernel for an ABI that it lacks."""
    here = model()
    script = [f"file {here.vmlinux}", "set osabi none", f"file {here.vmlinux}", here.launch(tmp_path / "serial.log")]
    line = failure(gdb([*script, f"clock record -o {tmp_path}/x.trace"]))
    assert "32-bit addresses" in line and f"`file {here.vmlinux}`" in line
    cure = ["set osabi none", "file", f"file {here.vmlinux}"]
    text = gdb([*script, *cure, f"clock record -o {tmp_path}/x.trace --until exit"]).text
    assert "Recorded 15 events" in text


# ---------------------------------------------------------------- what ends a recording


def test_a_programs_end_is_its_recordings(gdb: Gdb, tmp_path: Path) -> None:
    """gdbserver tells an end in its own way, and stays for a moment."""
    (tmp_path / "a.c").write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", tmp_path / "a.out", tmp_path / "a.c"], check=True)
    script = [f"file {tmp_path}/a.out", f"clock launch -- gdbserver localhost:{{port}} {tmp_path}/a.out"]
    text = gdb([*script, f"clock record -o {tmp_path}/x.trace --functions main --until exit"]).text
    assert "complete: the guest ended" in text and "Your guest is gone: the guest ended." in text
    assert opened(tmp_path / "x.trace")[:2] == (True, "the guest ended")


def test_detach_lets_the_guest_run_on(boot: Callable[..., Guest], gdb: Gdb, tmp_path: Path) -> None:
    guest, trace = boot(), tmp_path / "boot.trace"
    record = f"clock record --no-branches -o {trace} --until idle"
    # The goal is not met: a breakpoint of the user's comes first.
    result = gdb(
        attached(guest, "hbreak clocksource_done_booting", record, "clock status", "delete", "detach", "clock")
    )
    assert result.status == 0, result.text
    assert "Your guest stopped before idle; the recording goes on." in result.text
    assert re.search(r"^recording +.*boot\.trace, \d+ events so far$", result.text, re.MULTILINE)
    assert "incomplete: GDB detached" in result.text
    assert "See it with `clock timeline" in result.text
    complete, _, events = opened(trace)
    assert not complete and events > 8
    assert guest.wait() == 0
    assert "clockscope-guest available_clocksource: tsc hpet acpi_pm" in guest.log()


def test_kill_ends_both(gdb: Gdb, tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    here = machine()
    script = [
        f"file {here.vmlinux}",
        here.launch(tmp_path / "serial.log"),
        f"clock record --no-branches -o {trace} --until clock.registered:hpet",
        f"clock record --no-branches -o {trace}.more",
        "kill",
        "clock record --stop",
    ]
    result = gdb(script)
    assert failure(result).startswith("nothing is being recorded")
    complete, reason, events = opened(trace)
    # How many come before depends on whether the PIT could calibrate the TSC.
    assert complete and reason == "reached clock.registered:hpet" and events >= 2
    assert opened(Path(f"{trace}.more"))[:2] == (False, "GDB killed the guest")


def test_qemu_is_killed_in_mid_boot(gdb_session: Callable[..., Session], tmp_path: Path) -> None:
    here, trace = machine(), tmp_path / "boot.trace"
    session = gdb_session()
    session.command(f"file {here.vmlinux}")
    session.command(here.launch(tmp_path / "serial.log"))
    session.send(f"clock record --no-branches -o {trace} --until exit\n")
    session.expect("^Recording to")
    pid = child_of(session.process.pid)
    wait_for(lambda: "clocksource: hpet" in serial(tmp_path))
    os.kill(pid, signal.SIGKILL)
    printed = session.prompt()
    assert "incomplete: qemu-system-x86_64 ended: killed by SIGKILL" in printed
    assert "Your guest is gone: qemu-system-x86_64 ended: killed by SIGKILL." in printed
    complete, reason, events = opened(trace)
    assert not complete and "SIGKILL" in reason and events >= 3


KILLER = """python
import os, signal, subprocess
class Killer(gdb.Breakpoint):
    def stop(self):
        guest = int(subprocess.check_output(["pgrep", "-P", str(os.getpid()), "qemu"]))
        os.kill(guest, signal.SIGKILL)
        while os.path.exists(f"/proc/{guest}/exe"):
            pass
        return False
Killer("tc_init")
end"""


def test_qemu_is_killed_while_gdb_looks_at_an_event(gdb: Gdb, tmp_path: Path) -> None:
    """GDB 13.1 fails an assertion of its own where its connection ends just then: the relay keeps it up."""
    trace = tmp_path / "boot.trace"
    here = model()
    script = ["set osabi none", f"file {here.vmlinux}", here.launch(tmp_path / "serial.log"), *KILLER.splitlines()]
    text = gdb([*script, f"clock record -o {trace} --until exit", "echo GDB lives\\n"]).text
    assert "Your guest is gone: qemu-system-x86_64 ended: killed by SIGKILL." in text and "GDB lives" in text
    complete, reason, _ = opened(trace)
    assert not complete and "SIGKILL" in reason


def test_gdb_is_killed_in_mid_boot(gdb_session: Callable[..., Session], tmp_path: Path) -> None:
    """The trace opens, says that it is incomplete, and has all but the last batch; the guest does not linger."""
    here, trace = machine(), tmp_path / "boot.trace"
    session = gdb_session()
    session.command(f"file {here.vmlinux}")
    session.command(here.launch(tmp_path / "serial.log"))
    session.send(f"clock record --no-branches -o {trace} --until exit\n")
    session.expect("^Recording to")
    pid = child_of(session.process.pid)
    wait_for(lambda: "Switched to clocksource" in serial(tmp_path))
    time.sleep(1)
    session.process.kill()
    session.process.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    complete, reason, events = opened(trace)
    assert not complete and events >= 5


def serial(directory: Path) -> str:
    log = directory / "serial.log"
    return log.read_text(errors="replace") if log.exists() else ""


def child_of(parent: int) -> int:
    """The process that another started: QEMU, which GDB launched."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def wait_for(condition: Callable[[], bool], limit: float = 120.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
