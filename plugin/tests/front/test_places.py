# SPDX-License-Identifier: MIT
"""Which commit this is, and what keeps the program from starting, in a line."""

import os
import subprocess
from pathlib import Path

import pytest
from guest import ROOT

from clockscope.base import places


def git(directory: Path, *words: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    command = ["git", "-C", str(directory), "-c", "init.defaultBranch=main", *words]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **identity}
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "checkout"
    directory.mkdir()
    git(directory, "init")
    git(directory, "commit", "--allow-empty", "-m", "one")
    monkeypatch.setattr(places, "ROOT", str(directory))
    return directory


def test_the_commit_of_a_checkout(checkout: Path) -> None:
    assert places.commit() == git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    assert places.commit() == git(checkout, "rev-parse", "HEAD")
    git(checkout, "commit", "--allow-empty", "-m", "two")
    git(checkout, "checkout", "--detach")
    assert places.commit() == git(checkout, "rev-parse", "HEAD")


def test_the_commit_of_a_second_work_tree(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = checkout.parent / "second"
    git(checkout, "worktree", "add", "-b", "other", str(second))
    git(second, "commit", "--allow-empty", "-m", "three")
    monkeypatch.setattr(places, "ROOT", str(second))
    assert places.commit() == git(second, "rev-parse", "HEAD")


def test_no_commit_is_known_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ROOT", str(tmp_path))
    assert places.version("1.2") == "clockscope 1.2"


def test_a_library_that_is_gone_is_named(tmp_path: Path) -> None:
    """The extension with the name of its library changed, as if that had been upgraded."""
    for name in ("plugin", "schemas"):
        (tmp_path / name).mkdir()
    subprocess.run(["cp", "-r", str(ROOT / "plugin" / "clockscope"), str(tmp_path / "plugin")], check=True)
    extension = next((tmp_path / "plugin" / "clockscope").glob("_core*.so"))
    extension.write_bytes(extension.read_bytes().replace(b"libcapstone.so.", b"libcapstone.so,"))
    program = str(tmp_path / "plugin" / "clockscope" / "__main__.py")
    command = ["/usr/bin/python3", "-P", program, "timeline", "x.trace"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "plugin")}
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("clockscope: libcapstone.so,")
    assert "is not here: a library was removed, or upgraded; run: make -f setup.mk build" in done.stderr
