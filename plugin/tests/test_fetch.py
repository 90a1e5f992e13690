# SPDX-License-Identifier: MIT
"""Guests come from the packages that guests.lock names, whatever the host's own sources have. Apt is played."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from guest import ROOT

# An apt that has one version of one package, if it is asked for the suite that the lock names.
APT = """#!/bin/sh
case "$*" in
*"sourcelist=$ROOT/build/apt/bookworm/sources.list "*"sourceparts=/dev/null "*) ;;
*) echo "asked for the host's own sources: $*" >&2; exit 1 ;;
esac
case "$*" in
*" update "*) ;;
*" show "*"toy=$HAS" | *" show --no-all-versions toy") printf 'Package: toy\\nVersion: %s\\nSHA256: 0\\n' "$HAS" ;;
*" download "*"toy=$HAS") cp "$ROOT/toy.deb" toy_file.deb; echo dlstatus:1:100:all >&3 ;;
*) exit 100 ;;
esac
"""


@dataclass(frozen=True)
class Fetched:
    status: int
    said: str
    file: Path

    @property
    def directory(self) -> Path:
        return self.file.parent


class World:
    """A copy of the scripts, with a lock of its own, and an apt that has version 2."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scripts = root / "examples" / "linux"
        shutil.copytree(ROOT / "examples" / "linux", self.scripts)
        for name in ("apt-get", "apt-cache"):
            (root / name).write_text(APT)
            (root / name).chmod(0o755)
        package = root / "toy"
        (package / "DEBIAN").mkdir(parents=True)
        (package / "boot").mkdir()
        (package / "boot" / "kernel").write_text("the kernel\n")
        (package / "DEBIAN" / "control").write_text(
            "Package: toy\nVersion: 2\nArchitecture: all\nInstalled-Size: 9\nMaintainer: X <x@example.org>\nDescription: X\n"
        )
        subprocess.run(["dpkg-deb", "--build", package, root / "toy.deb"], check=True, capture_output=True)
        self.sum = hashlib.sha256((root / "toy.deb").read_bytes()).hexdigest()

    def fetch(self, version: str, checksum: str) -> Fetched:
        (self.scripts / "guests.lock").write_text(f"toy bookworm toy {version} {checksum}\n")
        file = self.root / "guests" / "toy" / "kernel"
        environment = {**os.environ, "PATH": f"{self.root}:{os.environ['PATH']}", "ROOT": str(self.root), "HAS": "2"}
        done = subprocess.run(
            [self.scripts / "fetch-file", "toy", "*/boot/kernel", file], env=environment, capture_output=True, text=True
        )
        return Fetched(done.returncode, done.stderr, file)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_named_version(world: World) -> None:
    fetched = world.fetch("2", world.sum)
    assert fetched.status == 0, fetched.said
    assert fetched.file.read_text() == "the kernel\n"
    assert (fetched.directory / "version").read_text() == "toy 2\n"
    assert "instead" not in fetched.said
    assert world.fetch("2", world.sum).said == ""  # it is there


def test_a_version_that_is_gone_is_replaced_and_that_is_said_once(world: World) -> None:
    fetched = world.fetch("1", world.sum)
    assert fetched.status == 0, fetched.said
    assert "bookworm no longer has toy 1, which the project names: taking toy 2 instead" in fetched.said
    assert (fetched.directory / "version").read_text() == "toy 2\n"
    assert world.fetch("1", world.sum).said == ""
    assert "downloading toy 2" not in world.fetch("2", world.sum).said  # what the lock names by now


def test_another_file_than_the_named_one_is_refused(world: World) -> None:
    fetched = world.fetch("2", "0" * 64)
    assert fetched.status == 1
    assert fetched.said.splitlines()[-1] == (
        "fetch-file: toy 2 is not the file that guests.lock names: its SHA256 differs"
    )
    assert not fetched.file.exists() and not list(fetched.directory.glob("*.deb"))


def test_a_newer_lock_fetches_anew(world: World) -> None:
    world.fetch("2", world.sum)
    fetched = world.fetch("3", world.sum)
    assert "no longer has toy 3" in fetched.said and fetched.status == 0
