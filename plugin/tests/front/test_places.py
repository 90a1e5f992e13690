# SPDX-License-Identifier: MIT
"""Which commit this is, and that a library of another version keeps the program from starting."""

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


def test_a_library_of_another_version_is_refused(tmp_path: Path) -> None:
    """As after an upgrade without a build: the answers would be wrong without a word."""
    source, preloaded = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text("unsigned cs_version(int *major, int *minor) { *major = 9, *minor = 1; return 0x901; }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(preloaded), str(source)], check=True)
    command = [str(ROOT / "build" / "clockscope"), "timeline", str(ROOT / "traces" / "netbsd-healthy.trace")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(preloaded)})
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert "it was built for capstone" in done.stderr and "and 9.1 is here); run: make -f setup.mk clean" in done.stderr
