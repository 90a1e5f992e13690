# SPDX-License-Identifier: MIT
"""The walkthroughs are transcripts of what really happens: their commands are typed, their output is compared."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Session
from guest import BOOT_LIMIT, ROOT

PROMPT = "(gdb) "
ELISION = "…"


def steps_of(readme: Path) -> list[tuple[str, list[str]]]:
    """Each command of the gdb blocks, with the output that is shown."""
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```gdb\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                steps.append((line.removeprefix(PROMPT), []))
            else:
                steps[-1][1].append(line)
    return steps


def plain(line: str) -> str:
    """A line without what differs from boot to boot and from compiler to compiler."""
    line = re.sub(r"0x[0-9a-f]+", "0xN", line)
    line = re.sub(r"\d+(\.\d+)?", "N", line)
    line = re.sub(r"%\w+", "%R", line)
    return re.sub(r"[ ]+", " ", line).strip()


def blocks_of(shown: list[str]) -> list[list[str]]:
    """What stands between the elisions."""
    blocks: list[list[str]] = [[]]
    for line in filter(None, map(plain, shown)):
        if line == ELISION:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks


def check_shown(shown: list[str], actual: str) -> None:
    """The shown lines come in this order; only where `…` stands may others be left out."""
    lines = [plain(line) for line in actual.splitlines() if line.strip()]
    blocks = blocks_of(shown)
    at = 0
    for number, block in enumerate(blocks):
        starts = range(at, len(lines) + 1) if number else [0]
        found = next((start for start in starts if lines[start : start + len(block)] == block), None)
        assert found is not None, f"{block} does not come next in:\n{actual}"
        at = found + len(block)
    assert at == len(lines) or not blocks[-1], f"more is printed than is shown:\n{actual}"


@pytest.mark.parametrize("name", ["netbsd", "freebsd", "extend", "linux"])
def test_walkthrough(name: str, gdb_session: Callable[..., Session]) -> None:
    session = gdb_session(plugin=False, cwd=ROOT)
    steps = steps_of(ROOT / "examples" / name / "README.md")
    assert len(steps) > 5
    for command, shown in steps:
        check_shown(shown, session.command(command, limit=BOOT_LIMIT))


def test_files_that_a_page_explains() -> None:
    """What examples/extend/README.md shows of its files is what is in them."""
    page = (ROOT / "examples/extend/README.md").read_text()
    shown = "".join(re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    files = [(ROOT / "examples/extend" / name).read_text() for name in ("mine.toml", "never-chosen.toml")]
    lines = "".join(text.partition("explains it.\n")[2] for text in files).split("\n")
    assert [line for line in shown.split("\n") if line] == [line for line in lines if line]
