# SPDX-License-Identifier: MIT
"""`path FILE [FUNCTION]`: which way each invocation of a traced function went."""

import argparse
import json
from pathlib import Path

from clockscope.model import axis, changes_made, paths
from clockscope._core import Trace
from clockscope.model.source_text import Source
from clockscope.reports import annotated
from clockscope.reports import path as report
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "path"
SUMMARY = "print the source of traced functions with how often each line ran, and what each condition was"
NEEDS = "trace"
COMPLETE = {"file": "file", "function": "traced", "source": "file"}
EXAMPLES = (
    "boot.trace",
    "boot.trace tsc_refine_calibration_work --source linux-6.1",
    "boot.trace 'tsc_*' --format json",
)
NOTES = """\
Where the source is at hand, each line has its count: "-----" for one that never ran, "?" for one that a gap leaves open,
"3+" for one that ran oftener than what was seen; none for a line without code. Elsewhere each call's decisions are told.
"true" and "false" are of the condition as the source has it. Where that cannot be told (no source at hand, a macro, an
operand of && or || that does not decide), it is said what the jump did: compilers invert conditions, so "jump taken" is
not "true". A recording keeps the source of traced functions if GDB finds it (`set substitute-path`).
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("function", metavar="FUNCTION", nargs="?", help="a traced function, or a glob (default: all)")
    parser.add_argument("--source", metavar="DIR", help=SOURCE_HELP)
    parser.add_argument(
        "--branches", action="store_true", help="each call's decisions one by one, also where the source is at hand"
    )
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


SOURCE_HELP = "the top of the kernel's source tree, where the trace does not hold its text"


def source_of(trace: Trace, tree: str | None) -> Source:
    """Where the source text of a trace is: the tree that was named, the trace itself, or what GDB finds."""
    try:
        from clockscope.gdbside import symbols
    except ModuleNotFoundError as error:
        if error.name != "gdb":
            raise
        return Source(trace, Path(tree) if tree else None)
    return Source(trace, Path(tree) if tree else None, symbols.source_file)


def run(args: argparse.Namespace, ui: Ui) -> int:
    file = trace_meant(args.file, ui)
    with Trace(file) as trace:
        functions = paths.functions(trace, args.function, source_of(trace, args.source))
        changed = changes_made.of(trace)
        when = axis.of_trace(trace)
    if args.format == "text":
        ui.out(report.paths(functions, changed, when, ui, file, None if args.branches else annotated.source))
    elif args.function and len(functions) == 1:
        ui.out(json.dumps({"interventions": changed, **functions[0]}, indent=2))
    else:
        ui.out(json.dumps({"interventions": changed, "functions": functions}, indent=2))
    return 0
