# SPDX-License-Identifier: MIT
"""`open FILE`: the trace that the verbs after it mean."""

import argparse

from clockscope._core import Trace
from clockscope.base.ui import Ui, counted, one_line
from clockscope.gdbside import console

NAME = "open"
SUMMARY = "choose the trace that the commands after it read, where they name none"
NEEDS = "gdb"
COMPLETE = {"file": "file"}
EXAMPLES = ("boot.trace",)
NOTES = """\
It holds until another trace is opened, or made: by a recording that begins
later, or by `clock import`. $clockscope_trace is its path.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a recorded trace")


def run(args: argparse.Namespace, ui: Ui) -> int:
    with Trace(args.file) as trace:
        meta = trace.meta()
        (row,) = trace.rows("SELECT count(*) AS events FROM event")
        complete = "" if trace.complete() else ", incomplete"
    console.open_trace(args.file)
    guest = " ".join(filter(None, (meta.get("guest.os"), meta.get("guest.release")))) or "a guest that is not known"
    ui.out(f"{one_line(args.file)}: {one_line(guest)}, {counted(row['events'], 'event')}{complete}")
    return 0
