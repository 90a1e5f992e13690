# SPDX-License-Identifier: MIT
"""`import dmesg FILE`: the log of a guest that no debugger reaches, as a trace."""

import argparse
from pathlib import Path

from clockscope.importing import log_events
from clockscope._core import TraceWriter
from clockscope.importing.kernel_log import LOG_MAX, Log
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.base.ui import Ui, one_line

NAME = "import"
SUMMARY = "make a trace of a kernel's log, for a guest that no debugger reaches"
NEEDS = "nothing"
COMPLETE = {"file": "file", "output": "file", "profile": "profile"}
EXAMPLES = ("dmesg serial.log", "dmesg serial.log -o guest.trace", "dmesg --profile linux serial.log -o linux.trace")
NOTES = """\
Logs of Linux, NetBSD and FreeBSD are known: of a serial console, of dmesg (also -r, -x, -T), of journalctl -k, of syslog.
Of several boots the last is taken. timeline, diff and diagnose work on what a log has: no values beyond what the kernel
printed, no backtraces, no decisions. NetBSD and FreeBSD print more of their clocks when booted with -v.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="dmesg", choices=("dmesg",), help="what is imported: a kernel's log")
    parser.add_argument("file", metavar="FILE", help="the log")
    parser.add_argument("-o", "--output", metavar="TRACE", help="the trace (default: FILE's name with .trace, here)")
    parser.add_argument("--force", action="store_true", help="replace TRACE if it exists")
    parser.add_argument(
        "--profile", metavar="P", help="the guest profile, by name or file (default: by the log's banner)"
    )


def run(args: argparse.Namespace, ui: Ui) -> int:
    log = Log(_content(args.file))
    name = Path(args.file).name
    boot = log_events.recognise(log, args.file, profile.load(args.profile) if args.profile else None)
    output = args.output or Path(name).with_suffix(".trace").name
    writer = TraceWriter(output, force=args.force)
    try:
        count = log_events.write(log, boot, name, writer, ui.progress)
    except BaseException:
        writer.close(False, "the import was broken off")
        raise
    writer.close(
        bool(boot.banner), "the log ends" if boot.banner else "the log does not begin with the kernel's banner"
    )
    _conclude(boot, count, output, ui)
    return 0


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(LOG_MAX + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if len(content) > LOG_MAX:
        raise UserError(f"{path}: more than {LOG_MAX >> 20} MiB, which no boot prints; cut the boot out of it")
    return content


def _conclude(boot: log_events.Boot, count: int, output: str, ui: Ui) -> None:
    if boot.count > 1:
        ui.note(f"The log tells of {boot.count} boots: the last is imported.")
    if not count:
        ui.note("The log says nothing of clocks; was your guest booted quietly?")
    ui.made(output)
    events = f"{count} event" + ("" if count == 1 else "s")
    ui.out(f"Imported {events} to {one_line(output)}; timeline {one_line(output)} shows them.")
