# SPDX-License-Identifier: MIT
"""The core's table of what stubs do beside the manual: STUBS.md is written from it, and the scripted stubs play all of it."""

import ast
import subprocess
from collections.abc import Iterator

from guest import ROOT

from clockscope._core import stub_quirks

TESTS = ROOT / "plugin" / "tests"


def played() -> Iterator[str]:
    """The quirks that classes of the tests say they play: `quirks: tuple[str, ...] = ("no-vcont",)`."""
    for file in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "quirks" and line.value:
                        yield from ast.literal_eval(line.value)


def test_every_quirk_is_played_and_none_else() -> None:
    names = [quirk["name"] for quirk in stub_quirks()]
    assert len(names) == len(set(names)) and set(played()) == set(names)


def test_each_says_whose_it_is_where_it_bites_and_how_it_is_recognised() -> None:
    for quirk in stub_quirks():
        assert quirk["stub"] and quirk["what"], quirk
        assert (ROOT / "c-ext" / "core" / quirk["where"]).is_file(), quirk
        assert bool(quirk["features"]) == (quirk["sign"] in ("offers", "lacks")), quirk


def test_the_document_is_written_from_it() -> None:
    checked = subprocess.run(["/usr/bin/python3", ROOT / ".ci/stubs.py", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
