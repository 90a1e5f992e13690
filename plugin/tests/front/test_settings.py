# SPDX-License-Identifier: MIT
"""Settings that are kept, in .gdbinit and under XDG_CONFIG_HOME, and the trace that `clock open` chooses."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdbrun import Transcript
from guest import ROOT

from clockscope.base import settings, settings_file
from clockscope.base.errors import UserError

Gdb = Callable[..., Transcript]

TRACES = ROOT / "traces"


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """keep(text): the file of settings."""

    def write(text: str) -> Path:
        path = tmp_path / "xdg" / "clockscope" / "settings.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
        return path

    return write


def check_profile(value: str) -> None:
    if value == "nosuch":
        raise UserError("profile nosuch: there is none")


def read() -> tuple[dict[str, int | str], list[str]]:
    found, wrong = settings_file.read({settings.PROFILE: check_profile})
    return {setting.name: value for setting, value in found.items()}, wrong


Keep = Callable[[str], Path]


def test_each_setting_can_be_kept(keep: Keep) -> None:
    texts = (f"{one.name} = {7 if isinstance(one.default, int) else repr('auto')}" for one in settings.ALL)
    keep("\n".join(texts))
    found, wrong = read()
    assert found == {one.name: 7 if isinstance(one.default, int) else "auto" for one in settings.ALL} and not wrong


@pytest.mark.parametrize(
    "text,said",
    [
        ("idle-second = 3", "there is no setting idle-second; did you mean idle-seconds?"),
        ("idle_seconds = 3", "there is no setting idle_seconds; did you mean idle-seconds?"),
        ("colour = 3", "there is no setting colour; `help set clockscope` lists them"),
        ('"\\u001b[31m\\n" = 3', "there is no setting \\x1b[31m\\n; `help"),
        ('idle-seconds = "3"', "idle-seconds: a whole number from 0 to 2147483647 is expected, not '3'"),
        ("idle-seconds = true", "not True"),
        ("idle-seconds = -1", "not -1"),
        ("idle-seconds = 2147483648", "not 2147483648"),
        ("idle-seconds = 1.5", "not 1.5"),
        ("profile = 3", "profile: a text in quotes is expected, not 3"),
        ('profile = "a\\nb"', "a text in quotes is expected"),
        ('profile = "nosuch"', "profile nosuch: there is none"),
        ("[idle-seconds]\nx = 1", "a whole number"),
        ("idle-seconds =", "not valid TOML"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ("x = '" + "x" * 70_000 + "'", "is larger than 64 kB"),
    ],
)
def test_what_is_wrong_is_one_line(keep: Keep, text: str, said: str) -> None:
    path = keep(text + ("" if "TOML" in said or "larger" in said else "\n").replace("\n", ""))
    found, wrong = read()
    assert found == {} and len(wrong) == 1 and wrong[0].startswith(f"{path}: ") and said in wrong[0]
    assert wrong[0].isprintable() and len(wrong[0]) < 500


def test_what_is_right_beside_it_holds(keep: Keep) -> None:
    keep('profile = "nosuch"\nbacktrace-limit = 4\nfoo = 1\n')
    found, wrong = read()
    assert found == {"backtrace-limit": 4} and len(wrong) == 2


def test_many_mistakes_are_not_all_told(keep: Keep) -> None:
    keep("\n".join(f"wrong{number} = 1" for number in range(1000)))
    assert len(read()[1]) == 10


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o620])
def test_a_settings_file_that_others_may_write(keep: Keep, mode: int) -> None:
    keep("idle-seconds = 3").chmod(mode)
    found, wrong = read()
    assert found == {} and "others may write to it" in wrong[0]


def test_what_is_no_file(keep: Keep) -> None:
    """Nobody waits for a FIFO to be written to."""
    path = keep("")
    path.unlink()
    assert read() == ({}, [])
    os.mkfifo(path)
    assert "no ordinary file" in read()[1][0]
    path.unlink()
    path.mkdir()
    assert len(read()[1]) == 1


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    for given, folder in (("/x", "/x"), ("", "/home/alice/.config"), ("relative", "/home/alice/.config")):
        monkeypatch.setenv("XDG_CONFIG_HOME", given)
        assert settings_file.path() == f"{folder}/clockscope/settings.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert settings_file.path() == "/home/alice/.config/clockscope/settings.toml"


def test_gdbinit_and_the_file(keep: Keep, tmp_path: Path) -> None:
    """As a user starts GDB: what .gdbinit sets comes later, and holds; mistakes in either are a line each."""
    path = keep("idle-seconds = 21\nbacktrace-limit = 5\nbreakpoint = 1\nconnect-timeout = 'x'\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gdbinit").write_text(
        f"source {ROOT}/plugin/clockscope.py\nset clockscope backtrace-limit 6\nset clockscope breakpoints hardware\n"
    )
    done = subprocess.run(
        ["gdb", "-q", "-batch", "-iex", "set width 0", "-ex", "show clockscope"],
        env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(path.parents[1])}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    shown = dict(re.findall(r"^([\w-]+):  .*: (\S+)\.$", done.stdout, re.MULTILINE))
    assert {name: shown[name] for name in ("idle-seconds", "backtrace-limit", "breakpoints", "connect-timeout")} == {
        "idle-seconds": "21", "backtrace-limit": "6", "breakpoints": "hardware", "connect-timeout": "10",
    }  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line.startswith("clockscope: ")]
    said += [line for line in done.stdout.splitlines() if line.startswith("clockscope: ")]
    assert (
        len(said) == 2 and "did you mean breakpoints?" in "".join(said) and "connect-timeout: a whole" in "".join(said)
    )


# ---------------------------------------------------------------- clock open


def test_open(gdb: Gdb, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("Linux version 6.1.0 (a@b)\nclocksource: Switched to clocksource tsc-early\n")
    rejected = TRACES / "linux-samples-rejected.trace"
    done = gdb(
        [
            f"clock open {rejected}", "clock diagnose", 'printf "at %s\\n", $clockscope_trace',
            f"clock import dmesg {log} -o {tmp_path}/log.trace", "echo after the import\\n", "clock diagnose",
            f"clock open {TRACES}/linux-xen.trace", "echo opened again\\n", "clock diagnose",
        ]
    )  # fmt: skip
    first, _, rest = done.text.partition("after the import\n")
    assert "samples-rejected.trace: linux 6.1.0-56-cloud-amd64, 33 events" in first
    assert f"at {rejected}" in first
    imported, _, last = rest.partition("opened again\n")
    assert "log.trace" in imported and "linux-xen.trace" in last


def test_open_while_another_is_recorded(gdb: Gdb) -> None:
    """Who opens one means that; a recording that begins later is meant from then on."""
    done = gdb(
        [
            "python from clockscope.gdbside import console; from clockscope.base.ui import trace_meant",
            'python console.set_recording(lambda: "/tmp/first.trace")',
            'python print("1", trace_meant(None, console.Ui()))',
            f"clock open {TRACES}/linux-xen.trace",
            'python print("2", trace_meant(None, console.Ui()))',
            'python console.set_recording(lambda: "/tmp/second.trace")',
            'python print("3", trace_meant(None, console.Ui()))',
            'python console.set_recording(lambda: None)',
            'python print("4", trace_meant(None, console.Ui()))',
            'python print("5", trace_meant("named.trace", console.Ui()))',
        ]
    )  # fmt: skip
    found = dict(re.findall(r"^(\d) .*?([\w-]+\.trace)$", done.text, re.MULTILINE))
    assert found == {
        "1": "first.trace",
        "2": "linux-xen.trace",
        "3": "second.trace",
        "4": "linux-xen.trace",
        "5": "named.trace",
    }


@pytest.mark.parametrize("file,said", [("none.trace", "none.trace"), ("setup.mk", "setup.mk"), ("", "FILE")])
def test_what_cannot_be_opened_changes_nothing(gdb: Gdb, file: str, said: str) -> None:
    lines = [f"clock open {TRACES}/linux-xen.trace", f"python try: gdb.execute('clock open {file}')"]
    lines[
        1
    ] = f"python\ntry: gdb.execute('clock open {file}')\nexcept gdb.error as error: print('refused:', error)\nend"
    done = gdb([*lines, 'printf "at %s\\n", $clockscope_trace'])
    refused = next(line for line in done.text.splitlines() if line.startswith("refused:"))
    assert said in refused and done.text.rstrip().endswith("at " + str(TRACES / "linux-xen.trace"))


def test_open_is_gdbs(program: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    done = program("open", TRACES / "linux-xen.trace")
    assert done.returncode == 2 and "open works in GDB" in done.stderr
