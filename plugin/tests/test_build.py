# SPDX-License-Identifier: MIT
"""The build: nothing is stale after an upgrade, nothing but compiler and libraries is needed, and what is missing is named."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from guest import ROOT

OBJECT = "build/obj/core/base/error.o"
PACKAGERS = ("apt", "dpkg", "dnf", "yum", "pacman")
PROGRAM = "plugin/clockscope/_core.abi3.so"
QUICKLY = "CFLAGS=-O0"


class Tree:
    """A copy of the project with what is built of the program, and a PATH without any package manager."""

    def __init__(self, root: Path) -> None:
        self.root = root / "tree"
        left_out = shutil.ignore_patterns("build", ".git", "node_modules", "traces", "tests", "__pycache__", "*.png")
        shutil.copytree(ROOT, self.root, ignore=left_out)
        shutil.copytree(ROOT / "c-ext" / "tests", self.root / "c-ext" / "tests")
        self.path = root / "bin"
        self.path.mkdir()
        for directory in ("/usr/local/bin", "/usr/bin", "/bin"):
            for tool in Path(directory).iterdir() if Path(directory).is_dir() else ():
                if not tool.name.startswith(PACKAGERS) and not (self.path / tool.name).exists():
                    (self.path / tool.name).symlink_to(tool)

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            ["make", "-f", "setup.mk", *words],
            cwd=self.root,
            env={**environment, "PATH": str(self.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def poison(self, *headers: str) -> Path:
        """A directory of headers: with it, those of the system's are as good as not there."""
        directory = self.root.parent / "poison"
        for header in headers:
            (directory / header).parent.mkdir(parents=True, exist_ok=True)
            (directory / header).write_text("#error not there\n")
        return directory


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_objects_are_made_anew_after_an_upgrade_of_a_header_whatever_its_date(tree: Tree, tmp_path: Path) -> None:
    header = tmp_path / "include" / "expat.h"
    header.parent.mkdir()
    flags = f"CFLAGS=-O0 -I{header.parent}"

    def upgrade(text: str) -> None:
        header.write_text(f"#include_next <expat.h>\n{text}\n")
        os.utime(header, (1_000_000_000, 1_000_000_000))  # a package's files keep their dates

    upgrade("enum { RELEASE = 4 };")
    assert "CC " in tree.make(OBJECT, flags).stdout
    assert "CC " not in tree.make(OBJECT, flags).stdout
    upgrade("enum { RELEASE = 5 };")
    assert "CC " in tree.make(OBJECT, flags).stdout
    upgrade("#define RELEASE 6")
    assert "CC " in tree.make(OBJECT, flags).stdout
    assert "CC " in tree.make(OBJECT, f"{flags} -g").stdout


def test_a_file_that_is_gone_is_out_of_the_library(tree: Tree) -> None:
    tree.make("build/libcore.a", QUICKLY, "-j2")
    list_of = tree.root / "build/obj/list"
    before = list_of.read_text()
    extra = tree.root / "c-ext/core/base/extra.c"
    extra.write_text("int cs_extra;\n")
    assert "AR " in tree.make("build/libcore.a", QUICKLY).stdout and "extra.o" in list_of.read_text()
    extra.unlink()
    assert "AR " in tree.make("build/libcore.a", QUICKLY).stdout and list_of.read_text() == before
    members = subprocess.run(["ar", "t", tree.root / "build/libcore.a"], capture_output=True, text=True, check=True)
    assert "extra.o" not in members.stdout


def test_the_program_needs_no_package_manager(tree: Tree) -> None:
    (tree.root / PROGRAM).unlink(missing_ok=True)
    done = tree.make("program", QUICKLY, "-j2")
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [tree.root / "build/clockscope", "timeline", ROOT / "traces/netbsd-healthy.trace"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0 and "lapic" in shown.stdout, shown.stderr


def test_a_missing_library_is_named_in_one_line_with_the_command_that_mends_it(tree: Tree, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\nexec gcc -I{tree.poison('capstone/capstone.h')} \"$@\"\n")
    compiler.chmod(0o755)
    for packager, said in (
        ("none", "it is in the package libcapstone-dev (Debian, Ubuntu), capstone-devel (Fedora), capstone (Arch)"),
        ("apt-get", "as root, run: apt-get install libcapstone-dev"),
        ("dnf", "as root, run: dnf install capstone-devel"),
        ("pacman", "as root, run: pacman -S capstone"),
    ):
        program = tree.path / packager
        program.write_text("#!/bin/sh\ntouch called\n")
        program.chmod(0o755)
        done = tree.make("program", f"CC={compiler}")
        assert done.returncode != 0
        lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        assert lines == [f"missing: capstone (libcapstone); {said}"]
        assert not (tree.root / "called").exists()
        program.unlink()


def test_each_thing_that_is_missing_has_its_line(tree: Tree, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\nexec gcc -I{tree.poison('sqlite3.h', 'elfutils/libdw.h')} \"$@\"\n")
    compiler.chmod(0o755)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *jinja2*) exit 1 ;; esac\nexec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    done = tree.make("program", f"CC={compiler}", f"PYTHON={python}")
    lines = [line.partition(";")[0] for line in done.stderr.splitlines() if not line.startswith("make")]
    assert lines == [
        "missing: SQLite (libsqlite3)",
        "missing: elfutils' libdw",
        f"missing: Python's module jinja2, for {python}",
    ]


def test_no_compiler(tree: Tree) -> None:
    done = tree.make("program", "CC=no-such-compiler")
    assert done.stderr.startswith("missing: the compiler no-such-compiler; ")
