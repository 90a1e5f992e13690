# SPDX-License-Identifier: MIT
"""One log in the dress of everything that writes logs down: its events and its command line stay the same."""

import bz2
import gzip
import html
import io
import json
import lzma
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from clockscope.front import cli
from clockscope.importing import log_events
from clockscope.importing.kernel_log import Log
from clockscope.base.errors import UserError
from clockscope.importing.unpack import LOG_MAX

Line = tuple[float, str]

LINES: list[Line] = [
    (0.0, "Linux version 6.1.0-99-amd64 (builder@host) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.1.99-1"),
    (0.0, "Command line: root=/dev/vda1 ro"),
    (0.0, "BIOS-provided physical RAM map:"),
    (0.1, "tsc: Detected 2400.000 MHz processor"),
    (0.2, "[Firmware Bug]: TSC ADJUST differs: CPU0 0 --> 1. Restoring"),
    (1.5, "clocksource: tsc: mask: 0xffffffffffffffff max_cycles: 0x22983777dd9, max_idle_ns: 440795300422 ns"),
    (1.6, "clocksource: Switched to clocksource tsc"),
    (12.9, "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:"),
    (12.9, "clocksource:                       'hpet' wd_nsec: 503304960 wd_now: 9c500440 wd_last: 9bf04291 mask: ffffffff"),
    (13.0, "clocksource: Switched to clocksource hpet"),
]  # fmt: skip
EXPECTED = [
    ("tsc-detected", "tsc"),
    ("clock-registered", "tsc"),
    ("clock-selected", "tsc"),
    ("clock-skewed", "tsc"),
    ("clock-selected", "hpet"),
]


def day(at: float, places: int = 0) -> str:
    """A time of day, some seconds after shortly before midnight."""
    whole = 86_395 + int(at)
    text = f"{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return text + (f".{round(at % 1 * 10**places):0{places}}" if places else "")


def date(at: float) -> str:
    return "20" if at < 5 else "21"


def stamp(at: float) -> str:
    return f"[{at:12.6f}] "


def delta(index: int) -> float:
    return LINES[index][0] - (LINES[index - 1][0] if index else 0)


# What stands before a line: of its time, its text's number.
FRONTS: dict[str, Callable[[float, int], str]] = {
    "none": lambda at, n: "",
    "printk": lambda at, n: stamp(at),
    "printk caller": lambda at, n: f"[{at:12.6f}][{'T' + str(n):>6}] ",
    "printk cpu": lambda at, n: f"[{at:12.6f}][{'C' + str(n % 4):>6}] ",
    "android": lambda at, n: f"<6>[{at:12.6f}]  ({n % 4})[{n}:swapper/{n % 4}]",
    "logcat": lambda at, n: f"01-{date(at)} {day(at, 3)}  root     0     0 I kernel  : {stamp(at)}",
    "dmesg -r": lambda at, n: f"<{n % 8}>{stamp(at)}",
    "dmesg -x": lambda at, n: f"kern  :{'info warn err notice'.split()[n % 4]:<6}: {stamp(at)}",
    "dmesg -x -t": lambda at, n: f"kern  :{'info warn err notice'.split()[n % 4] if n else 'notice':<6}: ",
    "dmesg -T": lambda at, n: f"[Tue Jan {date(at)} {day(at)} 2026] ",
    "dmesg -T -x": lambda at, n: f"kern  :info  : [Tue Jan {date(at)} {day(at)} 2026] ",
    "dmesg -d": lambda at, n: f"[{at:12.6f} <{delta(n):12.6f}>] ",
    "dmesg delta": lambda at, n: f"[<{delta(n):12.6f}>] ",
    "dmesg -e": lambda at, n: "[Jan20 23:59] " if n == 0 else f"[  +{delta(n):.6f}] ",
    "dmesg -H indented": lambda at, n: "[Jan20 23:59] " if n == 0 else f"[  +{delta(n):.6f}]   ",
    "dmesg ctime": lambda at, n: f"[Tue Jan {date(at)} {day(at)} 2026] ",
    "dmesg iso": lambda at, n: f"2026-01-{date(at)}T{day(at, 6).replace('.', ',')}+01:00 ",
    "journal short": lambda at, n: f"Jan {date(at)} {day(at)} box kernel: ",
    "journal host changes": lambda at, n: f"Jan {date(at)} {day(at)} {'localhost' if n < 3 else 'box-7.example.org'} kernel: ",
    "journal short-iso": lambda at, n: f"2026-01-{date(at)}T{day(at)}+0100 box kernel: ",
    "journal short-iso-precise": lambda at, n: f"2026-01-{date(at)}T{day(at, 6)}+01:00 box kernel: ",
    "journal short-precise": lambda at, n: f"Jan {date(at)} {day(at, 6)} box kernel: ",
    "journal short-full": lambda at, n: f"{'Tue' if at < 5 else 'Wed'} 2026-01-{date(at)} {day(at)} CET box kernel: ",
    "journal short-unix": lambda at, n: f"{1768949995 + at:.6f} box kernel: ",
    "journal short-monotonic": lambda at, n: f"{stamp(at)}box kernel: ",
    "journal short-delta": lambda at, n: f"[{at:12.6f} <{delta(n):12.6f} >] box kernel: ",
    "journal no host": lambda at, n: f"Jan {date(at)} {day(at)} kernel: ",
    "journal stamped": lambda at, n: f"Jan {date(at)} {day(at)} box kernel: {stamp(at)}",
    "rfc 3164": lambda at, n: f"<{n % 8}>Jan {date(at)} {day(at)} box kernel: {stamp(at)}",
    "rfc 5424": lambda at, n: f"<{n % 8}>1 2026-01-{date(at)}T{day(at, 6)}Z box.example kernel - - - ",
    "rfc 5424 stamped": lambda at, n: f"<6>1 2026-01-{date(at)}T{day(at, 6)}+01:00 box kernel 0 ID{n} [x@1 a=\"b\"] {stamp(at)}",
    "syslog-ng": lambda at, n: f"2026-01-{date(at)}T{day(at)}+01:00 10.0.0.7 kernel[0]: {stamp(at)}",
    "tag cut": lambda at, n: f"kernel: {stamp(at)}",
    "busybox": lambda at, n: f"Jan {date(at)} {day(at)} box kern.info kernel: ",
    "openwrt": lambda at, n: f"Tue Jan {date(at)} {day(at)} 2026 kern.warn kernel: {stamp(at)}",
    "kmsg": lambda at, n: f"{n % 8},{n},{round(at * 1e6)},-;",
    "kmsg caller": lambda at, n: f"6,{n},{round(at * 1e6)},-,caller=T{n};",
    "netconsole release": lambda at, n: f"6.1.0-99-amd64,6,{n},{round(at * 1e6)},-;",
    "netconsole host": lambda at, n: f"10.0.2.{n} {stamp(at)}",
    "tio": lambda at, n: f"[{day(at, 3)}] {stamp(at)}",
    "tio iso": lambda at, n: f"[2026-01-{date(at)}T{day(at, 3)}] {stamp(at)}",
    "minicom": lambda at, n: f"[2026-01-{date(at)} {day(at)}] {stamp(at)}",
    "conserver": lambda at, n: f"[Tue Jan {date(at)} {day(at)} 2026]{stamp(at)}",
    "serial no printk": lambda at, n: f"[{day(at, 3)}] ",
    "grabserial": lambda at, n: f"[{at + 3:.6f} {delta(n):.6f}] {stamp(at)}",
    "ts": lambda at, n: f"Jan {date(at)} {day(at)} {stamp(at)}",
    "ts -s": lambda at, n: f"{day(at)} ",
    "ts %.s": lambda at, n: f"{1768949995 + at:.6f} {stamp(at)}",
    "screen": lambda at, n: f"{day(at)}| {stamp(at)}",
    "am pm": lambda at, n: f"1/{date(at)}/2026 {(int(day(at)[:2]) - 1) % 12 + 1}{day(at)[2:]} {'PM' if at < 5 else 'AM'} {stamp(at)}",
    "github": lambda at, n: f"2026-01-{date(at)}T{day(at, 6)}7Z {stamp(at)}",
    "github job": lambda at, n: f"boot (6.1)\tRun guest\t2026-01-{date(at)}T{day(at, 6)}7Z {stamp(at)}",
    "github quiet": lambda at, n: f"2026-01-{date(at)}T{day(at, 6)}7Z ",
    "gitlab": lambda at, n: f"2026-01-{date(at)}T{day(at, 6)}Z 0{n}O {stamp(at)}",
    "jenkins": lambda at, n: f"[2026-01-{date(at)}T{day(at, 3)}Z] {stamp(at)}",
    "jenkins elapsed": lambda at, n: f"{day(at)}  {stamp(at)}",
    "buildbot": lambda at, n: f"\x1b[0m{stamp(at)}",
    "lava text": lambda at, n: f"{day(at, 6)}  {stamp(at)}",
    "python logging": lambda at, n: f"2026-01-{date(at)} {day(at, 3).replace('.', ',')} - guest - INFO - {stamp(at)}",
    "ansible": lambda at, n: f"guest1 | {stamp(at)}",
    "compose": lambda at, n: f"guest-1  | {stamp(at)}",
    "compose quiet": lambda at, n: "guest-1  | ",
    "kubectl": lambda at, n: f"[pod/vm-0/console] {stamp(at)}",
    "mail": lambda at, n: f"> {stamp(at)}",
    "mail quiet": lambda at, n: "> > ",
    "mail name": lambda at, n: f"Jo> {stamp(at)}",
    "mail bars": lambda at, n: f"| {stamp(at)}",
    "indent": lambda at, n: f"    {stamp(at)}",
    "tab quiet": lambda at, n: "\t",
    "bullet": lambda at, n: f"- {stamp(at)}",
    "star quiet": lambda at, n: "* ",
    "numbered": lambda at, n: f"{n + 1}. {stamp(at)}",
    "cat -n": lambda at, n: f"{n + 1:6}\t{stamp(at)}",
    "cat -n quiet": lambda at, n: f"{n + 1:6}\t",
    "grep -n": lambda at, n: f"{n + 1}:{stamp(at)}",
    "grep -n quiet": lambda at, n: f"{n + 1}:",
    "grep -n -C": lambda at, n: f"{n + 1}{'-' if n % 3 == 2 else ':'}{stamp(at)}",
    "grep -H": lambda at, n: f"boot.log:{stamp(at)}",
    "grep -Hn": lambda at, n: f"/var/log/kern.log.1:{n + 1}:{stamp(at)}",
    "grep -Hn quiet": lambda at, n: f"logs/boot-6.1.txt:{n + 1}:",
    "diff": lambda at, n: f"+{stamp(at)}",
    "diff context": lambda at, n: f"{'+- '[n % 3]}{stamp(at)}",
    "comment": lambda at, n: f" * {stamp(at)}",
    "shell comment": lambda at, n: f"# {stamp(at)}",
    "doubled": lambda at, n: stamp(at) * 2,
    "host then guest": lambda at, n: f"{stamp(at + 900)}{stamp(at)}",
    "xen": lambda at, n: f"(XEN) [2026-01-{date(at)} {day(at)}] (d1) {stamp(at)}",
    "vm name": lambda at, n: f"vm-3: {stamp(at)}",
    "colours": lambda at, n: f"\x1b[32m{stamp(at)}\x1b[0m\x1b[33m",
    "colours as text": lambda at, n: f"^[[32m{stamp(at)}^[[0m",
    "colours by rsyslog": lambda at, n: f"#033[32m{stamp(at)}#033[0m",
    "colours without escape": lambda at, n: f"[32m{stamp(at)}[0m",
    "csv": lambda at, n: f'"{n}","2026-01-{date(at)} {day(at)}","{stamp(at)}',
    "quoted": lambda at, n: f"'{stamp(at)}",
    "python bytes": lambda at, n: f"b'{stamp(at)}",
    "unfinished line": lambda at, n: f"Starting something...{stamp(at)}" if n % 2 else stamp(at),
    "bootloader": lambda at, n: ("Loading Linux 6.1.0-99-amd64 ..." if n == 0 else "") + stamp(at),
}  # fmt: skip
BEHIND = {"csv": '"', "quoted": "'", "python bytes": r"\r\n'", "colours": "\x1b[0m"}


def dressed(front: Callable[[float, int], str], behind: str = "", lines: Sequence[Line] = LINES) -> str:
    return "".join(f"{front(at, number)}{text}{behind}\n" for number, (at, text) in enumerate(lines))


def told(content: bytes) -> tuple[list[tuple[str, str | None]], str, list[int | None], str]:
    """A log's events, its command line, when the events were, and by whose clock."""
    log = Log(content, "boot.log")
    boot = log_events.recognise(log, "boot.log", None)
    assert boot.profile.name == "linux"
    reader = log_events.read(log, boot)
    events = list(reader.events())
    assert events[-2].values.get("interval_ns") == 503304960 or len(events) != len(EXPECTED)
    found = [(event.rule.rule, event.clock) for event in events]
    return found, reader.command_line, [event.line.ns for event in events], log.times


@pytest.mark.parametrize("name", FRONTS)
def test_front(name: str) -> None:
    found, command_line, times, whose = told(dressed(FRONTS[name], BEHIND.get(name, "")).encode())
    assert found == EXPECTED and command_line == "root=/dev/vda1 ro"
    if whose != "none":
        start = times[0] or 0
        assert [round(((at or 0) - start) / 1e9) for at in times[1:]] == pytest.approx([1, 1, 13, 13], abs=1)


def message(text: str, at: float, number: int) -> dict[str, object]:
    return {
        "MESSAGE": text,
        "_SOURCE_MONOTONIC_TIMESTAMP": str(round(at * 1e6)),
        "_TRANSPORT": "kernel",
        "PRIORITY": "6",
    }


def journal(lines: Sequence[Line]) -> list[dict[str, object]]:
    other: dict[str, object] = {"MESSAGE": "clocksource: Switched to clocksource none", "_TRANSPORT": "stdout"}
    return [message(text, at, number) for number, (at, text) in enumerate(lines)] + [other]


def fields(indent: str, head: Callable[[float], str]) -> str:
    return "".join(
        head(at) + "".join(f"{indent}{key}={value}\n" for key, value in message(text, at, 0).items()) + "\n"
        for at, text in LINES
    )


def wrapped(text: str, width: int, front: str = "") -> str:
    """As a mail program breaks lines, between words."""
    out = []
    for line in text.splitlines():
        while len(line) > width and " " in line[20:width]:
            cut = line.rindex(" ", 0, width)
            out.append(front + line[:cut])
            line = line[cut + 1 :]
        out.append(front + line)
    return "\n".join(out) + "\n"


def broken(text: str, width: int) -> str:
    """As a terminal breaks lines, wherever they reach its edge."""
    return "".join(line[at : at + width] + "\n" for line in text.splitlines() for at in range(0, len(line), width))


PLAIN = dressed(FRONTS["printk"])
WRAPPED = {  # whole documents
    "json lines": "\n".join(json.dumps(each) for each in journal(LINES)),
    "json pretty": "\n".join(json.dumps(each, indent=8) for each in journal(LINES)),
    "json list": json.dumps(journal(LINES)),
    "json bytes": "\n".join(json.dumps({**each, "MESSAGE": list(str(each["MESSAGE"]).encode())}) for each in journal(LINES)),
    "dmesg --json": json.dumps({"dmesg": [{"pri": 6, "time": at, "msg": text} for at, text in LINES]}, indent=3),
    "docker": "\n".join(
        json.dumps({"log": f"{stamp(at)}{text}\r\n", "stream": "stdout", "time": "2026-01-20T10:17:40.1Z"}) for at, text in LINES
    ),
    "lava": "".join(
        f'- {{"dt": "2026-01-20T10:17:40.123456", "lvl": "target", "msg": {json.dumps(stamp(at) + text)}}}\n' for at, text in LINES
    ),
    "cloud console": json.dumps({"InstanceId": "i-1", "Output": PLAIN.replace("\n", "\r\n"), "Timestamp": "2026-01-20"}),
    "json stream": "".join(f"data: {json.dumps(each)}\n\n" for each in journal(LINES)),
    "terminal's windows": "".join(f"\u2502{line:<160}\u2502\n" for line in PLAIN.splitlines()),
    "export": fields("", lambda at: "__CURSOR=s=1\n"),
    "verbose": fields("    ", lambda at: "Tue 2026-01-20 10:17:40.000000 UTC [s=1;i=2]\n"),
    "html": "<!DOCTYPE html>\n<html><body><pre>\n" + html.escape(PLAIN) + "</pre></body></html>\n",
    "html breaks": "<html><p>" + html.escape(PLAIN).replace("\n", "<br/>\n").replace(" ", "&nbsp;") + "</p></html>",
    "html one line": "<html><code>" + html.escape(PLAIN).replace("\n", "<br>") + "</code></html>",
    "html spans": "<html><pre>" + "".join(f'<span class="l">{html.escape(line)}</span>\n' for line in PLAIN.splitlines()) + "</pre>",
    "junit": '<?xml version="1.0"?>\n<testsuite><system-out><![CDATA[' + PLAIN + "]]></system-out></testsuite>",
    "markdown": "What happened:\n\n```\n" + PLAIN + "```\n",
    "markdown table": "| line |\n| --- |\n" + "".join(f"| {line} |\n" for line in PLAIN.splitlines()),
    "crlf": PLAIN.replace("\n", "\r\n"), "crcrlf": PLAIN.replace("\n", "\r\r\n"), "lfcr": PLAIN.replace("\n", "\n\r"),
    "cr": PLAIN.replace("\n", "\r"), "caret m": PLAIN.replace("\n", "^M\n"), "blank lines": PLAIN.replace("\n", "\n\n"),
    "wrapped mail": wrapped(PLAIN, 72, "> "), "wrapped": wrapped(PLAIN, 76), "terminal": broken(PLAIN, 80),
    "twice each": "".join(line + "\n" + line + "\n" for line in PLAIN.splitlines()),
    "dmesg typed": PLAIN + "box login: root\n# dmesg\n" + PLAIN.replace("\n", "\r\n"),
    "dmesg grep typed": PLAIN + "# dmesg | grep -i tsc\n" + "".join(
        line + "\n" for line in PLAIN.splitlines() if "tsc" in line),
    "among a program's": "".join(f"{line}\nbox systemd[1]: tsc: Detected 1.000 MHz processor\n" for line in PLAIN.splitlines()),
    "banner printed": "+ cat /proc/version\n" + LINES[0][1] + "\n" + PLAIN + LINES[0][1] + "\n",
    "boot before": PLAIN.replace("2400.000", "1000.000").replace("clocksource tsc", "clocksource jiffies") + PLAIN,
    "caret escapes": PLAIN.replace("clocksource: S", "\x1b[1mclocksource\x1b[0m: S"),
    "truncated beginning": "ux version 6.0.0 (x\n" + PLAIN,
}  # fmt: skip
NETFRAG = "".join(f"6,{n},{round(at * 1e6)},-;{text}\n" for n, (at, text) in enumerate(LINES))
BYTES: dict[str, bytes] = {
    "utf-8 mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "utf-16-le unmarked": PLAIN.replace("\n", "\r\n").encode("utf-16-le"),
    "utf-16-be unmarked": PLAIN.encode("utf-16-be"),
    "utf-32": PLAIN.encode("utf-32"),
    "stray bytes": b"\xff\xfc\x00" + PLAIN.encode().replace(b"] cl", b"] \xffcl").replace(b"\n", b"\x00\n"),
    "latin 1": b"caf\xe9\n" + PLAIN.encode(),
    "gzip": gzip.compress(PLAIN.encode()),
    "gzip members": gzip.compress(PLAIN[:300].encode()) + gzip.compress(PLAIN[300:].encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "gzip of utf-16": gzip.compress(PLAIN.encode("utf-16")),
    "gzip of xz": gzip.compress(lzma.compress(PLAIN.encode())),
    "zstd": subprocess.run(["zstd", "-qc"], input=PLAIN.encode(), capture_output=True, check=True).stdout,
}


@pytest.mark.parametrize("name", [*WRAPPED, *BYTES])
def test_document(name: str) -> None:
    content = BYTES[name] if name in BYTES else WRAPPED[name].encode()
    found, command_line, _, _ = told(content)
    assert found == EXPECTED and command_line == "root=/dev/vda1 ro"


def test_fronts_of_fronts() -> None:
    """Whoever keeps a log may keep one that was kept already."""
    chance = random.Random(12)
    outer = [name for name in FRONTS if name not in ("none", "bootloader", "unfinished line", *BEHIND)]
    inner = [
        "printk",
        "printk caller",
        "dmesg -x",
        "dmesg -r",
        "journal stamped",
        "rfc 3164",
        "tio",
        "host then guest",
        "colours",
    ]
    for _ in range(60):
        first, second = FRONTS[chance.choice(outer)], FRONTS[chance.choice(inner)]
        text = dressed(lambda at, number, a=first, b=second: a(at, number) + b(at, number))  # type: ignore[misc]
        found, command_line, _, _ = told(text.encode())
        assert found == EXPECTED and command_line == "root=/dev/vda1 ro", text


@pytest.mark.parametrize("name", FRONTS)
def test_without_a_banner(name: str) -> None:
    """What grep left: the front is that of the lines whose words are known."""
    if name in ("dmesg -e", "dmesg -H indented", "bootloader"):
        return  # their first line is the banner's
    text = dressed(FRONTS[name], BEHIND.get(name, "")).split("\n", 2)[2]
    found, _, _, _ = told(text.encode())
    assert found == EXPECTED


@pytest.mark.parametrize("tab", ["\t", "#011", r"\x09"])
def test_lines_that_begin_with_a_tab(tab: str) -> None:
    """4.1 prints what follows a loss so."""
    text = (
        "6,1,0,-;Linux version 4.1.13 (builder@host) (gcc) #1 SMP\n"
        "6,2,9,-;timekeeping watchdog: Marking clocksource 'tsc' as unstable, because the skew is too large:\n"
        f"6,3,9,-;{tab}'hpet' wd_now: a1aa wd_last: a1a8 mask: ffffffff\n"
    )
    log = Log(text.encode(), "boot.log")
    (event,) = log_events.read(log, log_events.recognise(log, "boot.log", None)).events()
    assert event.values["watchdog"] == "hpet" and event.clock == "tsc"


def test_of_boots_without_banners_the_last() -> None:
    lines = [line for line in PLAIN.splitlines(keepends=True) if "clocksource" in line]
    earlier = "".join(lines).replace("clocksource tsc", "clocksource jiffies")
    found, _, _, _ = told((earlier + "".join(lines)).encode())
    assert found == EXPECTED[1:]


def test_a_boot_by_its_number(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = PLAIN.replace("2400.000", "1000.000").replace("12.2.0-14", "12.2.0-13")
    (tmp_path / "boots.log").write_text(other + PLAIN)
    for number, mhz in (("1", "1000.000"), ("2", "2400.000"), ("-1", "2400.000"), ("-2", "1000.000")):
        made = tmp_path / "x.trace"
        assert (
            cli.main(
                ["import", "dmesg", str(tmp_path / "boots.log"), f"--boot={number}", "--overwrite", "-o", str(made)]
            )
            == 0
        )
        assert "The log tells of 2 boots" in capsys.readouterr().err
        assert cli.main(["timeline", str(made)]) == 0 and f"{mhz} MHz" in capsys.readouterr().out
    assert cli.main(["import", "dmesg", str(tmp_path / "boots.log"), "--boot=3"]) == 2
    assert "there is no boot 3: the log tells of 2" in capsys.readouterr().err


def test_nothing_is_lost_in_silence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "new.log"
    path.write_bytes(
        PLAIN.encode() + b"[   14.000000] clocksource: hpet sulks for \xff\xff3 s\n" + PLAIN.encode()[-60:]
    )
    assert cli.main(["import", "dmesg", str(path), "-o", str(tmp_path / "x.trace")]) == 0
    said = capsys.readouterr().err
    assert "1 line speaks of clocks in words that are not known, first line 11: clocksource: hpet sulks for 3 s" in said
    assert "1 line is repeated, and counted once." in said
    assert "2 bytes of the log are no text" in said


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(PLAIN.encode()))))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["import", "dmesg", "-"]) == 0
    assert capsys.readouterr().out == "Imported 5 events to log.trace; timeline log.trace shows them.\n"
    assert (tmp_path / "log.trace").exists()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(bytes(LOG_MAX + 1000), 1),
    "xz": lambda: lzma.compress(bytes(LOG_MAX + 1000), preset=0),
    "gzip of gzip": lambda: gzip.compress(gzip.compress(bytes(LOG_MAX + 1000), 1)),
    "zstd": lambda: subprocess.run(
        ["zstd", "-qc"], input=bytes(LOG_MAX + 1000), capture_output=True, check=True
    ).stdout,
}
DAMAGED = {
    "gzip": b"\x1f\x8b\x08\x00" + b"x" * 100, "xz": lzma.compress(b"x" * 5000)[:40] + b"x" * 100,
    "bzip2": b"BZh91AY" + b"x" * 100, "zstd": b"\x28\xb5\x2f\xfd" + b"x" * 100,
}  # fmt: skip
OTHERS = {
    "journal": (b"LPKSHHRH" + bytes(200), "journalctl --file"), "zip": (b"PK\x03\x04" + bytes(100), "unpack it first"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "tar archive"), "lz4": (b"\x04\x22\x4d\x18" + bytes(100), "lz4"),
    "elf": (b"\x7fELF" + bytes(100), "an ELF file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_without_end(name: str) -> None:
    with pytest.raises(UserError, match="more than 64 MiB unpacked"):
        Log(BOMBS[name](), "bomb")


@pytest.mark.parametrize("name", [*DAMAGED, *OTHERS])
def test_what_cannot_be_unpacked(name: str) -> None:
    content, said = OTHERS[name] if name in OTHERS else (DAMAGED[name], "it is packed, and damaged")
    with pytest.raises(UserError, match=said):
        Log(content, "boot.log")


HOSTILE: dict[str, bytes] = {
    "nested json": b'{"a":' * 100_000, "open objects": b'{"a":1,"b":[\n' * 20_000, "brackets": b"[" * 200_000,
    "spaces": b" " * 1_000_000, "digits": b"1" * 1_000_000, "stamps": b"[    0.000000] " * 60_000,
    "tags": b"<a " * 300_000 + b"<html><br>" * 10_000, "entities": b"<html>" + b"&amp;" * 200_000,
    "words": b"box kernel: " * 80_000, "fields": b"MESSAGE=x\n_TRANSPORT=kernel\n" * 30_000,
    "banners": b"Linux version 6 (\n" * 3000, "carriage returns": b"\r" * 500_000, "escapes": b"\x1b[" * 400_000,
    "wraps": (b"[    0.000000] " + b"x" * 60 + b"\n" + b"y\n" * 20) * 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_bounded(name: str) -> None:
    """Linear in the log's length; no bound is sharp, for a machine may be busy."""
    content = PLAIN.encode() + HOSTILE[name]
    before = time.process_time()
    for part in (HOSTILE[name], content):
        try:
            log = Log(part, "boot.log")
            list(log_events.read(log, log_events.recognise(log, "boot.log", None)).events())
        except UserError:
            continue
    assert time.process_time() - before < 60
