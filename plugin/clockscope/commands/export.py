# SPDX-License-Identifier: MIT
"""`export FILE --format perfetto|dot|csv`: a trace for other programs."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from clockscope.base import outfile
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.exports import csv_views, graphs, perfetto
from clockscope.exports.stream import Progress, Write
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "export"
SUMMARY = "write a trace for other programs: Perfetto, Graphviz, spreadsheets"
NEEDS = "trace"
COMPLETE = {"files": "file", "output": "file"}
EXAMPLES = (
    "boot.trace --format perfetto -o boot.pftrace",
    "healthy.trace failing.trace --format perfetto -o both.pftrace",
    "boot.trace --format dot -o boot.dot",
    "boot.trace --format csv",
    "boot.trace --format csv --table decisions -o decisions.csv",
)
NOTES = """\
perfetto: for https://ui.perfetto.dev; clocks (registered, in use, lost), calibrations, and each vCPU with its events and
calls, in guest time; of two guests where two traces are named.
dot: the traced functions' graphs, with what ran, for Graphviz.
csv: a table of the trace (RFC 4180), for spreadsheets; schemas/README.md describes the tables. Plain `sqlite3` reads a
trace as well: SELECT * FROM timeline. Its times are run time (stops excluded); those of csv are the guest's own, as all
verbs tell them, with the run time in the last column.
"""

_STDOUT = "-"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help=f"{TRACE_HELP}; for perfetto a second one to lie beside"
    )
    parser.add_argument("--format", choices=("csv", "dot", "perfetto"), required=True, help="what to write")
    parser.add_argument("-o", "--output", metavar="OUT", default=_STDOUT, help="the file to write (default: print it)")
    outfile.add_overwrite(parser, "replace OUT where it exists")
    parser.add_argument("--table", choices=tuple(csv_views.KEYS), help="of csv: which one (default: timeline)")


def run(args: argparse.Namespace, ui: Ui) -> int:
    if args.table and args.format != "csv":
        raise UserError("--table is for --format csv")
    if len(args.files) > (2 if args.format == "perfetto" else 1):
        raise UserError(
            f"{args.format} takes {'two traces at most' if args.format == 'perfetto' else 'one trace'}, not {len(args.files)}"
        )
    sources = args.files or [trace_meant(None, ui)]
    with ExitStack() as stack:
        traces = [stack.enter_context(Trace(source)) for source in sources]
        write = stack.enter_context(_output(args, sources, ui))
        _export(args, traces, write, ui.progress)
    if args.output != _STDOUT:
        ui.note(f"Wrote {args.output}.")
    return 0


def _export(args: argparse.Namespace, traces: Sequence[Trace], write: Write, progress: Progress) -> None:
    if args.format == "csv":
        csv_views.export(traces[0], args.table or "timeline", write, progress)
    elif args.format == "dot":
        graphs.export(traces[0], write, progress)
    else:
        perfetto.export(traces, write, progress)


@contextmanager
def _output(args: argparse.Namespace, sources: Sequence[str], ui: Ui) -> Iterator[Write]:
    if args.output != _STDOUT:
        if os.path.exists(args.output) and any(os.path.samefile(args.output, source) for source in sources):
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
