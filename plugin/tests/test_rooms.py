# SPDX-License-Identifier: MIT
"""Who may know whom: the rooms of the core and of the plugin, as ARCHITECTURE.md draws them."""

import ast
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from guest import ROOT

CORE = ROOT / "c-ext" / "core"
PLUGIN = ROOT / "plugin" / "clockscope"

MAY_INCLUDE = {
    "base": set[str](),
    "rsp": {"base", "arch"},
    "arch": {"base"},
    "arch/x86": {"base", "arch"},
    "elf": {"base", "arch"},
    "trace": {"base"},
    "relay": {"base", "rsp", "arch"},
    "flow": {"base", "arch", "elf"},
    "xref": {"base", "elf", "arch"},
    "record": {"base", "rsp", "arch", "elf", "trace", "relay", "flow"},
}
"""Which rooms of the core each of them knows beside itself."""

IN_ORDER = ("base", "rsp", "flow", "relay", "xref", "trace")
"""Rooms in which each file has a header of its own. In the others some share the private parts of one structure."""

PYTHON_ORDER = (
    *("base", "arch", "profiles", "kernel", "importing", "model", "gdbside"),
    *("live", "reports", "exports", "fleet", "commands", "front"),
)
"""A room of the plugin knows those before it."""


def includes(file: Path) -> list[str]:
    return re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE)


def room_of(name: str) -> str:
    return name.rpartition("/")[0]


def imports(file: Path) -> Iterable[tuple[str, int]]:
    """The modules of clockscope that a module imports, with the line."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("clockscope."):
            yield node.module, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "clockscope":
            yield from ((f"clockscope.{alias.name}", node.lineno) for alias in node.names)


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle in a graph, as the names on it; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        found = first(walk(other, [*way, name]) for other in graph.get(name, ()))
        done.add(name)
        return found

    def first(found: Iterable[list[str]]) -> list[str]:
        return next(filter(None, found), [])

    return first(walk(name, []) for name in graph)


def test_the_core_has_these_rooms() -> None:
    assert {room_of(str(file.relative_to(CORE))) for file in CORE.rglob("*.[ch]")} == set(MAY_INCLUDE)


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_core_room(room: str) -> None:
    wrong = [
        f"{file.relative_to(CORE)} includes {name}"
        for file in (CORE / room).glob("*.[ch]")
        for name in includes(file)
        if "/" in name and room_of(name) not in MAY_INCLUDE[room] | {room}
        if not name.startswith("gen/")
    ]
    assert not wrong


def test_what_is_internal_stays_in_its_room() -> None:
    wrong = [
        f"{file.relative_to(CORE)} includes {name}"
        for file in CORE.rglob("*.[ch]")
        for name in includes(file)
        if name.endswith("_internal.h") and room_of(name) != room_of(str(file.relative_to(CORE)))
    ]
    assert not wrong


def test_headers_include_each_other_in_no_circle() -> None:
    graph = {str(file.relative_to(CORE)): includes(file) for file in CORE.rglob("*.h")}
    assert not circle(graph)


@pytest.mark.parametrize("room", IN_ORDER)
def test_files_of_a_room_have_an_order(room: str) -> None:
    """Who includes a file's header may call the file: X.c and X.h are one, which comes after those that it includes."""
    graph: dict[str, set[str]] = {}
    for file in (CORE / room).glob("*.[ch]"):
        known = {Path(name).stem for name in includes(file) if room_of(name) == room}
        graph.setdefault(file.stem, set()).update(known - {file.stem})
    assert not circle(graph)


@pytest.mark.parametrize("room", IN_ORDER)
def test_a_header_declares_its_own_file(room: str) -> None:
    """Else it could hide whose functions it has, and a circle with it."""
    definition = re.compile(r"^(?!static\b)[a-z][\w \*]*?\b(\w+)\([^;{]*\)\n\{", re.MULTILINE)
    for file in (CORE / room).glob("*.c"):
        declared = set(re.findall(r"\b(\w+)\(", file.with_suffix(".h").read_text()))
        assert set(definition.findall(file.read_text())) <= declared, file.name


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_files_of_a_room_call_each_other_in_no_circle(room: str) -> None:
    """By what the built objects define and use: also where files share a header."""
    symbols = {
        file.stem: symbols_of(ROOT / "build/obj/core" / room / f"{file.stem}.o") for file in (CORE / room).glob("*.c")
    }
    graph = {
        one: [other for other, (defined, _) in symbols.items() if other != one and defined & used]
        for one, (_, used) in symbols.items()
    }
    assert not circle(graph)


def symbols_of(file: Path) -> tuple[set[str], set[str]]:
    """The global symbols that an object defines, and those that it uses."""
    lines = subprocess.run(["nm", file], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [line.split()[-2:] for line in lines]
    return {name for kind, name in kinds if kind in "TDRB"}, {name for kind, name in kinds if kind == "U"}


def test_the_core_knows_no_python() -> None:
    assert not [file.name for file in CORE.rglob("*.[ch]") if "Python.h" in file.read_text()]


def test_the_plugin_has_these_rooms() -> None:
    assert {file.parent.name for file in PLUGIN.glob("*/*.py")} == set(PYTHON_ORDER)


@pytest.mark.parametrize("room", PYTHON_ORDER)
def test_plugin_room(room: str) -> None:
    known = {*PYTHON_ORDER[: PYTHON_ORDER.index(room) + 1], "_core", "__version__"}
    wrong = [
        f"{file.relative_to(PLUGIN)}:{line} imports {name}"
        for file in (PLUGIN / room).glob("*.py")
        for name, line in imports(file)
        if name.split(".")[1] not in known
    ]
    assert not wrong


def test_gdb_is_imported_in_its_room_alone() -> None:
    """Beside the file that the user sources."""
    pattern = re.compile(r"^\s*(import gdb\b|from gdb\b)", re.MULTILINE)
    found = [file.relative_to(PLUGIN) for file in PLUGIN.rglob("*.py") if pattern.search(file.read_text())]
    assert {file.parts[0] for file in found} == {"gdbside"}


def test_names_are_unique() -> None:
    """A verb's module in `commands` and its report in `reports` share the verb's name; all others are told apart."""
    core = [str(file.relative_to(ROOT)) for file in CORE.rglob("*.c")]
    python = [
        str(file.relative_to(ROOT))
        for file in PLUGIN.glob("*/*.py")
        if file.parent.name not in ("commands", "reports") and file.name != "__init__.py"
    ]
    stems: dict[str, list[str]] = {}
    for name in core + python:
        stems.setdefault(Path(name).stem, []).append(name)
    assert not [files for files in stems.values() if len(files) > 1]


def test_a_circle_is_found() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


_REGISTERS = r"\b[er](?:ip|ax|bx|cx|dx|si|di|bp|flags)\b|\bgs_base\b|\befer\b"


def test_the_core_names_an_architecture_in_its_folder_alone() -> None:
    """No register as a text, no encoding by its name, no id of capstone's: struct arch has what others ask for."""
    pattern = re.compile(rf'"(?:{_REGISTERS})"|\bX86_\w+|\bCS_(?:ARCH|MODE)_\w+|"i386')
    wrong = [
        f"{file.relative_to(CORE)}: {found[0]}"
        for file in CORE.rglob("*.[ch]")
        if file.parent != CORE / "arch" / "x86" and file.name != "machines.c"
        for found in pattern.finditer(re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL))
    ]
    assert not wrong


def test_the_plugin_names_registers_in_one_room() -> None:
    wrong = [
        f"{file.relative_to(PLUGIN)}:{node.lineno}: {node.value}"
        for file in PLUGIN.glob("*/*.py")
        if file.parent.name != "arch"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(_REGISTERS, node.value)
    ]
    assert not wrong
