# SPDX-License-Identifier: MIT
"""`writers [ELF] VARIABLE`: every instruction in the kernel that stores to a variable."""

from clockscope.live import chosen_kernel
from clockscope._core import Xref
from clockscope.reports import xref
from clockscope.base.ui import Ui

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

NAME = "writers"
SUMMARY = "list every instruction in a kernel that stores to a variable"
NEEDS = "nothing"
COMPLETE = {"elf": "file", "variable": "variable"}
EXAMPLES = ("vmlinux tsc_khz", "vmlinux clocksource_tsc.rating", "netbsd.gdb lapic_per_second --format json")
GDB_EXAMPLES = ("tsc_khz",)


def prepare_parser(parser: "argparse.ArgumentParser") -> None:
    xref.add_arguments(parser, "variable", xref.VARIABLE_HELP)


def run(args: "argparse.Namespace", ui: Ui) -> int:
    answer = Xref(chosen_kernel.chosen(args.elf, "variable", args.variable)).writers(args.variable)
    ui.out(xref.format_accesses(answer, "writers", args.format, ui))
    return 0
