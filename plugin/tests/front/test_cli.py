# SPDX-License-Identifier: MIT
"""The program `clockscope`: its timeline as people and as programs see it, and how it fails."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from guest import ROOT
from sample_trace import MS, write_sample

from clockscope import __version__
from clockscope._core import TraceWriter
from clockscope.reports import values

Program = Callable[..., "subprocess.CompletedProcess[str]"]

PROGRAM = ROOT / "build" / "clockscope"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.trace"
    write_sample(path)
    return path


GOLDEN = """\
Linux 6.1.0-9-cloud-amd64
10 events, 2 clocks and 1 event device registered; times in ms: guest run time, stops excluded
complete: the guest was idle

      ms  cpu  event                clock      values                                                        where
  12.345    0  frequency detected   tsc        2903.998 MHz, method PIT                                      tsc_early_init tsc.c:1460
  20.000    0  clock registered     hpet       rating 250, 100.000 MHz, 32 bits                              hpet_enable hpet.c:1082
  21.000    0  device registered    hpet       rating 50                                                     clockevents_register_device clockevents.c:449
  22.000    0  device selected      hpet                                                                     tick_setup_device tick-common.c:185
  30.000    0  clock registered     tsc-early  rating 299, 2903.998 MHz, 64 bits, CONTINUOUS|VALID_FOR_HRES  __clocksource_register_scale clocksource.c:1211
  31.000    0  clock selected       hpet                                                                     timekeeping_notify timekeeping.c:1440
  32.000    0  clock selected       tsc-early  replaced hpet                                                 timekeeping_notify timekeeping.c:1440
1040.000    1  calibration refused  tsc        delta unreadable, window 1000.000 ms                          tsc_refine_calibration_work tsc.c:1325
1100.000    1  clock unstable       tsc-early  clocksource watchdog                                          mark_tsc_unstable tsc.c:1190
1101.000    1  clock selected       hpet                                                                     timekeeping_notify timekeeping.c:1440

Clocksources
  name       rating     frequency     mask  registered  selected                        lost
  hpet          250   100.000 MHz  32 bits      20.000  31.000, again 1101.000, in use  -
  tsc-early     299  2903.998 MHz  64 bits      30.000  32.000                          1100.000: clocksource watchdog
  tsc             -  2903.998 MHz        -       never  -                               -

Event devices
  name  rating  registered  selected
  hpet      50      21.000  22.000, in use

Expected, never seen
  refine-finished  calibration finished  tsc_refine_calibration_work

Not in this kernel
  kvm-clock  clock registered  kvmclock_init  no such function

Could not be watched
  lapic  calibration started  calibrate_APIC_clock  the stub has no free slot

Functions reached
  function     calls  first ms  cpu
  hpet_enable      1    19.000    0

Functions never reached
  kvmclock_init, xen_time_init
"""  # noqa: E501


def test_timeline(program: Program, sample: Path) -> None:
    run = program("timeline", sample)
    assert (run.stdout, run.stderr, run.returncode) == (f"{sample}\n{GOLDEN}", "", 0)


def test_backtrace(program: Program, sample: Path) -> None:
    lines = program("timeline", "--backtrace", sample).stdout.splitlines()
    hpet = next(number for number, line in enumerate(lines) if "100.000 MHz" in line)
    assert lines[hpet - 1] == '      "tsc: Detected 2903.998 MHz processor"'
    assert lines[hpet + 1 : hpet + 4] == [
        "      #0  __clocksource_register_scale at kernel/time/clocksource.c:1211",
        "      #1  clocksource_register_hz at include/linux/clocksource.h:242 (inlined)",
        "      #2  hpet_enable at arch/x86/kernel/hpet.c:1082",
    ]
    assert (
        "\n".join(line for line in lines if not line.startswith("      #") and '"' not in line) + "\n"
        == f"{sample}\n{GOLDEN}"
    )


def test_json(program: Program, sample: Path) -> None:
    run = program("timeline", "--format", "json", sample)
    content = json.loads(run.stdout)
    jsonschema.validate(content, json.loads((ROOT / "schemas/timeline.schema.json").read_text()))
    assert run.returncode == 0 and run.stdout.isascii()
    assert next(clock["mask"] for clock in content["clocks"] if clock["name"] == "tsc-early") == 2**64 - 1


def test_exact_guest_time(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "replay.trace"
    writer = TraceWriter(str(path))
    writer.event(run_ns=MS, guest_ns=1_234_567_890, icount=9, cpu=0, what="clock.registered", rule="r", clock="tsc")
    writer.close(True, "the replay ended")
    text = program("timeline", path).stdout
    assert "times in s: exact guest time" in text and re.search(
        r"^\[    1\.234567\]  clock registered", text, re.MULTILINE
    )


def test_incomplete(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "cut.trace"
    write_sample(path, end=(False, "the guest was killed"))
    run = program("timeline", path)
    assert "\nINCOMPLETE: the guest was killed\n" in run.stdout and run.returncode == 0


def test_damaged(program: Program, sample: Path) -> None:
    """What can be read is shown, and the status says that it is not all."""
    content = sample.read_bytes()
    at = content.index(b"clocksource watchdog")
    page = at - at % 4096
    sample.write_bytes(content[:page] + b"\x7f" * 64 + content[page + 64 :])
    run = program("timeline", sample)
    assert "\nDAMAGED: " in run.stdout and "INCOMPLETE" in run.stdout and "clock registered" in run.stdout
    assert run.returncode == 2


def test_empty_trace(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "empty.trace"
    TraceWriter(str(path)).close(True, "nothing happened")
    run = program("timeline", path)
    assert run.stdout.startswith(f"{path}\nunknown guest\n0 events, 0 clocks registered") and "No events." in run.stdout


def test_hostile_texts_do_not_reach_the_terminal(program: Program, tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\n\r\t[red]\x07\x85\u2028"
    path = tmp_path / "evil.trace"
    writer = TraceWriter(str(path))
    writer.meta("guest.os", evil)
    writer.meta("guest.release", evil)
    writer.expect(evil, evil, evil, "missing", evil)
    writer.event(run_ns=0, cpu=0, what="clock." + evil, rule=evil, clock=evil, function=evil, file=evil, line=1,
                 values=[(evil, evil), ("mhz", evil), ("reason", evil), ("message", evil)],
                 backtrace=[(evil, evil, 1, 1, True)])  # fmt: skip
    for number, what in enumerate(["clock.registered", "device.registered", "clock.unstable"]):
        writer.event(run_ns=0, cpu=0, what=what, rule=evil, clock=evil, values=[("reason", evil), ("kind", evil)])
        writer.counter(function=evil, address=number, hits=number, first_run_ns=1, first_cpu=0, first_icount=None)
    writer.close(False, evil)
    for options in ((), ("--backtrace",), ("--format", "json")):
        text = program("timeline", *options, path).stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
        assert "[red]" in text  # not taken for a table's markup
        assert not re.search(r"^\s*\[red\]", text, re.MULTILINE)


def test_long_texts_are_cut_in_the_table_of_a_terminal(program: Program, tmp_path: Path) -> None:
    """In a pipe nothing is."""
    path = tmp_path / "long.trace"
    writer = TraceWriter(str(path))
    writer.event(run_ns=0, cpu=0, what="clock.unstable", rule="r", clock="c" * 5000, values=[("reason", "r" * 5000)])
    writer.close(True, "")
    assert max(map(len, on_terminal([PROGRAM, "timeline", path], {}).splitlines())) < 250
    assert "r" * 5000 in program("timeline", path).stdout and "c" * 5000 in program("timeline", path).stdout
    assert "r" * 5000 in program("timeline", "--format", "json", path).stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "VERB"),
        (["nonsense"], "there is no verb nonsense; see"),
        (["timline", "f"], "there is no verb timline; did you mean timeline?"),
        (["record"], "record works in GDB: `source "),
        (["timeline", "--wdie", "f"], "did you mean --wide?"),
        (["diff", "a", "b", "--fromat", "json"], "did you mean --format?"),
        (["timeline", "--format", "jsn", "f"], "did you mean json?"),
        (["timeline", "--columns", "time,clok", str(ROOT / "traces/linux-kvm.trace")], "did you mean clock?"),
        (["writers", str(PROGRAM.parent / "guests/linux-6.1/vmlinux")], "no variable was named"),
        (["callers", str(PROGRAM.parent / "guests/linux-6.1/vmlinux")], "no function was named"),
        (["writers", "tsc_khz"], "no kernel was named"),
        (["timeline"], "FILE"),
        (["timeline", "--format", "xml", "f"], "invalid choice"),
        (["timeline", "/nowhere/a.trace"], "/nowhere/a.trace: No such file"),
        (["timeline", "/etc/passwd"], "not a clockscope trace"),
        (["timeline", "/"], "is a directory"),
        (["timeline", "bad\nname\x1b"], r"bad\nname\x1b: No such file"),
    ],
)
def test_mistakes(program: Program, arguments: list[str], words: str) -> None:
    run = program(*arguments)
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("clockscope") and words in run.stderr
    assert run.stderr.count("\n") == 1 and run.stderr.endswith("\n")


def test_help_and_version(program: Program) -> None:
    text = program("--help").stdout
    assert "timeline" in text and "examples:" in text and "Exit status" in text
    assert "clockscope timeline --backtrace boot.trace" in program("timeline", "--help").stdout
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert program("--version").stdout == f"clockscope {__version__}" + (f", commit {head[:12]}\n" if head else "\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    for name, entry in (
        ("debian/changelog", rf"clockscope \({__version__}\) "),
        ("CHANGELOG.md", rf"## {__version__} \("),
    ):
        first = re.search(r"^(clockscope \(|## (?!Unreleased)).*", (ROOT / name).read_text(), re.MULTILINE)
        assert first and re.match(entry, first[0]), f"{name} begins with another version: {first}"


def big_trace(path: Path) -> Path:
    """Its timeline is more than a pipe holds."""
    writer = TraceWriter(str(path))
    for number in range(3000):
        writer.event(run_ns=number, cpu=0, what="x-test", rule="test", function="f" * 40)
    writer.close(True, "")
    return path


@pytest.mark.parametrize(
    ("module", "line"), [("readers_writers", "writers vmlinux tsc_khz"), ("timeline", "timeline boot.trace")]
)
def test_only_what_is_asked_for_is_imported(module: str, line: str) -> None:
    """Starting the program must not take longer than finding a variable's writers in a whole kernel."""
    code = f"""
import sys
from clockscope.front import cli
from clockscope import _core
cli._parse({line.split()})
print([name for name in sys.modules if name.startswith("clockscope.commands.")])
print(sorted({{"argparse", "dataclasses", "enum", "json", "jsonschema", "re", "typing"}} & sys.modules.keys()))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugin")}
    done = subprocess.run(["/usr/bin/python3", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"['clockscope.commands.{module}']\n[]\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_reader_that_goes_away(tmp_path: Path, form: str) -> None:
    path = big_trace(tmp_path / "big.trace")
    with subprocess.Popen(
        [PROGRAM, "timeline", "--format", form, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout and run.stderr
        run.stdout.read(10)
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


def test_output_without_room(sample: Path) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run([PROGRAM, "timeline", sample], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2
    assert run.stderr == "clockscope: cannot write the result: No space left on device\n"


def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C while the output waits for its reader."""
    path = big_trace(tmp_path / "big.trace")
    with subprocess.Popen([PROGRAM, "timeline", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout and run.stderr
        run.stdout.read(1)
        run.send_signal(signal.SIGINT)
        assert run.stderr.read() == b""
    assert run.returncode == 130


def on_terminal(arguments: list[str | Path], environment: dict[str, str]) -> str:
    """What the program prints at a terminal."""
    controller, terminal = pty.openpty()
    run = subprocess.Popen(arguments, stdout=terminal, env={**os.environ, "TERM": "xterm", **environment})
    os.close(terminal)
    output = b""
    try:
        while chunk := os.read(controller, 65536):
            output += chunk
    except OSError:  # Linux's way to say that the other side closed
        pass
    os.close(controller)
    assert run.wait(30) == 0
    return output.decode().replace("\r\n", "\n")


def test_colour(sample: Path, program: Program) -> None:
    coloured = on_terminal([PROGRAM, "timeline", sample], {"COLUMNS": "200"})
    assert "\x1b[31mclock unstable" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == f"{sample}\n{GOLDEN}"
    assert on_terminal([PROGRAM, "timeline", sample], {"NO_COLOR": "1", "COLUMNS": "200"}) == f"{sample}\n{GOLDEN}"
    assert program("timeline", "--color=always", sample).stdout == coloured
    assert on_terminal([PROGRAM, "timeline", "--color", "never", sample], {"COLUMNS": "200"}) == f"{sample}\n{GOLDEN}"


def test_locale_without_the_characters(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "long.trace"
    writer = TraceWriter(str(path))
    writer.event(run_ns=0, cpu=0, what="x-test", rule="r", function="\u03c4" * 100)
    writer.close(True, "")
    run = program("timeline", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert run.returncode == 0 and "\\u03c4" * 100 in run.stdout


def test_moved_checkout(tmp_path: Path, sample: Path) -> None:
    """The launcher finds its package beside itself, also through a link, from any directory."""
    moved = tmp_path / "moved here"
    shutil.copytree(ROOT / "plugin" / "clockscope", moved / "plugin" / "clockscope")
    (moved / "build").mkdir()
    shutil.copy(PROGRAM, moved / "build" / "clockscope")
    link = tmp_path / "link"
    link.symlink_to(moved / "build" / "clockscope")
    run = subprocess.run([link, "timeline", sample], cwd="/", capture_output=True, text=True)
    assert run.stdout == f"{sample}\n{GOLDEN}" and run.returncode == 0


def test_extension_that_is_not_built(tmp_path: Path, sample: Path) -> None:
    shutil.copytree(
        ROOT / "plugin" / "clockscope", tmp_path / "plugin" / "clockscope", ignore=shutil.ignore_patterns("*.so")
    )
    (tmp_path / "build").mkdir()
    shutil.copy(PROGRAM, tmp_path / "build" / "clockscope")
    run = subprocess.run([tmp_path / "build" / "clockscope", "timeline", sample], capture_output=True, text=True)
    assert run.returncode == 2 and "make -f setup.mk build" in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "content, text",
    [
        ({"frequency_hz": 250}, "250 Hz"),
        ({"frequency_hz": 32768}, "32.768 kHz"),
        ({"crystal_hz": 24_000_000}, "crystal 24.000 MHz"),
        ({"frequency_khz": 2_903_998}, "2903.998 MHz"),
        ({"mhz": 2904}, "2904.000 MHz"),
        ({"mask": 2**56 - 1}, "56 bits"),
        ({"mask": 0xFF00}, "0xff00"),
        ({"quality": -2000, "name": "tsc"}, "quality -2000"),
        ({"window_ns": 1_500_000}, "window 1.500 ms"),
        ({"tries": 5, "rating": 300}, "rating 300, tries 5"),
        ({"lapic_tval": None}, "lapic tval unreadable"),
        ({"name": "tsc", "message": "tsc: no"}, '"tsc: no"'),
        ({"name": "hz", "old": 0, "new": 100}, "0 → 100"),
        ({"old": None, "new": "tsc"}, "unreadable → tsc"),
        ({}, ""),
    ],
)
def test_values_in_words(content: dict[str, values.Value], text: str) -> None:
    assert values.describe(content) == text
