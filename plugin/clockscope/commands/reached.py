# SPDX-License-Identifier: MIT
"""`reached FILE GLOB`: which of these functions ran in a trace, which not, and why not."""

import argparse

from clockscope.model import changes_made, reach
from clockscope._core import Trace, Xref
from clockscope.base.errors import UserError
from clockscope.reports import xref
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "reached"
SUMMARY = "tell which functions ran in a recorded boot, and what kept it from the others"
NEEDS = "trace"
COMPLETE = {"file": "file", "glob": "traced", "elf": "file"}
EXAMPLES = ("boot.trace 'tsc_*'", "boot.trace 'pvclock_*' --elf vmlinux")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("glob", metavar="GLOB", help="a function's name, or a pattern such as 'tsc_*'")
    parser.add_argument("--elf", metavar="ELF", help="the kernel: adds functions that the trace knows nothing of")
    parser.add_argument("--format", choices=["json", "text"], default="text", help="text (the default) or json")


def run(args: argparse.Namespace, ui: Ui) -> int:
    file = trace_meant(args.file, ui)
    with Trace(file) as trace:
        functions = reach.examine(trace, args.glob, Xref(args.elf) if args.elf else None)
        changed = changes_made.of(trace)
    if not functions:
        advice = "" if args.elf else "; --elf names the kernel, for functions that it does not know"
        said = f"no function '{args.glob}' in {args.elf or file}{advice}"
        if not any(mark in args.glob for mark in "*?["):
            raise UserError(said)
        ui.note(f"{said[0].upper()}{said[1:]}.")  # to a pattern, that is an answer: a sourced script goes on
    ui.out(xref.format_reached({"interventions": changed, "functions": functions}, args.format, ui, file))
    return 0
