# SPDX-License-Identifier: MIT
"""Installed below a directory of one's own: the program, GDB, completions, and nothing left after `uninstall`."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gdbrun import run_gdb
from guest import ROOT

TRACE = ROOT / "traces" / "netbsd-healthy.trace"


def make(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-f", "setup.mk", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory: Path = tmp_path_factory.mktemp("destination")
    (directory / "usr" / "bin").mkdir(parents=True)
    (directory / "usr" / "bin" / "mine").write_text("the user's\n")
    make("install", "PREFIX=/usr", f"DESTDIR={directory}")
    yield directory / "usr"
    make("uninstall", "PREFIX=/usr", f"DESTDIR={directory}")
    assert [path.name for path in directory.rglob("*")] == ["usr", "bin", "mine"]


def run(*command: str | Path) -> str:
    return subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout


def test_the_program(prefix: Path, tmp_path: Path) -> None:
    program = prefix / "bin" / "clockscope"
    assert "lapic" in run(program, "timeline", TRACE)
    assert run(program, "--version") == run(ROOT / "build" / "clockscope", "--version")
    assert str(prefix / "share/clockscope/clockscope.py") in run(program, "--help")
    run(program, "report", TRACE, "-o", tmp_path / "page.html")
    assert "echarts" in (tmp_path / "page.html").read_text()
    run(program, "export", TRACE, "--format", "perfetto", "-o", tmp_path / "x.pftrace")


def test_the_manual_page(prefix: Path) -> None:
    page = (prefix / "share/man/man1/clockscope.1").read_text()
    assert "source /usr/share/clockscope/clockscope.py" in page
    assert "(/usr/lib/clockscope/plugin/clockscope/diagnoses has them)" in page


def test_gdb_by_source(prefix: Path, tmp_path: Path) -> None:
    result = run_gdb([f"source {prefix}/share/clockscope/clockscope.py", "clock"], tmp_path, plugin=False)
    assert result.status == 0 and "file vmlinux" in result.text


def test_gdb_by_auto_load_where_the_user_allows_it(prefix: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "vmlinux"
    kernel.write_bytes((ROOT / "build/guests/model/netbsd.elf").read_bytes())
    (tmp_path / "vmlinux-gdb.gdb").write_text(f"source {prefix}/share/clockscope/clockscope.py\n")
    command = ["gdb", "-nx", "-q", "-batch"]
    asked = ["-ex", f"file {kernel}", "-ex", "clock"]
    allowed = run(*command, "-iex", f"add-auto-load-safe-path {tmp_path}", *asked)
    assert "clock launch" in allowed
    refused = subprocess.run([*command, *asked], capture_output=True, text=True)
    assert "auto-loading has been declined" in refused.stderr and "clock launch" not in refused.stdout


def test_completion(prefix: Path) -> None:
    path = f"PATH={prefix}/bin:{os.environ['PATH']}"
    fish = f"source {prefix}/share/fish/vendor_completions.d/clockscope.fish; complete -C 'clockscope time'"
    assert run("env", path, "fish", "--no-config", "-c", fish).split() == ["timeline"]
    zsh = (
        "compadd() { shift ${@[(i)--]}; print -l -- $@ }; words=(clockscope timeline --back); CURRENT=3 PREFIX=--back;"
        f" . {prefix}/share/zsh/site-functions/_clockscope"
    )
    assert run("env", path, "zsh", "-f", "-c", zsh).split() == ["--backtrace"]


def test_installed_twice_is_installed_once(prefix: Path) -> None:
    gone = prefix / "lib/clockscope/plugin/clockscope/gone.py"
    gone.write_text("")
    listed = prefix / "lib/clockscope/installed"
    listed.write_text(listed.read_text() + "/usr/lib/clockscope/plugin/clockscope/gone.py\n")
    make("install", "PREFIX=/usr", f"DESTDIR={prefix.parent}")
    assert not gone.exists() and len(set(listed.read_text().splitlines())) == len(listed.read_text().splitlines())
