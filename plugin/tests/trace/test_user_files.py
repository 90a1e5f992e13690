# SPDX-License-Identifier: MIT
"""The user's own files beside what is written: none is touched, whatever its name. And readers of a trace that is closed."""

import os
import sqlite3
from pathlib import Path

import pytest

from clockscope._core import Error, ExistsError, SystemError, Trace, TraceWriter
from clockscope.base import outfile
from clockscope.base.errors import UserError
from clockscope.live import qemu

# Names that came to mind, here or there.
SUFFIXES = ("-old", "-new", "-lock", ".part", ".tmp", ".bak", "~", "-old-wal", "-new-wal", "-new-shm", ".replay")
COMPANIONS = ("-wal", "-shm", "-journal")


def neighbours(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[Path, str]:
    """Files of the user's, beside one that is about to be written."""
    files = {path.with_name(path.name + suffix): f"mine, {suffix}" for suffix in suffixes}
    files |= {path.with_name("." + path.name + suffix): "mine too" for suffix in suffixes}
    for file, text in files.items():
        file.write_text(text)
    return files


def check(files: dict[Path, str], *others: Path) -> None:
    for file, text in files.items():
        assert file.read_text() == text, file
    folder = next(iter(files)).parent
    assert set(folder.iterdir()) == {*files, *others}


def record(path: Path, *, force: bool = False) -> None:
    writer = TraceWriter(str(path), force=force)
    writer.meta("x", "y")
    writer.close(True, "all is well")
    del writer


@pytest.mark.parametrize("force", [False, True])
def test_a_trace(force: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    if force:
        record(path)
    files = neighbours(path)
    record(path, force=force)
    check(files, path)
    with Trace(str(path)) as trace:
        assert trace.complete()


def test_a_trace_that_cannot_be_begun(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    record(path)
    before = path.read_bytes()
    files = neighbours(path)
    with pytest.raises(ExistsError):
        TraceWriter(str(path))
    with pytest.raises(Error):
        TraceWriter(str(tmp_path / "nowhere" / "a.trace"), force=True)
    check(files, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", COMPANIONS)
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("text", [b"my notes", b""])
def test_what_is_named_as_a_log_of_it(suffix: str, force: bool, text: bytes, tmp_path: Path) -> None:
    path, file = tmp_path / "a.trace", tmp_path / f"a.trace{suffix}"
    if force:
        record(path)
    file.write_bytes(text)
    if force and not text:  # SQLite itself leaves such
        record(path, force=True)
        return
    with pytest.raises(ExistsError, match=f"{file} is in the way and is not clockscope's: move it"):
        TraceWriter(str(path), force=force)
    assert file.read_bytes() == text
    assert path.exists() == force


def test_a_log_of_another_database(tmp_path: Path) -> None:
    """Its database is gone, so it is all that is left of it."""
    other, path = tmp_path / "other.db", tmp_path / "a.trace"
    with sqlite3.connect(other) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE mine (x)")
        database.commit()
        log = Path(f"{other}-wal").read_bytes()
    Path(f"{path}-wal").write_bytes(log)
    with pytest.raises(ExistsError, match="is in the way"):
        TraceWriter(str(path))
    assert Path(f"{path}-wal").read_bytes() == log


def test_what_a_killed_recording_left(tmp_path: Path) -> None:
    """Its file was removed by hand: its log and its lock are known by what they hold."""
    path = tmp_path / "a.trace"
    child = os.fork()
    if child == 0:
        writer = TraceWriter(str(path))
        writer.event(run_ns=1, cpu=0, what="clock.registered", rule="r")
        writer.flush()
        os._exit(0)
    os.waitpid(child, 0)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["a.trace", "a.trace-lock", "a.trace-shm", "a.trace-wal"]
    path.unlink()
    record(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("force", [False, True])
def test_other_files(force: bool, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    if force:
        path.write_text("before")
        path.chmod(0o640)
    files = neighbours(path, (*SUFFIXES, *COMPANIONS))
    with outfile.create(str(path), force=force) as write:
        write(b"after")
    check(files, path)
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == (0o640 if force else 0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_other_files_that_fail(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    files = neighbours(path)
    with pytest.raises(KeyError), outfile.create(str(path), force=False) as write:
        write(b"half")
        raise KeyError
    check(files)
    with pytest.raises(UserError, match="exists already"), outfile.create(str(path), force=False) as write:
        path.write_text("somebody was faster")
    check(files | {path: "somebody was faster"})


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    fifo, link, target = tmp_path / "fifo", tmp_path / "link", tmp_path / "target"
    os.mkfifo(fifo)
    target.write_text("before")
    link.symlink_to(target)
    for path in (fifo, tmp_path):
        with pytest.raises(UserError, match="no ordinary file"), outfile.create(str(path), force=True):
            pass
    with outfile.create(str(link), force=True) as write:
        write(b"after")
    assert fifo.is_fifo() and link.is_symlink() and target.read_text() == "after"
    with pytest.raises(SystemError, match="not an ordinary file"):
        TraceWriter(str(fifo), force=True)


def test_what_a_replay_writes(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    command = ["qemu-system-x86_64", "-serial", f"file:{console}"]
    assert f"file:{console}.replay" in qemu.replayed(command, "rr")
    files = neighbours(console)
    assert f"file:{console}.replay-2" in qemu.replayed(command, "rr")
    check(files)


@pytest.mark.parametrize("snapshot", [True, False])
def test_closing_beside_a_reader(snapshot: bool, tmp_path: Path) -> None:
    """A reader in the midst of its question keeps the log, and nothing else: the trace is whole, and is called so."""
    path = tmp_path / "a.trace"
    writer = TraceWriter(str(path))
    writer.event(run_ns=1, cpu=0, what="clock.registered", rule="r")
    writer.flush()
    reader = sqlite3.connect(path)
    if snapshot:
        reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM event").fetchone() == (1,)
    writer.event(run_ns=2, cpu=0, what="clock.registered", rule="r")
    writer.close(True, "all is well")
    assert writer.logged == snapshot
    assert Path(f"{path}-wal").exists() == snapshot or not snapshot
    with Trace(str(path)) as trace:
        assert trace.complete() and len(trace.timeline()["events"]) == 2
    reader.close()
    with Trace(str(path)) as trace:
        assert trace.complete() and len(trace.timeline()["events"]) == 2
