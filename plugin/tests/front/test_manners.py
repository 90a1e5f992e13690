# SPDX-License-Identifier: MIT
"""In the GDB that people have: with their .gdbinit, at their terminal, in the TUI, in other builds of GDB."""

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gdbrun import Session, Transcript, check_no_traceback
from guest import ROOT
from model import model

from clockscope._core import Trace

Sessions = Callable[..., Session]
HEALTHY = "traces/linux-healthy.trace"


def record_model(directory: Path, *, until: str = "exit") -> list[str]:
    """The commands that record a model guest."""
    here = model()
    return [
        f"file {here.vmlinux}",
        here.launch(directory / "serial.log"),
        f"clock record -o {directory}/boot.trace --until {until}",
    ]


def events_of(path: Path) -> list[str]:
    with Trace(str(path)) as trace:
        return [event["what"] for event in trace.timeline()["events"]]


# ---------------------------------------------------------------- the terminal


@pytest.fixture
def terminal(gdb_session: Sessions) -> Callable[..., Session]:
    """A GDB as it is without settings, at a terminal with colours and 24 lines."""

    def start(**environment: str) -> Session:
        before = ["set editing off", "set height 24", "set width 200"]
        return gdb_session(before=before, environment={"TERM": "xterm-256color", **environment})

    return start


def test_the_pager_is_gdbs(terminal: Callable[..., Session]) -> None:
    session = terminal()
    session.send(f"clock path {HEALTHY}\n")
    page = session.expect("--Type <RET> for more, q to quit, c to continue without paging--")
    assert page.count("\n") == 23
    assert session.command("q").strip() == "Quit"
    assert session.command("set pagination off").strip() == ""
    assert session.command(f"clock path {HEALTHY}").count("\n") > 100


def test_colours_follow_gdbs_styles(terminal: Callable[..., Session]) -> None:
    session = terminal()
    session.command("set pagination off")
    show = f"clock timeline {HEALTHY}"
    coloured = session.command(show)
    assert "\x1b[32mclock selected" in coloured
    piped = session.command(f"pipe {show} | cat")
    plain = session.command(f"with style enabled off -- {show}")
    assert plain == piped == re.sub(r"\x1b\[[0-9;]*m", "", coloured)


def test_no_color(terminal: Callable[..., Session]) -> None:
    session = terminal(NO_COLOR="1")
    session.command("set pagination off")
    assert "\x1b[" not in session.command(f"clock timeline {HEALTHY}")


# ---------------------------------------------------------------- what is known without being asked


def test_the_last_trace(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    script = [*record_model(tmp_path), "output $clockscope_trace", "echo \\n", "clock timeline", "clock diagnose"]
    text = gdb([*script, "clock diff $clockscope_trace traces/netbsd-no-pit.trace", "clock", "info clockscope"]).text
    assert f'"{tmp_path}/boot.trace"' in text
    assert "\nTimecounters\n" in text and "nothing wrong" in text.lower()
    assert f"A: {tmp_path}/boot.trace" in text
    assert "was recorded. See it with `clock timeline`" in text
    assert re.search(r"^last trace +\S*boot.trace$", text, re.MULTILINE)


def test_no_trace_yet(gdb: Callable[..., Transcript]) -> None:
    assert "no trace was named: give its FILE" in gdb(["clock timeline"]).text


def test_show_lists_the_settings(gdb: Callable[..., Transcript]) -> None:
    shown = gdb(["set clockscope idle-seconds 7", "show clockscope"]).text.splitlines()
    assert len(shown) > 5 and all(re.match(r"[a-z-]+:  .*\.$", line) for line in shown)
    assert any(line.startswith("idle-seconds:") and line.endswith(": 7.") for line in shown)


def advice(gdb: Callable[..., Transcript], *before: str, cwd: Path = ROOT) -> str:
    return gdb([*before, "echo next:\\n", "clock"], cwd=cwd).text.partition("next:\n")[2].splitlines()[0]


def test_what_to_do_next(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    file, launch, _ = record_model(tmp_path)
    assert "`file vmlinux`" in advice(gdb, cwd=tmp_path)
    assert "`clock launch -- qemu-system-x86_64 …`" in advice(gdb, file, cwd=tmp_path)
    assert "Your guest is attached." in advice(gdb, file, launch, cwd=tmp_path)
    armed = f"clock record -o {tmp_path}/armed.trace"
    assert "`continue` your guest; `clock record --stop`" in advice(gdb, file, launch, armed, cwd=tmp_path)
    assert "`clock timeline armed.trace`" in advice(gdb, cwd=tmp_path)


# ---------------------------------------------------------------- somebody's GDB

GDBINIT = """
set pagination off
set confirm off
set print pretty on
set disassembly-flavor intel
set editing off
define hook-stop
  echo [hook-stop]\\n
end
define hookpost-continue
  echo [continued]\\n
end
alias clock = info line
python
def prompt(_current):
    return "user> "
gdb.prompt_hook = prompt
def context(_event):
    for command in ("info registers rip rsp rflags eflags", "x/3i $pc", "x/4gx $sp", "bt 3"):
        try:
            gdb.execute(command)
        except gdb.error as error:
            print("[context]", error)
    print("[context end]")
gdb.events.stop.connect(context)
gdb.events.cont.connect(lambda event: gdb.execute("info threads", to_string=True))
gdb.events.new_objfile.connect(lambda event: None)
gdb.events.before_prompt.connect(lambda: gdb.execute("info inferiors", to_string=True))
end
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user who has hooks at stops and at the prompt, and a `clock` of his own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gdbinit").write_text(GDBINIT)
    return tmp_path / "home"


def test_beside_a_gdbinit_with_hooks(gdb_session: Sessions, home: Path, tmp_path: Path) -> None:
    session = gdb_session(home=home, prompt="user> ", before=[], plugin=False)
    sourced = session.command(f"source {ROOT}/plugin/clockscope.py")
    assert "You have a command `clock` already" in sourced
    file, launch, record = (line.replace("clock ", "clockscope ", 1) for line in record_model(tmp_path))
    session.command(file)
    assert session.command(launch).count("[context end]") == 1
    session.command("hbreak tc_init")
    stopped = session.command(record)
    # The user's hooks see his own breakpoint's stop, and none of the recording's.
    assert stopped.count("[context end]") == stopped.count("[hook-stop]") == 1
    assert "Your guest stopped before exit; the recording goes on." in stopped
    session.command("delete")
    ended = session.command("continue")
    assert "complete: the guest ended" in ended and "[context end]" not in ended
    assert events_of(tmp_path / "boot.trace").count("clock.registered") == 4


# ---------------------------------------------------------------- other ways to run GDB


def test_progress(terminal: Callable[..., Session], tmp_path: Path) -> None:
    """At a terminal, long work says how far it is, on a line that does not stay."""
    session = terminal()
    file, launch, record = record_model(tmp_path)
    session.command(file)
    session.command(launch)
    assert re.search(r"^  0% \w+\x1b\[K\r", session.command(record), re.MULTILINE)


def test_interrupted_work(terminal: Callable[..., Session], tmp_path: Path) -> None:
    """Ctrl-C ends a command, not GDB, and takes its progress away."""
    session = terminal()
    session.send(f"clock report {HEALTHY} traces/linux-xen.trace -o {tmp_path}/both.html\n")
    session.expect(r"% drawing \w+.*\x1b\[K\r")
    session.interrupt()
    assert session.expect("Quit").endswith("\x1b[KQuit")
    assert not (tmp_path / "both.html").exists()
    session.prompt()
    assert re.sub(r"\x1b\[\d*m", "", session.command("print 6 * 7")) == "$1 = 42\n"  # GDB 16 colours it


def test_batch(tmp_path: Path) -> None:
    lines = [f"source {ROOT}/plugin/clockscope.py", *record_model(tmp_path), "clock timeline"]
    words = [word for line in lines for word in ("-ex", line)]
    done = subprocess.run(["gdb", "-nx", "-batch", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check_no_traceback(done.stdout + done.stderr)
    assert done.returncode == 0 and "\nTimecounters\n" in done.stdout
    assert "\x1b" not in done.stdout and "\r" not in done.stdout


def test_gdb_multiarch(gdb_session: Sessions, tmp_path: Path) -> None:
    """Debian's build for all architectures, which knows the ABIs of the BSDs."""
    session = gdb_session(program="gdb-multiarch")
    printed = [session.command(line) for line in [*record_model(tmp_path), "clock timeline"]]
    assert "complete: the guest ended" in printed[2] and "\nTimecounters\n" in printed[3]
    assert events_of(tmp_path / "boot.trace").count("clock.registered") == 4


class Screen:
    """A terminal that draws, by tmux: what a person would see of a program."""

    def __init__(self, command: str, width: int = 130, height: int = 40) -> None:
        self._socket = tempfile.mktemp(prefix="clockscope-tmux-")
        size = ("-x", str(width), "-y", str(height))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(ROOT), command)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def shown(self, *options: str) -> str:
        return self._tmux("capture-pane", "-p", *options)

    def expect(self, *patterns: str, limit: float = 60) -> str:
        """The screen, once it shows all of these at the same time: GDB draws one window after the other."""
        deadline = time.monotonic() + limit
        while True:
            screen = self.shown()
            if all(re.search(pattern, screen) for pattern in patterns):
                return screen
            assert time.monotonic() < deadline, f"{patterns} did not come:\n{screen}"
            time.sleep(0.1)

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)
        Path(self._socket).unlink(missing_ok=True)


@pytest.fixture
def screen() -> Iterator[Screen]:
    one = Screen("gdb -nx -q -iex 'set confirm off'")
    yield one
    one.close()


@pytest.mark.parametrize("width", [80, 200])
def test_pictures_of_a_terminal(width: int) -> None:
    """Kept to be looked at (`cat` shows them, with their colours): no line is wider than the terminal, which would fold it."""
    kept = ROOT / "build" / "test" / "pages"
    kept.mkdir(parents=True, exist_ok=True)
    healthy, failing = "traces/linux-healthy.trace", "traces/linux-samples-rejected.trace"
    one = Screen("sh", width, 400)
    for line in (
        f"timeline {healthy}",
        f"path {failing} tsc_read_refs",
        f"diff {healthy} {failing}",
        f"diagnose {failing}",
    ):
        verb = line.split()[0]
        one.type(f"clear; build/clockscope {line}; echo the end o''f {verb}")
        one.expect(rf"(?m)^the end of {verb}$")
        (kept / f"terminal-{verb}-{width}.txt").write_text(one.shown("-e"))
        joined = one.shown("-J").splitlines()  # what the terminal had to fold is one line again
        assert max(len(line.rstrip()) for line in joined if "o''f" not in line) <= width, joined
    one.close()


def test_tui(screen: Screen, tmp_path: Path) -> None:
    """The source window follows the user's own stops; what clockscope prints stays in the window for commands."""
    file, launch, record = record_model(tmp_path)
    for line in (f"source {ROOT}/plugin/clockscope.py", file, "tui enable", "layout src", launch):
        screen.type(line)
    screen.expect("Your guest is paused")
    screen.type("hbreak tc_init")
    screen.type(record)
    screen.expect("Your guest stopped before exit", r"─examples/model/netbsd/kern_tc\.c─", r"H\+> +68 ")
    screen.type("delete")
    screen.type("continue")
    ended = screen.expect("complete: the guest ended")
    assert "\x1b" not in ended and "^[" not in ended and "Traceback" not in ended
    screen.type("tui disable")
    screen.type("pipe clock timeline | head -3")
    screen.expect(r"NetBSD 10\.99\.0")
    assert events_of(tmp_path / "boot.trace").count("clock.registered") == 4
