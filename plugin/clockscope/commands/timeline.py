# SPDX-License-Identifier: MIT
"""`timeline FILE`: the bring-up of a recorded guest's clocks, in order."""

from clockscope.model import disturbed
from clockscope._core import Trace
from clockscope.reports import event_rows, text
from clockscope.base.ui import TRACE_HELP, Ui, damage_noted, is_under_way, trace_meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

NAME = "timeline"
SUMMARY = "print how a recorded guest brought up its clocks, in order"
NEEDS = "trace"
COMPLETE = {"file": "file", "columns": "column"}
EXAMPLES = (
    "boot.trace",
    "--backtrace boot.trace",
    "--wide boot.trace",
    "--columns time,event,clock,by boot.trace",
    "--format json boot.trace",
)


def prepare_parser(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("--backtrace", action="store_true", help="print who called, below each event")
    parser.add_argument("--wide", action="store_true", help="a line an event with all there is, however long")
    parser.add_argument(
        "--columns",
        metavar="C,…",
        default="",
        help=f"these columns of the events instead, a line an event: {', '.join(event_rows.COLUMNS)}",
    )
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def run(args: "argparse.Namespace", ui: Ui) -> int:
    file = trace_meant(args.file, ui)
    with Trace(file) as trace:
        content = disturbed.timeline(trace)
    if args.format == "json":
        from clockscope.reports import json  # slow to import

        ui.out(json.timeline(content))
    else:
        columns = event_rows.chosen(args.columns) if args.columns else ()
        options = text.Options(backtrace=args.backtrace, wide=args.wide, columns=columns)
        ui.out(text.timeline(content, ui, options, file=file, under_way=is_under_way(file, ui)))
    return damage_noted([content["damage"]], ui)
