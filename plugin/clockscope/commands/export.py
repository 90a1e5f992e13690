# SPDX-License-Identifier: MIT
"""`export FILE --format perfetto|dot|csv`: a trace for other programs."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from clockscope.base import outfile
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.exports import csv_views, graphs, perfetto
from clockscope.exports.stream import Progress, Write
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "export"
SUMMARY = "write a trace for other programs: Perfetto, Graphviz, spreadsheets"
NEEDS = "trace"
COMPLETE = {"file": "file", "output": "file"}
EXAMPLES = (
    "boot.trace --format perfetto -o boot.pftrace",
    "boot.trace --format dot -o boot.dot",
    "boot.trace --format csv",
    "boot.trace --format csv --table decisions -o decisions.csv",
)
NOTES = """\
perfetto: for https://ui.perfetto.dev; calls and calibrations as slices, events and interventions as instants.
dot: the traced functions' graphs, with what ran, for Graphviz.
csv: a table of the trace (RFC 4180), for spreadsheets; schemas/README.md describes the tables. Plain `sqlite3` reads a
trace as well: SELECT * FROM timeline.
"""

_STDOUT = "-"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("--format", choices=("csv", "dot", "perfetto"), required=True, help="what to write")
    parser.add_argument("-o", "--output", metavar="OUT", default=_STDOUT, help="the file to write (default: print it)")
    outfile.add_overwrite(parser, "replace OUT where it exists")
    parser.add_argument("--table", choices=tuple(csv_views.KEYS), help="of csv: which one (default: timeline)")


def run(args: argparse.Namespace, ui: Ui) -> int:
    if args.table and args.format != "csv":
        raise UserError("--table is for --format csv")
    source = trace_meant(args.file, ui)
    with Trace(source) as trace, _output(args, source, ui) as write:
        _export(args, trace, write, ui.progress)
    if args.output != _STDOUT:
        ui.note(f"Wrote {args.output}.")
    return 0


def _export(args: argparse.Namespace, trace: Trace, write: Write, progress: Progress) -> None:
    if args.format == "csv":
        csv_views.export(trace, args.table or "timeline", write, progress)
    elif args.format == "dot":
        graphs.export(trace, write, progress)
    else:
        perfetto.export(trace, write, progress)


@contextmanager
def _output(args: argparse.Namespace, source: str, ui: Ui) -> Iterator[Write]:
    if args.output != _STDOUT:
        if os.path.exists(args.output) and os.path.samefile(args.output, source):
            raise UserError(f"{args.output} is the trace itself; name another file")
        with outfile.create(args.output, force=args.overwrite) as write:
            yield write
    elif args.format == "perfetto":
        binary = getattr(sys.stdout, "buffer", None)  # GDB's has none
        if binary is None or binary.isatty():
            raise UserError("this format is not for reading: name a file with -o")
        yield binary.write
    else:
        yield lambda data: ui.out(data.decode())
