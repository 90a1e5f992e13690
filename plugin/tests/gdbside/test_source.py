# SPDX-License-Identifier: MIT
"""The text of a source line comes from the file that the line table names, or not at all."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A function with another inlined into it, which is from a header."""
    (tmp_path / "clock.h").write_text(
        "\n\n__attribute__((always_inline)) static inline int twice(int a) { return a * 2; }\n"
    )
    (tmp_path / "main.c").write_text('#include "clock.h"\nint main(int c, char **v)\n{\n\treturn twice(c);\n}\n')
    subprocess.run(["gcc", "-g", "-O1", "-o", "program", "main.c"], cwd=tmp_path, check=True)
    return tmp_path / "program"


@pytest.mark.parametrize(
    "named, found", [("clock.h", "clock.h"), ("main.c", "main.c"), ("else.h", None), ("a b;c", None)]
)
def test_the_file_that_is_named(
    named: str, found: str | None, program: Path, gdb: Callable[..., Transcript], tmp_path: Path
) -> None:
    said = gdb(
        [
            f"file {program}",
            "python from clockscope.gdbside import symbols",
            'python address = int(gdb.parse_and_eval("(long)&main"))',
            f"python print('found', symbols.source_file({named!r}, address))",
        ]
    )
    assert f"found {tmp_path / found if found else None}\n" in said.text
