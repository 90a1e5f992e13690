# SPDX-License-Identifier: MIT
"""The documents keep step: links lead somewhere, the README names every verb and setting, its commands run."""

import os
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


def commands_of(text: str) -> list[tuple[str, list[str]]]:
    """The commands of the console blocks, each with what is shown of its output."""
    blocks = re.findall(r"^```console\n\$ ([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(command, shown.rstrip("\n").split("\n")) for command, shown in blocks]


@pytest.mark.parametrize("command,shown", commands_of(README), ids=("diagnose", "diff"))
def test_the_readme_shows_what_is_printed(command: str, shown: list[str]) -> None:
    """To the letter, on a terminal of 100 columns; what is left out stands where `…` is."""
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}
    )
    assert done.returncode == 1 and not done.stderr, done.stderr
    parts = "\n".join(shown).split("…")
    at = done.stdout.index(parts[0])
    assert at == 0
    for part in parts:
        found = done.stdout.find(part, at)
        assert found >= 0, f"{part} does not come next in:\n{done.stdout}"
        at = found + len(part)
    assert not parts[-1] or done.stdout[at:] == "\n"


def test_the_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert (
        max(
            len(line)
            for block in re.findall(r"^```.*?^```", README, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()
        )
        <= 100
    )


def test_the_readmes_page() -> None:
    (line,) = re.findall(r"^    (build/clockscope report .* traces/.*)$", README, re.MULTILINE)
    (ROOT / "build" / "both.html").unlink(missing_ok=True)
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("\n") <= 1, f"{line}: {done.stderr}"
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
