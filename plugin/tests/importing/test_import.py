# SPDX-License-Identifier: MIT
"""Logs as traces: whoever wrote them down, whatever they hold. The recorded boots' tests hold them against recordings."""

import argparse
import importlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from guest import ROOT, Machine, machine

from clockscope.model import comparison_log, disturbed
from clockscope._core import Trace
from clockscope.base.ui import TerminalUi

Program = Callable[..., subprocess.CompletedProcess[str]]

BANNER = "Linux version 6.1.0-1-amd64 (builder@host) (gcc) #1 SMP"


HEALTHY = f"""\
[    0.000000] {BANNER}
[    0.000000] Command line: console=ttyS0
[    0.000000] tsc: Fast TSC calibration using PIT
[    0.000000] tsc: Detected 2100.067 MHz processor
[    0.004987] clocksource: tsc-early: mask: 0xffffffffffffffff max_cycles: 0x1e456fbfb8f, max_idle_ns: 440795264680 ns
[    1.307054] clocksource: Switched to clocksource tsc-early
[    2.579230] tsc: Refined TSC clocksource calibration: 2100.000 MHz
[    2.579918] clocksource: tsc: mask: 0xffffffffffffffff max_cycles: 0x1e4530a99b6, max_idle_ns: 440795257976 ns
[    2.580202] clocksource: Switched to clocksource tsc
"""


@pytest.fixture(scope="session")
def log(untouched: Callable[[Machine], str]) -> str:
    return untouched(machine())


def timeline(log: str | bytes, directory: Path, *options: str) -> dict[str, Any]:
    """The timeline of a log, by way of a trace: boot.log, boot.trace."""
    path, made = directory / "boot.log", directory / "boot.trace"
    path.write_bytes(log if isinstance(log, bytes) else log.encode())
    verb = importlib.import_module("clockscope.commands.import")
    parser = argparse.ArgumentParser()
    verb.prepare_parser(parser)
    assert (
        verb.run(parser.parse_args(["dmesg", str(path), "-o", str(made), "--overwrite", *options]), TerminalUi()) == 0
    )
    with Trace(str(made)) as trace:
        content = disturbed.timeline(trace)
    jsonschema.validate(content, json.loads((ROOT / "schemas/timeline.schema.json").read_text()))
    return content


def told(content: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(event["what"], event["clock"], event["values"]) for event in content["events"]]


def stamped(change: Callable[[float, str], str]) -> Callable[[str], str]:
    """Each line that has the kernel's stamp as something else."""
    line = re.compile(r"^\[ *(\d+\.\d+)\] (.*)$", re.MULTILINE)
    return lambda log: line.sub(lambda match: change(float(match[1]), match[2]), log)


def clock_time(seconds: float) -> str:
    """Some seconds after a boot that began shortly before midnight."""
    at = (86_395 + int(seconds)) % 86_400
    return f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"


# Who wrote the log down, and what becomes of the lines and of the times.
WRITERS: dict[str, tuple[Callable[[str], str], str]] = {
    "terminal": (lambda log: log.replace("\n", "\r\n"), "kernel"),
    "backward": (lambda log: log.replace("\n", "\n\r"), "kernel"),
    "colours": (stamped(lambda at, text: f"\x1b[32m[{at:12.6f}] \x1b[0m\x1b[33m{text}\x1b[0m"), "kernel"),
    "caller": (stamped(lambda at, text: f"[{at:12.6f}][    T0] {text}"), "kernel"),
    "dmesg -r": (stamped(lambda at, text: f"<6>[{at:12.6f}] {text}"), "kernel"),
    "dmesg -x": (stamped(lambda at, text: f"kern  :info  : [{at:12.6f}] {text}"), "kernel"),
    "syslog": (stamped(lambda at, text: f"Nov  1 {clock_time(at)} host kernel: [{at:12.6f}] {text}"), "kernel"),
    "monotonic": (stamped(lambda at, text: f"[{at:12.6f}] host kernel: {text}"), "kernel"),
    "dmesg -T": (stamped(lambda at, text: f"[Sun Nov  1 {clock_time(at)} 2026] {text}"), "time of day"),
    "journalctl": (stamped(lambda at, text: f"Nov 01 {clock_time(at)} host kernel: {text}"), "time of day"),
    "ISO": (stamped(lambda at, text: f"2026-11-01T{clock_time(at)}+00:00 host kernel: {text}"), "time of day"),
    "no stamps": (stamped(lambda at, text: text), "none"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_wrote_it_down(writer: str, log: str, tmp_path: Path) -> None:
    change, times = WRITERS[writer]
    plain, changed = timeline(log, tmp_path), timeline(change(log), tmp_path)
    assert told(changed) == told(plain) and len(told(plain)) > 8
    assert changed["guest"] == plain["guest"]
    assert changed["provenance"]["log.times"] == times
    found = [event["run_ns"] for event in changed["events"]]
    exact = [event["run_ns"] for event in plain["events"]]
    if times == "kernel":
        assert found == exact
    elif times == "none":
        assert set(found) == {0}
    else:
        assert all(abs(a - b) < 1_000_000_000 for a, b in zip(found, exact, strict=True))


def test_events_name_their_line(log: str, tmp_path: Path) -> None:
    lines = log.split("\n")
    for event in timeline(log, tmp_path)["events"]:
        name, _, number = event["source"].partition(":")
        assert name == "boot.log" and lines[int(number) - 1].endswith(event["values"]["message"])
        seconds = re.match(r"\[ *(\d+)\.(\d+)\]", lines[int(number) - 1])
        assert seconds and event["run_ns"] == int(seconds[1]) * 10**9 + int(seconds[2]) * 1000


def test_it_says_that_it_is_from_a_log(program: Program, tmp_path: Path) -> None:
    timeline(HEALTHY, tmp_path)
    trace = tmp_path / "boot.trace"
    text = program("timeline", trace).stdout
    assert "from a log: nothing is known beyond what the kernel printed" in text
    assert re.search("refinement-started .* a log does not tell", text)
    done = program("diagnose", trace)
    assert "from a log" in done.stdout and "Nothing wrong found" in done.stdout and done.returncode == 0
    done = program("diff", trace, ROOT / "traces/linux-healthy.trace")
    assert "A is from a log" in done.stdout and done.returncode == 1
    assert "B is" not in done.stdout
    for verb, kind in (("diff", [trace, tmp_path / "boot.trace"]), ("diagnose", [trace])):
        content = json.loads(program(verb, *kind, "--format", "json").stdout)
        jsonschema.validate(content, json.loads((ROOT / f"schemas/{verb}.schema.json").read_text()))


def test_of_several_boots_the_last(log: str, program: Program, tmp_path: Path) -> None:
    other = f"[    0.000000] {BANNER}\n[    0.100000] tsc: Detected 1234.567 MHz processor\n"
    alone, both = timeline(other, tmp_path), timeline(log + other, tmp_path)
    assert told(both) == told(alone)
    assert both["guest"]["release"] == "6.1.0-1-amd64"
    done = program("import", "dmesg", "boot.log", "-o", "other.trace", cwd=tmp_path)
    assert "2 boots: the last is imported" in done.stderr
    assert done.stdout == "Imported 1 event to other.trace; timeline other.trace shows them.\n"


def test_a_log_without_its_beginning(log: str, program: Program, tmp_path: Path) -> None:
    """As a kernel's ring buffer has it after a while."""
    rest = log[log.index("tsc: Detected") :]
    path = tmp_path / "rest.log"
    path.write_text(rest)
    done = program("import", "dmesg", path, "-o", tmp_path / "rest.trace")
    assert done.returncode == 0
    assert done.stderr == "The log does not begin with a kernel's banner; its words are those of linux.\n"
    content = timeline(rest, tmp_path, "--profile", "linux")
    assert told(content) == told(timeline(rest, tmp_path))
    assert not content["complete"] and "banner" in content["end_reason"]
    assert "tsc-early" in {event["clock"] for event in content["events"]} and content["guest"]["release"] == ""


# Lines as these kernels print them, with dmesg's stamps of NetBSD and none of FreeBSD.
NETBSD = """\
[   1.0000000] NetBSD 10.1 (GENERIC)  Notice: this software is protected by copyright
[   1.0000000] NetBSD 10.1 (GENERIC) #0: Mon Dec 16 13:08:11 UTC 2024
[   1.0000000] timecounter: Timecounters tick every 10.000 msec
[   1.0000000] timecounter: Timecounter "i8254" frequency 1193182 Hz quality 100
[   1.0000030] cpu0: TSC freq CPUID 2496000000 Hz
[   1.0000030] kernel parameters: root=ld0a console=com
[   1.0001371] timecounter: Timecounter "lapic" frequency 999983000 Hz quality -100
[   1.0001371] timecounter: Timecounter "TSC" frequency 2496000000 Hz quality 3000
"""
FREEBSD = """\
FreeBSD 14.1-RELEASE releng/14.1-n267679-10e31f0946d8 GENERIC amd64
TSC: P-state invariant
Event timer "LAPIC" quality 600
Timecounter "i8254" frequency 1193182 Hz quality 0
Event timer "i8254" frequency 1193182 Hz quality 100
Timecounter "ACPI-fast" frequency 3579545 Hz quality 900
Timecounter "TSC-low" frequency 1197196000 Hz quality 1000
Timecounters tick every 1.000 msec
"""


@pytest.mark.parametrize(
    ("text", "release", "clocks"),
    [
        (NETBSD, "10.1", {"i8254": 1193182, "TSC": 2496000000, "lapic": 999983000}),
        (FREEBSD, "14.1-RELEASE", {"i8254": 1193182, "ACPI-fast": 3579545, "TSC-low": 1197196000}),
    ],
    ids=["netbsd", "freebsd"],
)
def test_real_lines(text: str, release: str, clocks: dict[str, int], tmp_path: Path) -> None:
    content = timeline(text, tmp_path)
    found = [clock for clock in content["clocks"] if clock["kind"] == "timecounter" and clock["registered"]]
    assert {clock["name"]: clock["frequency_hz"] for clock in found} == clocks
    assert content["guest"]["release"] == release
    (current,) = [clock for clock in found if clock["current"]]
    assert current["name"] in ("TSC", "TSC-low")
    choices = [event for event in content["events"] if event["what"] == "clock.selected"]
    assert {event["values"]["inferred"] for event in choices} == {"from its quality"}


NOISE = b"".join(bytes([byte]) for byte in range(256)) * 50
HOSTILE = {
    "binary": NOISE,
    "one long line": b"x" * 1_000_000,
    "long lines": (b"clocksource: Switched to clocksource " + b"e" * 1_000_000 + b"\n") * 20,
    "escapes": b"\x1b]0;title\x07\x1b[2Jtsc: Detected \x1b[31m1.0 MHz processor\n"
    b"clocksource: Switched to clocksource \x1b[2J<b>=1+1\xff\xfe\n",
    "numbers": b'[99999999999.9] tsc: x\nclocksource: a: mask: 0xffffffffffffffffffff max_cycles: 0x0, max_idle_ns: '
    + b"9" * 400 + b" ns\n",
    "NUL": b"clocksource: Switched to clocksource a\0b\n" * 10,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_log(name: str, program: Program, tmp_path: Path) -> None:
    log = BANNER.encode() + b"\n" + HOSTILE[name]
    content = timeline(log, tmp_path)
    assert content["guest"]["os"] == "linux"
    for verb in (["timeline"], ["timeline", "--backtrace"], ["diagnose"]):
        shown = program(*verb, tmp_path / "boot.trace").stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    assert (tmp_path / "boot.trace").stat().st_size < 1_000_000
    done = program("import", "dmesg", "--profile", "netbsd", tmp_path / "boot.log", "-o", tmp_path / "n.trace")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/dev/zero", "more than 64 MiB"),
        ("/nowhere/boot.log", "No such file"),
        ("/", "Is a directory"),
        ("/dev/null", "no boot of a known kernel"),
        (ROOT / "traces/linux-healthy.trace", "no boot of a known kernel"),
    ],
)
def test_what_is_no_log(file: str | Path, said: str, program: Program, tmp_path: Path) -> None:
    done = program("import", "dmesg", file, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_nothing_is_replaced_unasked(program: Program, tmp_path: Path) -> None:
    (tmp_path / "serial.log").write_text(FREEBSD)
    assert program("import", "dmesg", "serial.log", cwd=tmp_path).returncode == 0
    made = (tmp_path / "serial.trace").read_bytes()
    done = program("import", "dmesg", "serial.log", cwd=tmp_path)
    assert done.returncode == 2 and "exists" in done.stderr
    assert (tmp_path / "serial.trace").read_bytes() == made
    assert program("import", "dmesg", "serial.log", "--overwrite", cwd=tmp_path).returncode == 0


def test_a_quiet_boot(program: Program, tmp_path: Path) -> None:
    (tmp_path / "quiet.log").write_text(BANNER + "\n")
    done = program("import", "dmesg", "quiet.log", cwd=tmp_path)
    assert done.returncode == 0 and "was your guest booted quietly?" in done.stderr


def test_what_only_later_lines_tell_is_no_difference(tmp_path: Path) -> None:
    """At a stop the kernel has not printed them yet; nor does a stop tell the processor's name."""
    skewed = timeline((ROOT / "plugin/tests/importing/cases/msg-6.1-skew.log").read_bytes(), tmp_path)
    skewed["guest"]["processor"] = "a QEMU Virtual CPU"
    recorded = json.loads(json.dumps(skewed))
    recorded["provenance"]["stub.mode"], recorded["guest"] = "live", {"os": "linux"}
    for event in recorded["events"]:
        for name in ("wd_now", "cs_now", "current"):
            event["values"].pop(name, None)
    a, b = comparison_log.comparable(skewed, recorded)
    assert [event["values"] for event in a["events"]] == [event["values"] for event in b["events"]]
    assert a["guest"] == b["guest"] and len(a["events"]) == len(skewed["events"])
    assert any("watchdog" in event["values"] for event in a["events"])


def test_compared_with_a_recording(log: str, program: Program, tmp_path: Path) -> None:
    """What no kernel prints is no difference; what it printed otherwise is one."""
    timeline(log, tmp_path)
    made, recorded = tmp_path / "boot.trace", ROOT / "traces/linux-without-tsc.trace"
    for files in ((made, recorded), (recorded, made)):
        result = json.loads(program("diff", *files, "--format", "json").stdout)
        here, there = ("a", "b") if files[0] == made else ("b", "a")
        assert not result["same"] and result["mode"][files.index(made)] == "log"
        assert "tsc" in {clock["name"] for clock in result["clocks"][f"only_{here}"]}
        assert result["clocks"][f"only_{there}"] == []
        told = {event["rule"] for key in ("only_a", "only_b", "differ") for event in result["events"][key]}
        assert "tsc-detected" in told and not told & {"hpet-told", "device-registered", "refinement-started"}
        assert {item["what"] for item in result["clocks"]["differ"]} <= {"frequency_hz", "mask", "current", "selected"}
