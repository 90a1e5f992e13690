# SPDX-License-Identifier: MIT
"""`fleet add|table|diff|page DB`: many boots side by side."""

import argparse
import json
import os
from collections.abc import Iterator

from clockscope._core import Error, Trace
from clockscope.base import outfile
from clockscope.base.errors import UserError
from clockscope.base.ui import Ui, counted, one_line
from clockscope.fleet import boot_facts, database, grouping, heat_map
from clockscope.model import diagnosing
from clockscope.reports import fleet as report

NAME = "fleet"
SUMMARY = "keep many boots in one database, and say which differ, and in what"
NEEDS = "nothing"
COMPLETE = {"db": "file", "traces": "file", "rules": "file", "output": "file"}
EXAMPLES = (
    "add fleet.db healthy.trace failing.trace",
    "table fleet.db",
    "diff fleet.db",
    "page fleet.db -o fleet.html",
)
NOTES = """\
add puts each trace's facts into DB: kernel, hypervisor, CPU, clocks,
findings, frequencies, and a signature of each traced function's decisions, in
which it does not count how often a loop goes round. A recording is there
once, however often it is added; several processes may add at the same time,
and one that is killed has added whole traces.
table prints the groups of boots whose clocks ended alike, with the same
findings; --boots a line for each boot.
diff says what sets each group apart from the largest: clocks, what its
machines have in common, the first decision that most of its boots made
otherwise.
page writes an HTML page with a heat map: boots, in the order of their
recording, against clocks and findings.

DB is a file (SQLite), or postgresql://USER@HOST/DATABASE. It needs the
package python3-sqlalchemy; PostgreSQL also python3-psycopg2.
Exit status: 0 done, and all boots are alike; 1 of diff: they are not; 2
trouble (a trace cannot be read).
"""
_ACTIONS = ("add", "diff", "page", "table")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument("db", metavar="DB", help="the fleet's database: a file, or a URL")
    parser.add_argument("traces", metavar="TRACE", nargs="*", help="of add: recorded traces")
    parser.add_argument("--boots", action="store_true", help="of table: a line for each boot")
    parser.add_argument("--rules", metavar="PATH", action="append", default=[], help="of add: as of diagnose")
    parser.add_argument("-o", "--output", metavar="HTML", help="of page: the file to write")
    outfile.add_overwrite(parser, "of page: replace the file where it exists")
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def run(args: argparse.Namespace, ui: Ui) -> int:
    _check(args)
    if args.action == "add":
        return _add(args, ui)
    fleet = database.opened(args.db)
    if args.action == "page":
        with outfile.create(args.output, force=args.overwrite) as write:
            write(heat_map.page(fleet, args.db if not database.is_url(args.db) else "").encode())
        ui.note(f"Wrote {args.output}.")
        return 0
    if args.action == "table" and args.boots:
        _print_boots(fleet, args.format, ui)
        return 0
    found = grouping.table(fleet) if args.action == "table" else grouping.differences(fleet)
    text = report.table if args.action == "table" else report.difference
    ui.out(json.dumps(found, indent=2) if args.format == "json" else text(found, args.db, ui))
    return int(args.action == "diff" and found["groups"] > 1)


def _check(args: argparse.Namespace) -> None:
    """That no option is another action's."""
    wrong = [
        ("TRACE", args.traces and args.action != "add", "add"),
        ("--boots", args.boots and args.action != "table", "table"),
        ("--rules", args.rules and args.action != "add", "add"),
        ("-o", args.output and args.action != "page", "page"),
    ]
    for option, is_given, action in wrong:
        if is_given:
            raise UserError(f"{option} is for `fleet {action}`, not for `fleet {args.action}`")
    if args.action == "add" and not args.traces:
        raise UserError("fleet add needs the traces to add: fleet add DB TRACE…")
    if args.action == "page":
        if not args.output:
            raise UserError("fleet page needs a file to write: -o HTML")
        if os.path.exists(args.output) and os.path.exists(args.db) and os.path.samefile(args.output, args.db):
            raise UserError(f"{args.output} is the fleet itself; name another file")


def _add(args: argparse.Namespace, ui: Ui) -> int:
    rules = diagnosing.load(args.rules)
    fleet = database.opened(args.db, make=True)
    added = failed = 0
    for number, file in enumerate(args.traces, 1):
        try:
            with Trace(file) as trace:
                if not fleet.has(boot_facts.content_id(trace)):
                    added += fleet.add([boot_facts.of_trace(file, trace, rules)])
        except (Error, UserError) as error:
            if not os.path.exists(file) or isinstance(error, Error) or str(error).startswith(file):
                failed += 1
                ui.note(f"not added: {one_line(str(error))}")
                continue
            raise
        ui.progress(number, len(args.traces), "added")
    known = len(args.traces) - added - failed
    ui.out(
        f"Added {counted(added, 'boot')}"
        + (f"; {known} there already" if known else "")
        + (f"; {failed} could not be read" if failed else "")
    )
    return 2 if failed else 0


_COLUMNS = ("recorded", "alike", "release", "hypervisor", "cpu", "file")


def _print_boots(fleet: database.Fleet, form: str, ui: Ui) -> None:
    contents = grouping.contents(fleet)
    rows = fleet.in_order(_COLUMNS)
    lines = _as_json(rows, contents) if form == "json" else report.boots(rows, contents, ui)
    for line in lines:
        ui.out(line)


def _as_json(rows: database.Rows, contents: dict[str, grouping.Record]) -> Iterator[str]:
    """A line of JSON each: there may be more than memory holds."""
    for row in rows:
        found = dict(zip(_COLUMNS, row))
        yield json.dumps({**found, **contents.get(str(found.pop("alike")), {})})
