# SPDX-License-Identifier: MIT
"""`callers [ELF] FUNCTION`: who calls a function, who holds its address, and how the boot can come to it."""

from clockscope.live import chosen_kernel
from clockscope._core import Xref
from clockscope.reports import xref
from clockscope.base.ui import Ui

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

NAME = "callers"
SUMMARY = "list the calls of a function, and the shortest paths to it from the kernel's beginning"
NEEDS = "nothing"
COMPLETE = {"elf": "file", "function": "function"}
EXAMPLES = ("vmlinux tsc_refine_calibration_work", "netbsd.gdb tc_init")
GDB_EXAMPLES = ("tsc_refine_calibration_work",)


def prepare_parser(parser: "argparse.ArgumentParser") -> None:
    xref.add_arguments(parser, "function", "NAME, FILE:NAME or 0xADDRESS")


def run(args: "argparse.Namespace", ui: Ui) -> int:
    answer = Xref(chosen_kernel.chosen(args.elf, "function", args.function)).callers(args.function)
    ui.out(xref.format_callers(answer, args.format, ui))
    return 0
