# SPDX-License-Identifier: MIT
"""Sourcing the plugin in every way, and what is said where it cannot be loaded: one line, with the command that mends it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import ROOT

from clockscope.base.extension import explain

Gdb = Callable[..., Transcript]
SOURCED = ROOT / "plugin" / "clockscope.py"

SCRIPTS = {
    "source": f"import gdb; gdb.execute('source {SOURCED}')",
    "exec": f"exec(open('{SOURCED}').read())",
    "exec of a variable": f"path = '{SOURCED}'\nexec(open(path).read())",
    "in a function": f"def f(where):\n    exec(open(where).read())\nf('{SOURCED}')",
    "compiled": f"exec(compile(open('{SOURCED}').read(), '{SOURCED}', 'exec'))",
    "a Path": f"import pathlib; path = pathlib.Path('{SOURCED}'); exec(path.read_text())",
    "run_path": f"import runpy; runpy.run_path('{SOURCED}')",
}


@pytest.mark.parametrize("way", SCRIPTS)
def test_sourced_by_a_script_of_the_users(way: str, gdb: Gdb, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPTS[way] + "\nassert __file__.endswith('script.py')\n")
    result = gdb([f"source {script}", "clock"], plugin=False, cwd=tmp_path)
    assert result.status == 0 and "file vmlinux" in result.text and result.text.count("\n") == 1


def test_sourced_by_a_command(gdb: Gdb, tmp_path: Path) -> None:
    result = gdb([f"python exec(open('{SOURCED}').read())", "clock"], plugin=False, cwd=tmp_path)
    assert result.status == 0 and "file vmlinux" in result.text
    said = gdb([f"python text = open('{SOURCED}').read()", "python exec(text)"], plugin=False, cwd=tmp_path).text
    assert said.count("\n") == 1 and "source PATH/plugin/clockscope.py" in said


@pytest.fixture
def unbuilt(tmp_path: Path) -> Path:
    """The plugin in another place, without its extension."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "plugin" / "clockscope", tmp_path / "clockscope", ignore=ignored)
    shutil.copy(SOURCED, tmp_path)
    return tmp_path


def link(source: str, *words: str, directory: Path, name: str) -> None:
    (directory / "a.c").write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", name, "a.c", *words], cwd=directory, check=True)


def lacks_a_library(directory: Path) -> None:
    link("int f(void) { return 0; }", "-Wl,-soname,libnowhere.so.7", directory=directory, name="libnowhere.so")
    link("int f(void); int g(void) { return f(); }", "-L.", "-lnowhere", directory=directory, name="_core.abi3.so")


def lacks_a_symbol(directory: Path) -> None:
    link("int Py_Nothing(void); int g(void) { return Py_Nothing(); }", directory=directory, name="_core.abi3.so")


def is_of_another_python(directory: Path) -> None:
    (directory / "_core.cpython-39-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")


def is_no_library(directory: Path) -> None:
    (directory / "_core.abi3.so").write_bytes(b"<html>not found</html>" * 100)


def is_not_built(directory: Path) -> None:
    assert not list(directory.glob("*.so"))


def is_older(directory: Path) -> None:
    (directory / "_core.py").write_text("")


FAULTS: dict[Callable[[Path], None], tuple[str, str]] = {
    lacks_a_library: ("libnowhere.so.7 is missing", "make -f setup.mk setup"),
    lacks_a_symbol: ("Py_Nothing", "make -f setup.mk clean build"),
    is_of_another_python: ("_core.cpython-39-x86_64-linux-gnu.so", "make -f setup.mk clean build"),
    is_no_library: ("invalid ELF header", "make -f setup.mk clean build"),
    is_not_built: ("the extension is not built", "make -f setup.mk build"),
    is_older: ("older", "make -f setup.mk build"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_an_extension_that_cannot_be_loaded(fault: Callable[[Path], None], unbuilt: Path, gdb: Gdb) -> None:
    fault(unbuilt / "clockscope")
    in_gdb = gdb([f"source {unbuilt}/clockscope.py"], plugin=False).text
    program = ["/usr/bin/python3", "-P", "-m", "clockscope", "timeline", "a.trace"]
    done = subprocess.run(program, env={"PYTHONPATH": str(unbuilt)}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for said in (in_gdb, done.stderr):
        assert said.count("\n") == 1 and said.startswith("clockscope: "), said
        for text in FAULTS[fault]:
            assert text in said
        assert str(unbuilt) not in said


def test_a_library_whose_package_is_installed() -> None:
    """To install what is missing would do nothing."""
    said = "libelf.so.1: cannot open shared object file: No such file or directory"
    assert explain(ImportError(said, name="_core")).startswith(
        "libelf.so.1 is missing, a library that the extension needs"
    )
    assert "as root: apt-get install --reinstall libelf1" in explain(ImportError(said, name="_core"))


def test_python_packages() -> None:
    assert "package is missing: rich; run: make -f setup.mk setup" in explain(
        ModuleNotFoundError("No module named 'rich'", name="rich")
    )
    said = "libnowhere.so.2: cannot open shared object file: No such file or directory"
    assert "that the Python package google._upb needs" in explain(ImportError(said, name="google._upb"))
