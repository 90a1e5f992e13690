# SPDX-License-Identifier: MIT
"""What GDB works with is one object, of which there may be another; nothing beside it is one of its kind."""

import ast

import pytest

from clockscope.live.gdb_session import GdbSession, here, use
from guest import ROOT

ROOMS = ("live", "commands", "front", "gdbside")


def test_a_second_session_has_its_own() -> None:
    first = here()
    first.last_command = ["qemu", "one"]
    with pytest.raises(ZeroDivisionError), use(GdbSession()) as second:
        assert here() is second is not first and here().last_command == []
        here().last_command = ["qemu", "two"]
        assert first.last_command == ["qemu", "one"]
        raise ZeroDivisionError
    assert here() is first
    first.last_command = []


def test_no_class_keeps_one_of_its_own() -> None:
    """What a session needs is a field of GdbSession, no variable of a class."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line.lineno}: {ast.unparse(line)}"
        for room in ROOMS
        for file in (ROOT / "plugin/clockscope" / room).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and "ClassVar" in ast.unparse(line.annotation)
    ]
    assert not wrong
