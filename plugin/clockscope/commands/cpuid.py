# SPDX-License-Identifier: MIT
"""`cpuid FILE|live [LEAF]`: what a guest is told about its clocks."""

import argparse
import json

from clockscope.model import told
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.reports import cpuid as report
from clockscope.model.told import Told
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "cpuid"
SUMMARY = "print the CPUID leaves and MSRs that a guest is told of its clocks, decoded"
NEEDS = "trace"
COMPLETE = {"source": "file"}
EXAMPLES = ("boot.trace", "boot.trace 0x80000007")
GDB_EXAMPLES = ("live 0x1",)
NOTES = """\
`live` has the guest that is attached in GDB execute one cpuid and rdmsr of its own kernel after the other, and puts it back
as it was. It must have run into a breakpoint (`tbreak FUNCTION`, `continue`): where Ctrl-C stopped it, an access to a device
may be half done. Not possible in a replay.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE|live", nargs="?", help=f"{TRACE_HELP}; or the attached guest")
    parser.add_argument("leaf", metavar="LEAF", nargs="?", type=_leaf, help="one leaf only, such as 0x15")
    parser.add_argument(
        "--end", action="store_true", help="as it was at the end of the recording, not at the beginning"
    )
    parser.add_argument("--format", choices=("json", "text"), default="text", help="text (the default) or json")


def _leaf(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f"a CPUID leaf such as 0x15 is expected, not {text!r}")
    return value


def run(args: argparse.Namespace, ui: Ui) -> int:
    moment = told.END if args.end else told.BEGIN
    source = args.source if args.source == "live" else trace_meant(args.source, ui)
    found = _live() if source == "live" else _recorded(source, moment)
    if args.leaf is not None and not any(leaf == args.leaf for leaf, _ in found.leaves):
        leaves = ", ".join(dict.fromkeys(f"{leaf:#x}" for leaf, _ in found.leaves))
        raise UserError(
            f"leaf {args.leaf:#x} was not read: the guest has no such leaf, or it is not about clocks; there are {leaves}"
        )
    if args.format == "json":
        ui.out(json.dumps(report.content(found, args.leaf), indent=2))
    else:
        ui.out(report.tables(found, args.leaf, ui, "the attached guest" if source == "live" else source))
    return 0


def _recorded(name: str, moment: str) -> Told:
    with Trace(name) as trace:
        found = told.of_trace(trace, moment)
    if not found.leaves:
        why = found.refused[0] if found.refused else "the recording was a replay, or ended before the first event"
        raise UserError(f"{name} holds no CPUID leaves: {why}")
    return found


def _live() -> Told:
    try:
        from clockscope.gdbside import symbols
        from clockscope.live import borrowing, connection, traced_kernel
    except ModuleNotFoundError as error:
        raise UserError("live: there is no guest outside GDB; there it is `clock cpuid live`") from error
    from clockscope.kernel.elffile import ElfFile

    relay = connection.require_standing().relay
    path = symbols.symbol_file()
    if path is None:
        raise UserError("GDB has no symbols of your guest: load its kernel's debug ELF with `file vmlinux`")
    elf = ElfFile(path)
    found = borrowing.Lender(relay, elf, traced_kernel.offset_of(elf), profile.recognise(elf)).read_told()
    if not found.leaves:
        raise UserError(f"nothing could be read: {found.refused[0]}")
    return found
