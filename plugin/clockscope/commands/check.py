# SPDX-License-Identifier: MIT
"""`check TRACE --against BASELINE`: is a boot as it should be? For continuous integration."""

import argparse
import json
import os

from clockscope._core import Trace
from clockscope.base import outfile
from clockscope.base.errors import UserError
from clockscope.base.ui import TRACE_HELP, Ui, damage_noted, trace_meant
from clockscope.commands.path import SOURCE_HELP, source_of
from clockscope.model import checking, diagnosing, policy
from clockscope.reports import check as report

NAME = "check"
SUMMARY = "hold a recorded guest to a baseline and a policy, for continuous integration"
NEEDS = "trace"
COMPLETE = {"file": "file", "against": "file", "policy": "file", "junit": "file", "rules": "file", "source": "file"}
EXAMPLES = (
    "boot.trace --against healthy.trace",
    "boot.trace --against healthy.trace --policy policy.toml",
    "boot.trace --against healthy.trace --format junit",
)
NOTES = """\
Without a policy: the clocks and event devices of the baseline must be there,
its clock in use, frequencies within 1000 ppm of its own, and nothing wrong
found that is not wrong in it. A policy is a TOML file:

  [tolerance]
  ppm = 1000                      # of every clock, in parts per million
  clocks = { tsc = 200 }          # of some
  [clocks]
  must = ["tsc", "hpet"]          # registered, and not lost by the end
  current = ["tsc"]               # one of these is in use at the end
  [devices]
  must = ["lapic"]
  [findings]
  may = ["tsc-refinement-off"]    # diagnoses that break nothing
  [functions]
  agree = ["tsc_*"]               # decide as in the baseline
  calls = "any"                   # however often they are called

Exit status: 0 all is kept, 1 something is broken, 2 trouble (a file cannot be
read, or what was to be checked is not known). In JUnit XML what is broken is a
failure, what is not known an error.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="TRACE", nargs="?", help=TRACE_HELP)
    parser.add_argument(
        "--against", metavar="BASELINE", required=True, help="the trace of a boot that is as it should be"
    )
    parser.add_argument("--policy", metavar="FILE", help="what has to be as in the baseline, and how nearly (TOML)")
    parser.add_argument("--rules", metavar="PATH", action="append", default=[], help="as of diagnose")
    parser.add_argument("--source", metavar="DIR", help=SOURCE_HELP)
    parser.add_argument(
        "--format", choices=("json", "junit", "text"), default="text", help="text (the default), json or junit"
    )
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML to this file as well")
    outfile.add_overwrite(parser, "replace the file of --junit where it exists")


def run(args: argparse.Namespace, ui: Ui) -> int:
    rules = diagnosing.load(args.rules)
    held = policy.load(args.policy, [rule.name for rule in rules]) if args.policy else policy.Policy()
    file = trace_meant(args.file, ui)
    _check_output(args, file)
    with Trace(file) as trace, Trace(args.against) as baseline:
        here, there = (
            checking.side(name, one, rules, source_of(one, args.source))
            for name, one in ((file, trace), (args.against, baseline))
        )
        result = checking.check(here, there, held)
    if args.junit:
        with outfile.create(args.junit, force=args.overwrite) as write:
            write(report.junit(result).encode())
    ui.out(_printed(result, args.format, ui))
    damage_noted(result["damage"], ui)
    return checking.EXIT[result["verdict"]]


def _check_output(args: argparse.Namespace, file: str) -> None:
    """The report never takes the place of what it is about."""
    for name in (file, args.against, args.policy):
        if args.junit and name and os.path.exists(args.junit) and os.path.exists(name):
            if os.path.samefile(args.junit, name):
                raise UserError(f"{args.junit} is what is checked; name another file for --junit")


def _printed(result: report.Record, form: str, ui: Ui) -> str:
    if form == "json":
        return json.dumps(result, indent=2)
    return report.junit(result) if form == "junit" else report.checked(result, ui)
