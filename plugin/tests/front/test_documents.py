# SPDX-License-Identifier: MIT
"""The documents keep step: links lead somewhere, the README names every verb and setting, its commands run."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import GUESTS, ROOT

from clockscope.base import settings
from clockscope.front import cli, verbs

README = (ROOT / "README.md").read_text()
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
PAGES = [name for name in TRACKED if name.endswith(".md")]


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_the_readme_has_every_verb() -> None:
    """A star marks those that the program has too."""
    rows = re.findall(r"^\| (`[^|]*(?:\\\|[^|]*)*`(?:, `\w+`)*)( \*)? \|", README, re.MULTILINE)
    starred = {name: bool(star) for cell, star in rows for name in re.findall(r"`(\w+)", cell)}
    outside = {verb.NAME for verb in cli.find_verbs([])}
    assert {name: starred.get(name) for name in verbs.names()} == {name: name in outside for name in verbs.names()}


def test_the_readme_has_every_setting() -> None:
    assert all(f"`{setting.name}`" in README for setting in settings.ALL)


def test_the_readmes_session(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    """What it says to type on one's own guest, with a kernel that boots in no time."""
    block = re.findall(r"^```gdb\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "plugin").symlink_to(ROOT / "plugin")
    (tmp_path / "vmlinux").symlink_to(GUESTS / "model" / "netbsd.elf")
    done = gdb(block.splitlines(), cwd=tmp_path, plugin=False)
    assert done.status == 0 and "\nTimecounters\n" in done.text and "tc_init" in done.text, done.text


def test_the_readmes_shell_commands() -> None:
    """Those that read recorded traces."""
    lines = re.findall(r"^    (build/clockscope .* traces/.*)$", README, re.MULTILINE)
    assert len(lines) > 2
    (ROOT / "build" / "both.html").unlink(missing_ok=True)
    for line in lines:
        done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (0, 1) and done.stderr.count("\n") <= 1, f"{line}: {done.stderr}"
    assert "<html" in (ROOT / "build" / "both.html").read_text()


def test_every_recorded_trace_is_explained() -> None:
    """Where each came from stands in traces/README.md, and traces/record can make it again."""
    names = {Path(name).stem for name in TRACKED if name.startswith("traces/") and name.endswith(".trace")}
    table = set(re.findall(r"^\| `([\w.-]+)` \|", (ROOT / "traces/README.md").read_text(), re.MULTILINE))
    recorder = (ROOT / "traces/record").read_text()
    assert names == table and all(f'"{name}"' in recorder for name in names)


def test_each_sentence_on_security_names_a_test() -> None:
    files = [*(ROOT / "plugin" / "tests").rglob("test_*.py"), *(ROOT / "c-ext" / "tests").rglob("*.c")]
    known = {file.stem for file in files}
    for file in files:
        known.update(re.findall(r"^(?:static void|def) (\w+)\(", file.read_text(), re.MULTILINE))
    rows = re.findall(r"^\| .* \| .* \| (`.*`) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    assert not {name for row in rows for name in re.findall(r"`(\w+)`", row)} - known


CHANGES = re.findall(
    r"^\| (.*?) \| (.*) \|$",
    (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("| change | files |\n")[2].partition("\n\n")[0],
    re.MULTILINE,
)[1:]


@pytest.mark.parametrize("change,files", CHANGES)
def test_where_a_change_goes(change: str, files: str) -> None:
    """The files that are named are there, and three at most; NAME stands for one that is made."""
    named = re.findall(r"`([\w./-]+/[\w.-]+)`", files)
    assert len(named) <= 3 and named, (change, named)
    for name in named:
        assert list(ROOT.glob(name.replace("NAME", "*"))), name
