# SPDX-License-Identifier: MIT
"""`record`: arm a recording of the attached guest, and perhaps let the guest run until something happens."""

import argparse

from clockscope.gdbside import console
from clockscope.kernel import wish
from clockscope.live import branches, changer, connection, relocation, session, traced_kernel
from clockscope.base.errors import UserError
from clockscope.live.gdb_session import here
from clockscope.profiles.profile import Branches
from clockscope.live.session import Goal, Recording
from clockscope.base.ui import Ui

NAME = "record"
SUMMARY = "record how the attached guest brings up its clocks"
NEEDS = "guest"
COMPLETE = {
    "output": "file",
    "functions": "function",
    "watch": "variable",
    "profile": "profile",
    "until": "event",
    **wish.COMPLETE,
}
EXAMPLES = (
    "-o early.trace --until clock.selected:tsc-early",
    "-o forced.trace --force tsc_read_refs:330=not,times=2 --until clock.registered:acpi_pm",
    "--watch tsc_khz --until variable.written:tsc_khz",
    "--functions 'pvclock_*,tsc_*' --boots 2",
    "--stop",
    "-o boot.trace --until exit",
)
NOTES = """\
Without --until, the recording is armed and you go on as you like: your own breakpoints, stepping and Ctrl-C work.
It ends with --stop, with the guest, or when GDB lets go of it. With --until, the guest runs until that happens:
an event (such as clock.registered, or clock.registered:tsc), "idle" (no event for `show clockscope idle-seconds`, and the boot awaits none),
or "exit".

A trace is one boot: it ends where your guest restarts. With --boots the next boot goes to the next trace, whose name is
one that no file has, and --until counts in the last of them.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--stop", action="store_true", help="end the recording")
    parser.add_argument(
        "--boots",
        metavar="N",
        type=_positive,
        default=1,
        help="record N boots, each to a trace of its own (boot.trace, boot-2.trace, …), when your guest restarts",
    )


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on is expected, not {text!r}")
    return number


def add_options(parser: argparse.ArgumentParser) -> None:
    """How a recording is made."""
    parser.add_argument("-o", "--output", metavar="FILE", help="the trace (default: clockscope-DATE-TIME.trace)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    parser.add_argument(
        "--functions",
        metavar="F,…",
        default="",
        help="count the calls of these functions, and trace their branches instead of the profile's; patterns such as"
        " 'tsc_*'",
    )
    parser.add_argument(
        "--watch",
        metavar="VAR,…",
        default="",
        help="record each write to these variables or fields, such as lapic_timecounter.tc_quality",
    )
    parser.add_argument("--no-branches", action="store_true", help="record events and counts only")
    parser.add_argument("--intrusive", action="store_true", help="trace branches within timing windows too")
    parser.add_argument(
        "--until", metavar="EVENT|idle|exit", help="let the guest run until then, and end the recording"
    )
    parser.add_argument("--profile", metavar="P", help="the guest profile, by name or file")
    wish.add_options(parser)


def run(args: argparse.Namespace, ui: Ui) -> int:
    if args.stop:
        return _stop()
    current = start(args, ui)
    if current.goal is None:
        ui.note(f"Recording to {current.path}; continue your guest; `clock record --stop` ends the recording.")
    else:
        run_guest(current, ui)
    return 0


def check_free() -> None:
    """UserError while something is being recorded."""
    recording = here().recording
    if recording is not None:
        raise UserError(f"a recording to {recording.path} is under way: `clock record --stop` ends it")


def start(args: argparse.Namespace, ui: Ui) -> Recording:
    """Plant what is to be recorded, and changed, in the guest that stands."""
    check_free()
    made = connection.require_standing()
    wishes = wish.wishes(args)
    if wishes and made.replay:
        raise UserError(f"--{wishes[0].kind}: a replay cannot be changed; start the guest itself, not its replay")
    placed = relocation.settle(made, ui)
    found = traced_kernel.prepare(args.profile, session.names_of(args.functions), session.names_of(args.watch))
    boots = getattr(args, "boots", 1)  # an experiment is one boot
    moves = found.offset or placed.early or placed.at_start
    slot = relocation.slot(found.elf) if moves and boots > 1 else None
    if slot is not None and not (args.until and relocation.can_follow(made, found.elf)):
        why = (
            "your guest's stub has no watchpoint to spare to see the next one by"
            if args.until
            else "give --until as well"
        )
        raise UserError(
            f"--boots: your guest's kernel lies elsewhere in each boot (KASLR): {why}, or boot it with nokaslr"
        )
    current = Recording(
        made,
        found,
        args.output or session.default_path(),
        force=args.overwrite,
        goal=Goal.parse(args.until, found) if args.until else None,
        branches=_branches(args, found),
        intrusive=args.intrusive,
        interventions=changer.prepare(wishes, found),
        boots=boots,
        at_start=placed.at_start,
        early=placed.early,
        slot=slot,
    )
    current.note("plan.functions", args.functions)
    for line in current.arm():
        ui.note(line)
    if placed.at_start:
        current.begin_here()
    return current


def _branches(args: argparse.Namespace, found: traced_kernel.Target) -> Branches:
    """Which functions' branches to trace."""
    default = found.profile.branches if found.profile else Branches()
    if args.no_branches:
        return branches.chosen(default, [])
    names = session.names_of(args.functions)
    return branches.chosen(default, names) if names else default


def _stop() -> int:
    recording = here().recording
    if recording is None:
        raise UserError("nothing is being recorded: `clock record` begins")
    connection.require_standing()
    recording.stop()
    return 0


def run_guest(current: Recording, ui: Ui) -> None:
    """Let the guest run until the recording's goal, or whatever stops it before."""
    ui.note(f"Recording to {current.path} until {current.goal}.")
    try:
        console.execute("continue")
        while (recording := here().recording) is not None and recording.waits_on:
            recording.waits_on = False
            console.execute("continue")
    except console.Error as error:
        if here().recording is not None:
            raise UserError(f"your guest cannot go on: {error}") from error
        return  # the connection was lost: that has been said
    if here().recording is not None:
        ui.note(
            f"Your guest stopped before {current.goal}; the recording goes on. `continue`, or `clock record --stop`."
        )
