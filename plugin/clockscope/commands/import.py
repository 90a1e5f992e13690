# SPDX-License-Identifier: MIT
"""`import dmesg FILE`: the log of a guest that no debugger reaches, as a trace."""

import argparse
import sys
from pathlib import Path

from clockscope.importing import log_events
from clockscope._core import TraceWriter
from clockscope.importing.kernel_log import LOG_MAX, Log
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.base import outfile
from clockscope.base.ui import Ui, one_line

NAME = "import"
SUMMARY = "make a trace of a kernel's log, for a guest that no debugger reaches"
NEEDS = "nothing"
COMPLETE = {"file": "file", "output": "file", "profile": "profile"}
EXAMPLES = ("dmesg serial.log", "dmesg serial.log -o guest.trace", "dmesg --profile linux serial.log -o linux.trace")
NOTES = """\
Logs of Linux, NetBSD and FreeBSD are known, whoever wrote them down: what stands in front of the kernel's words (stamps of
dmesg, journalctl, syslog, serial loggers and CI systems, quotes, line numbers) is found by what the lines have in common. JSON,
HTML, UTF-16 and packed files (gzip, xz, bzip2, zstd) are read too; FILE - is standard input.
Of several boots the last that says anything of clocks is taken, or the one of --boot. timeline, diff and diagnose work on
what a log has: no values beyond what the kernel printed, no backtraces, no decisions. NetBSD and FreeBSD print more of
their clocks when booted with -v.
"""
_STANDARD_INPUT = "standard input"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="dmesg", choices=("dmesg",), help="what is imported: a kernel's log")
    parser.add_argument("file", metavar="FILE", help="the log; - is standard input")
    parser.add_argument(
        "-o", "--output", metavar="TRACE", help="the trace (default: FILE's name with .trace, here; log.trace)"
    )
    outfile.add_overwrite(parser, "replace TRACE if it exists")
    parser.add_argument("--boot", metavar="N", type=int, help="which of the log's boots: 1 is the first, -1 the last")
    parser.add_argument(
        "--profile", metavar="P", help="the guest profile, by name or file (default: by the log's own words)"
    )


def run(args: argparse.Namespace, ui: Ui) -> int:
    standard = args.file == "-"
    name = _STANDARD_INPUT if standard else Path(args.file).name
    where = name if standard else args.file
    log = Log(_content(args.file), where)
    boot = log_events.recognise(log, where, profile.load(args.profile) if args.profile else None, args.boot)
    output = args.output or ("log.trace" if standard else Path(name).with_suffix(".trace").name)
    writer = TraceWriter(output, force=args.overwrite)
    try:
        done = log_events.write(log, boot, name, writer, ui.progress)
    except BaseException:
        writer.close(False, "the import was broken off")
        raise
    writer.close(
        bool(boot.banner), "the log ends" if boot.banner else "the log does not begin with the kernel's banner"
    )
    _conclude(boot, done, output, ui)
    return 0


def _content(path: str) -> bytes:
    try:
        if path == "-" and "gdb" in sys.modules and sys.stdin.isatty():
            raise UserError("-: in GDB standard input is the terminal; give a file, or use the program in a shell")
        if path == "-":
            content = sys.stdin.buffer.read(LOG_MAX + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(LOG_MAX + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if len(content) > LOG_MAX:
        raise UserError(f"{path}: more than {LOG_MAX >> 20} MiB, which no boot prints; cut the boot out of it")
    return content


def _conclude(boot: log_events.Boot, done: log_events.Imported, output: str, ui: Ui) -> None:
    if boot.count > 1:
        which = "the last" if boot.chosen == boot.count else f"number {boot.chosen}"
        why = "" if boot.asked or boot.chosen == boot.count else ", for the later ones say nothing of clocks"
        ui.note(f"The log tells of {boot.count} boots: {which} is imported{why}.")
    if not boot.banner:
        ui.note(f"The log does not begin with a kernel's banner; its words are those of {boot.profile.os}.")
    if not done.events:
        ui.note("The log says nothing of clocks; was your guest booted quietly?")
    for note in done.notes:
        ui.note(one_line(note))
    ui.made(output)
    events = f"{done.events} event" + ("" if done.events == 1 else "s")
    ui.out(f"Imported {events} to {one_line(output)}; timeline {one_line(output)} shows them.")
