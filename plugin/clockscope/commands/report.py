# SPDX-License-Identifier: MIT
"""`report FILE [FILE] -o HTML`: a page to look at."""

import argparse
from contextlib import ExitStack

from clockscope.base import outfile
from clockscope.model import comparison, diagnosing
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.base.ui import Ui, damage_noted, trace_meant
from clockscope.commands.path import SOURCE_HELP, source_of

NAME = "report"
SUMMARY = "write a page to look at: the timeline, diagnoses, clocks and traced functions of one guest, or of two"
NEEDS = "trace"
COMPLETE = {"files": "file", "output": "file", "source": "file"}
EXAMPLES = ("boot.trace -o boot.html", "healthy.trace failing.trace -o both.html --overwrite")
NOTES = """\
The page is one file that asks nothing of any network; open it in a browser. Keys: / searches, + - 0 and the arrow keys
zoom and move the timeline, Esc closes what was opened.
Exit status: 0 written, 2 trouble (a file cannot be read, or not all of it).
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="a recorded trace (default: the last one), and one to compare with"
    )
    parser.add_argument("-o", "--output", metavar="HTML", required=True, help="the file to write")
    outfile.add_overwrite(parser, "replace it where it exists")
    parser.add_argument(
        "--rules",
        metavar="PATH",
        action="append",
        default=[],
        help="diagnoses to try as well, as `diagnose` takes them",
    )
    parser.add_argument("--source", metavar="DIR", help=SOURCE_HELP)


def run(args: argparse.Namespace, ui: Ui) -> int:
    from clockscope.reports import page, page_guest  # Jinja is slow to import

    if len(args.files) > 2:
        raise UserError(f"a page shows one guest or two, not {len(args.files)}")
    rules = diagnosing.load(args.rules)
    files = args.files or [trace_meant(None, ui)]
    with ExitStack() as stack:
        write = stack.enter_context(outfile.create(args.output, force=args.overwrite))
        traces = [stack.enter_context(Trace(file)) for file in files]
        sources = [source_of(trace, args.source) for trace in traces]
        guests = [page_guest.read(*item, rules, source) for item, source in zip(zip("AB", files, traces), sources)]
        difference = comparison.compare(traces[0], traces[1], progress=ui.progress) if len(traces) == 2 else None
        html = page.render(guests, difference, ui.progress).encode()
        write(html)
    ui.note(f"Wrote {args.output} ({len(html) / 1e6:.1f} MB); open it in a browser.")
    return damage_noted([guest.timeline["damage"] for guest in guests], ui)
