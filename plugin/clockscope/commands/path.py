# SPDX-License-Identifier: MIT
"""`path FILE [FUNCTION]`: which way each invocation of a traced function went."""

import argparse
import json

from clockscope.model import changes_made, paths
from clockscope._core import Trace
from clockscope.reports import path as report
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "path"
SUMMARY = "print each invocation's decisions of the traced functions, in source lines"
NEEDS = "trace"
COMPLETE = {"file": "file", "function": "traced"}
EXAMPLES = ("boot.trace", "boot.trace tsc_refine_calibration_work", "boot.trace 'tsc_*' --format json")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("function", metavar="FUNCTION", nargs="?", help="a traced function, or a glob (default: all)")
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def run(args: argparse.Namespace, ui: Ui) -> int:
    with Trace(trace_meant(args.file, ui)) as trace:
        functions = paths.functions(trace, args.function)
        changed = changes_made.of(trace)
    if args.format == "text":
        ui.out(report.paths(functions, changed, ui))
    elif args.function and len(functions) == 1:
        ui.out(json.dumps({"interventions": changed, **functions[0]}, indent=2))
    else:
        ui.out(json.dumps({"interventions": changed, "functions": functions}, indent=2))
    return 0
