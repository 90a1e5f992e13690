# SPDX-License-Identifier: MIT
"""`diagnose FILE…`: what went wrong, the evidence, the upstream fix."""

import argparse
import json
from typing import Any

from clockscope.model import axis, diagnosing
from clockscope._core import Trace
from clockscope.commands.path import SOURCE_HELP, source_of
from clockscope.reports import diagnose as report
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "diagnose"
SUMMARY = "say what went wrong in a recorded guest, with the evidence and the known fix"
NEEDS = "trace"
COMPLETE = {"files": "file", "rules": "file", "source": "file"}
EXAMPLES = ("boot.trace", "healthy.trace failing.trace --format json", "--rules my-rules boot.trace")
NOTES = """\
A rule is a file: SQL over the trace, a text, references (plugin/clockscope/diagnoses has them).
Exit status: 0 nothing wrong was found, 1 something was, 2 trouble (a file cannot be read).
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="*", help=TRACE_HELP)
    parser.add_argument(
        "--rules",
        metavar="PATH",
        action="append",
        default=[],
        help="a rule's file, or a folder of them, to try as well",
    )
    parser.add_argument("--source", metavar="DIR", help=SOURCE_HELP)
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def run(args: argparse.Namespace, ui: Ui) -> int:
    rules = diagnosing.load(args.rules)
    found = [_examine(name, rules, args.source) for name in args.files or [trace_meant(None, ui)]]
    files, axes = [file for file, _ in found], [when for _, when in found]
    if args.format == "json":
        ui.out(json.dumps({"rules": len(rules), "files": files}, indent=2))
    else:
        ui.out(report.diagnosis(files, axes, len(rules), ui))
    return 1 if any(file["findings"] for file in files) else 0


def _examine(name: str, rules: list[diagnosing.Rule], tree: str | None) -> tuple[dict[str, Any], axis.Axis]:
    with Trace(name) as trace:
        return diagnosing.examine(name, trace, rules, source_of(trace, tree)), axis.of_trace(trace)
