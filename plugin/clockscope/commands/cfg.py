# SPDX-License-Identifier: MIT
"""`cfg [ELF] FUNCTION`: blocks, branches, timing windows and probes of a function; with a trace, what ran."""

import argparse
import json
from pathlib import Path

from clockscope.live import chosen_kernel
from clockscope.model import flow_graph
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.reports import cfg as report
from clockscope.reports import graphviz
from clockscope.base.ui import Ui

NAME = "cfg"
SUMMARY = "show a function's blocks, branches, timing windows and probes, and with a trace what ran of it"
NEEDS = "nothing"
COMPLETE = {"elf": "file", "function": "function", "trace": "file", "source": "file"}
EXAMPLES = (
    "vmlinux tsc_read_refs",
    "vmlinux tsc_refine_calibration_work --source linux-6.1",
    "--trace boot.trace tsc_refine_calibration_work --format svg",
)
GDB_EXAMPLES = ("tsc_read_refs",)
NOTES = """\
A picture is kept by `>work.svg` in a shell, and in GDB by `pipe clock cfg … --format svg | cat >work.svg`.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("elf", metavar="ELF", nargs="?", help="the kernel with its symbols; in GDB, its symbol file")
    parser.add_argument("function", metavar="FUNCTION", help="a function's name; with --trace a glob too")
    parser.add_argument("--trace", metavar="FILE", help="show what this trace knows of it, instead of an ELF file")
    parser.add_argument(
        "--source",
        metavar="DIR",
        help="the kernel's source tree, for the text of its lines (in GDB it searches itself)",
    )
    parser.add_argument("--all", action="store_true", help="every instruction, not only those that matter")
    parser.add_argument("--intrusive", action="store_true", help="the plan that probes timing windows as well")
    parser.add_argument("--virtual", action="store_true", help="the plan for a stub whose breakpoints change no memory")
    parser.add_argument("--format", choices=("dot", "json", "svg", "text"), default="text", help="text is the default")


def run(args: argparse.Namespace, ui: Ui) -> int:
    graphs = _graphs(args)
    if args.format == "json":
        ui.out(json.dumps(graphs, indent=2))
    elif args.format == "text":
        ui.out("\n".join(report.text(one, ui, everything=args.all) for one in graphs))
    else:
        drawn = "".join(report.dot(one) for one in graphs)
        ui.out(drawn if args.format == "dot" else _svg(drawn, len(graphs)))
    return 0


def _graphs(args: argparse.Namespace) -> list[flow_graph.Record]:
    if args.trace is not None:
        if args.elf is not None:
            raise UserError(f"{args.elf}: a trace keeps its functions itself; leave the ELF file out with --trace")
        with Trace(args.trace) as trace:
            return flow_graph.from_trace(trace, args.function)
    path = chosen_kernel.chosen(args.elf, "function", args.function)
    return flow_graph.from_elf(path, args.function, _text(args), intrusive=args.intrusive, virtual=args.virtual)


def _text(args: argparse.Namespace) -> flow_graph.Text:
    """Where the text of source lines comes from: a tree that was named, or GDB's own search for its symbol file's."""
    if args.source is not None:
        return flow_graph.text_below(Path(args.source))
    if args.elf is not None:
        return flow_graph.no_text
    from clockscope.gdbside import symbols  # chosen_kernel.chosen() found a symbol file, so this is GDB

    return flow_graph.text_found_by(symbols.source_file)


def _svg(drawn: str, count: int) -> str:
    if count != 1:
        raise UserError(f"{count} functions are meant; one SVG shows one: name it in full, or use --format dot")
    return graphviz.svg(drawn)
