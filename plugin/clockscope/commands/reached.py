# SPDX-License-Identifier: MIT
"""`reached FILE GLOB`: which of these functions ran in a trace, which not, and why not."""

import argparse

from clockscope.model import changes_made, reach
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.commands.path import SOURCE_HELP, source_of
from clockscope.kernel.elffile import ElfFile
from clockscope.reports import reached
from clockscope.base.ui import TRACE_HELP, Ui, trace_meant

NAME = "reached"
SUMMARY = "tell which functions ran in a recorded boot, and what kept it from the others"
NEEDS = "trace"
COMPLETE = {"file": "file", "glob": "traced", "elf": "file", "source": "file"}
EXAMPLES = ("boot.trace 'tsc_*'", "boot.trace 'pvclock_*' --elf vmlinux")
NOTES = """\
Of a function that did not run, the decisions are told that led past its calls, and past the calls of those who call it, as far
up as the trace or the kernel's ELF file knows callers. With --elf, functions are found as well of which the trace knows
nothing, and those that are only inlined. In GDB, the symbol file is taken where it is the recorded kernel's.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help=TRACE_HELP)
    parser.add_argument("glob", metavar="GLOB", help="a function's name, or a pattern such as 'tsc_*'")
    parser.add_argument(
        "--elf", metavar="ELF", help="the kernel: adds callers, and functions that the trace does not know"
    )
    parser.add_argument("--source", metavar="DIR", help=SOURCE_HELP)
    parser.add_argument("--format", choices=["json", "text"], default="text", help="text (the default) or json")


def _kernel_of(trace: Trace, file: str, given: str | None) -> str | None:
    """The ELF file of the recorded kernel: that which was named, or GDB's."""
    recorded = trace.meta().get("guest.build_id", "")
    if given is not None:
        own = ElfFile(given).build_id
        if own and recorded and own != recorded:
            raise UserError(
                f"{given} is not the kernel of {file}: its build id is {own[:12]}, the recorded one's {recorded[:12]}"
            )
        return given
    try:
        from clockscope.gdbside import symbols
    except ModuleNotFoundError as error:
        if error.name != "gdb":
            raise
        return None
    loaded = symbols.symbol_file()
    return loaded if loaded and recorded and ElfFile(loaded).build_id == recorded else None


def run(args: argparse.Namespace, ui: Ui) -> int:
    file = trace_meant(args.file, ui)
    with Trace(file) as trace:
        elf = _kernel_of(trace, file, args.elf)
        kernel = reach.kernel(elf) if elf else None
        functions = reach.examine(trace, args.glob, kernel, source_of(trace, args.source))
        changed = changes_made.of(trace)
    if not functions:
        advice = "" if elf else "; --elf names the kernel, for functions that it does not know"
        said = f"no function '{args.glob}' in {elf or file}{advice}"
        if not any(mark in args.glob for mark in "*?["):
            raise UserError(said)
        ui.note(f"{said[0].upper()}{said[1:]}.")  # to a pattern, that is an answer: a sourced script goes on
    ui.out(
        reached.format_reached({"interventions": changed, "functions": functions}, args.format, ui, file, elf is None)
    )
    return 0
