# SPDX-License-Identifier: MIT
"""`experiment --baseline FILE …`: record a boot with interventions, and compare it with a baseline."""

import argparse
import json
import os

from clockscope.gdbside import console
from clockscope.kernel import wish
from clockscope.live.gdb_session import here
from clockscope.model import comparison, experiment_result
from clockscope._core import Trace
from clockscope.commands import launch, record
from clockscope.commands.diff import add_tolerance
from clockscope.base.errors import UserError
from clockscope.reports import experiment as report
from clockscope.base.ui import Ui, damage_noted

NAME = "experiment"
SUMMARY = "record a boot in which something is changed, and say what that changed"
NEEDS = "guest"
COMPLETE = {**record.COMPLETE, "baseline": "file"}
EXAMPLES = (
    "--baseline healthy.trace --return native_calibrate_tsc=2000000 --until clock.registered:tsc-early",
    "--baseline failing.trace --force tsc_read_refs:330=taken --until exit",
)
NOTES = """\
A guest that `clock launch` started is started again, unless it still stands at its beginning; your own breakpoints stay.
Without --until and --functions, those of the baseline's recording hold.

Exit status: 0 nothing changed, 1 something did, 2 trouble.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baseline", metavar="FILE", required=True, help="the trace of a boot without the change")
    record.add_options(parser)
    add_tolerance(parser)
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def run(args: argparse.Namespace, ui: Ui) -> int:
    if not wish.wishes(args):
        raise UserError("an experiment changes something: give --force, --set or --return; see `help clock experiment`")
    _as_baseline(args)
    if args.output and os.path.realpath(args.output) == os.path.realpath(args.baseline):
        raise UserError(f"{args.output} is the baseline: the experiment's trace needs a name of its own")
    record.check_free()
    _fresh_guest(ui)
    current = record.start(args, ui)
    record.run_guest(current, ui)
    if here().recording is current:
        return 2  # the guest stopped before; that has been said
    result = experiment_result.compare((args.baseline, current.path), args.ppm, ui.progress)
    ui.out(json.dumps(result, indent=2) if args.format == "json" else report.experiment(result, ui))
    return damage_noted(result["diff"]["damage"], ui) or comparison.status(result["diff"])


def _as_baseline(args: argparse.Namespace) -> None:
    """What was not asked for is recorded as it was in the baseline."""
    with Trace(args.baseline) as baseline:
        facts = baseline.meta()
        damage = baseline.timeline()["damage"]
    if damage is not None:  # better before the boot than after it
        raise UserError(damage)
    args.until = args.until or facts.get("plan.until") or "idle"
    args.functions = args.functions or facts.get("plan.functions", "")


def _fresh_guest(ui: Ui) -> None:
    """Have a guest that stands at its beginning."""
    made = here().connection
    if made is not None and made.relay.state == "stopped" and made.relay.run_ns() == 0 and not made.replay:
        return
    if made is not None and made.guest is None:
        raise UserError(
            "your guest has run, and was not started by `clock launch`: start it anew, attach, and try again"
        )
    if made is not None:
        with console.setting("confirm", "off"):
            console.execute("kill")
    launch.again(ui)
