# SPDX-License-Identifier: MIT
"""Private folders: those of killed programs go at the next start, and no others."""

import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gdbrun import Session, Transcript
from model import model
from relay_world import make
from scripted_stub import FakeStub

from clockscope._core import Relay
from clockscope.live import private_folders
from clockscope.live.private_folders import PrivateFolder

Gdb = Callable[..., Transcript]
Sessions = Callable[..., Session]


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of our own (pytest has made its own by now)."""
    found = Path(f"/tmp/cs-{os.getpid()}-{time.monotonic_ns()}")  # short: sockets lie in it
    found.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(found))
    monkeypatch.setenv("TMPDIR", str(found))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield found
    shutil.rmtree(found)


def killed(make: Callable[[], object]) -> None:
    """Have a process make something, and die of SIGKILL."""
    child = os.fork()
    if child == 0:
        kept = [make()]
        os.kill(os.getpid(), signal.SIGKILL)
        kept.clear()
    os.waitpid(child, 0)


def test_a_folder_goes_with_its_owner(base: Path) -> None:
    folder = PrivateFolder("guest")
    assert Path(folder.path).stat().st_mode & 0o777 == 0o700
    (Path(folder.path) / "stderr").write_text("")
    private_folders.sweep()
    assert Path(folder.path).exists()
    folder.remove()
    folder.remove()
    assert list(base.iterdir()) == []


def test_those_of_the_killed_are_removed(base: Path) -> None:
    mine = PrivateFolder("guest")

    def leave() -> object:
        folder = PrivateFolder("guest")
        for name in ("gdb", "stderr", "recording"):
            (Path(folder.path) / name).write_text("")
        return folder

    killed(leave)
    assert len(list(base.iterdir())) == 2
    private_folders.sweep()
    assert list(base.iterdir()) == [Path(mine.path)]
    mine.remove()


def test_a_relays_too(base: Path) -> None:
    with make(FakeStub) as stub:
        killed(lambda: Relay(stub.address))
    (left,) = base.iterdir()
    assert sorted(path.name for path in left.iterdir()) == ["gdb", "lock"]
    with make(FakeStub) as stub:
        relay = Relay(stub.address)
        private_folders.sweep()
        assert os.path.exists(relay.socket_path) and not left.exists()
        relay.close()
    assert list(base.iterdir()) == []


def test_nothing_else_is_removed(base: Path) -> None:
    """What is not ours, what holds something of the user's, and what only looks like ours."""
    victim = base / "victim"
    victim.mkdir(mode=0o700)
    for name in ("lock", "gdb", "stderr"):
        (victim / name).write_text("the user's")
    (base / "clockscope-link").symlink_to(victim)
    (base / "clockscope-file").write_text("the user's")
    open_to_all = base / "clockscope-open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    (open_to_all / "lock").write_text("")
    unlocked = base / "clockscope-unlocked"
    unlocked.mkdir(mode=0o700)
    (unlocked / "gdb").write_text("")
    linked = base / "clockscope-linked"
    linked.mkdir(mode=0o700)
    (linked / "lock").symlink_to(victim / "lock")
    (linked / "gdb").write_text("")
    piped = base / "clockscope-piped"
    piped.mkdir(mode=0o700)
    os.mkfifo(piped / "lock")
    killed(lambda: (Path(PrivateFolder("guest").path) / "notes").write_text("the user's"))
    before = {path for path in base.rglob("*")}
    private_folders.sweep()
    gone = before - {path for path in base.rglob("*")}
    assert {path.name for path in gone} <= {"lock"} and all("guest" in str(path) for path in gone)
    assert len(list(base.rglob("notes"))) == 1


def test_another_users_are_left_alone(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(lambda: PrivateFolder("guest"))
    (left,) = base.iterdir()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    private_folders.sweep()
    assert (left / "lock").exists()


def test_the_next_gdb_cleans_up(base: Path, gdb: Gdb, gdb_session: Sessions, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(base), "TMPDIR": str(base)}
    machine = model("netbsd")
    session = gdb_session(environment=environment)
    session.command(f"file {machine.vmlinux}")
    session.command(f"clock launch -- {shlex.join(machine.command(tmp_path / 'serial'))}")
    assert len(list(base.glob("clockscope-*"))) == 2, session.transcript
    gdb(["clock"], environment=environment)  # beside the one that lives
    assert len(list(base.glob("clockscope-*"))) == 2
    session.process.kill()
    session.process.wait()
    gdb(["clock"], environment=environment)
    assert list(base.glob("clockscope-*")) == []
