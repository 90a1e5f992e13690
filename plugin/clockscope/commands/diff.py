# SPDX-License-Identifier: MIT
"""`diff A B`: two recorded guests compared."""

import argparse
import json

from clockscope.model import comparison
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.commands.path import SOURCE_HELP, source_of
from clockscope.model.source_text import Source
from clockscope.reports import diff as report
from clockscope.base.ui import Ui, damage_noted

NAME = "diff"
SUMMARY = "compare two recorded guests: what they are told, clocks, events, the first decision that differs"
NEEDS = "trace"
COMPLETE = {"a": "file", "b": "file", "source": "file"}
EXAMPLES = ("healthy.trace failing.trace", "--ppm 50 healthy.trace failing.trace", "bare.trace xen.trace --format json")
NOTES = """\
Compared are the clocks and their values, the events in their order, and of each function that both traces hold the
decisions of each invocation. Not compared are times, and what a trace does not determine; with an imported log, what its
kernel does not print.
Exit status: 0 the same, 1 different, 2 trouble (a file cannot be read, or not all of it).
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a recorded trace")
    parser.add_argument("b", metavar="B", help="another one, perhaps of another kernel")
    add_tolerance(parser)
    parser.add_argument(
        "--source", metavar="DIR", action="append", default=[], help=SOURCE_HELP + "; given twice: A's, then B's"
    )
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ppm",
        type=_ppm,
        default=comparison.DEFAULT_PPM,
        help="frequencies that differ by so many parts in a million, or less, are the same (default: %(default)g)",
    )


def _ppm(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1000000 is expected, not {text!r}")
    return value


def _sources(trees: list[str], a: Trace, b: Trace) -> tuple[Source, Source]:
    if len(trees) > 2:
        raise UserError(f"two guests are compared: --source is given twice at most, not {len(trees)} times")
    return source_of(a, trees[0] if trees else None), source_of(b, trees[-1] if trees else None)


def run(args: argparse.Namespace, ui: Ui) -> int:
    with Trace(args.a) as a, Trace(args.b) as b:
        result = comparison.compare(a, b, args.ppm, ui.progress, _sources(args.source, a, b))
    if args.format == "json":
        ui.out(json.dumps(result, indent=2))
    else:
        ui.out(report.difference(result, (args.a, args.b), ui))
    return damage_noted(result["damage"], ui) or comparison.status(result)
