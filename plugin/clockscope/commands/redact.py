# SPDX-License-Identifier: MIT
"""`redact TRACE -o OUT`: a trace to show around."""

import argparse
import os
import shutil
import tempfile

from clockscope._core import Trace
from clockscope.base import outfile
from clockscope.base.errors import UserError
from clockscope.base.ui import TRACE_HELP, Ui, is_under_way, trace_meant
from clockscope.exports import redacted
from clockscope.model import redaction

NAME = "redact"
SUMMARY = "make a trace to show around: without what is its owner's own"
NEEDS = "trace"
COMPLETE = {"file": "file", "output": "file"}
EXAMPLES = (
    "boot.trace -o public.trace",
    "boot.trace -o friends.trace --keep builder --keep symbols",
    "boot.trace -o salted.trace --salt correct-horse",
)
NOTES = """\
Redacted are: the command lines of guest and QEMU; paths of your machine (a
file of a kernel's source keeps its place there); who built the kernel and
where; the names of functions that no profile names, with their variables and
source lines. Where other texts quote them, such as the kernel's messages,
they are redacted too. Everything else stays: events, times, clocks, values,
what the guest was told, decisions, registers, the names of tasks, the
kernel's release and build id.

What is redacted becomes a hash, the same one in each trace: two redacted
traces compare as the two that they were made of. Who guesses what a hash
stands for can see that he is right; not where --salt says something that only
you know.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="TRACE", nargs="?", help=TRACE_HELP)
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the file to write")
    parser.add_argument(
        "--keep", choices=redaction.KINDS, action="append", default=[], help="what is not redacted; may be given again"
    )
    parser.add_argument(
        "--salt", metavar="TEXT", default="", help="a secret of your own, so that no hash can be guessed"
    )
    outfile.add_overwrite(parser, "replace OUT where it exists")


def run(args: argparse.Namespace, ui: Ui) -> int:
    source = trace_meant(args.file, ui)
    if os.path.exists(args.output) and os.path.samefile(args.output, source):
        raise UserError(f"{args.output} is the trace itself; name another file")
    if is_under_way(source, ui):
        raise UserError(f"{source} is being recorded: end that with `clock record --stop`, and redact it then")
    with outfile.create(args.output, force=args.overwrite) as write, Trace(source) as trace:
        redactor = redaction.of_trace(trace, args.keep, args.salt)
        with tempfile.TemporaryDirectory(prefix="clockscope-redact-") as folder:
            part = os.path.join(folder, "part.trace")
            redacted.Copy(trace, redactor).write(part, ui.progress)
            with open(part, "rb") as file:
                shutil.copyfileobj(file, _Writer(write), 1 << 20)
    ui.note(f"Wrote {args.output}; redacted: {redacted.said(redactor)}.")
    return 0


class _Writer:
    def __init__(self, write: "outfile.Write") -> None:
        self.write = write
