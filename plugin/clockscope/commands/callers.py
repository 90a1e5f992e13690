# SPDX-License-Identifier: MIT
"""`callers [ELF] FUNCTION`: who calls a function, who holds its address, and how the boot can come to it."""

from clockscope.live import chosen_kernel
from clockscope.model import calls
from clockscope._core import NotFoundError, Xref
from clockscope.base.errors import UserError
from clockscope.kernel.elffile import ElfFile
from clockscope.reports import xref
from clockscope.base.ui import Ui

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

NAME = "callers"
SUMMARY = "list the calls of a function, where it is inlined, and the shortest path to each caller"
NEEDS = "nothing"
COMPLETE = {"elf": "file", "function": "function"}
EXAMPLES = ("vmlinux tsc_refine_calibration_work", "netbsd.gdb tc_init")
GDB_EXAMPLES = ("tsc_refine_calibration_work",)


def prepare_parser(parser: "argparse.ArgumentParser") -> None:
    xref.add_arguments(parser, "function", "NAME, FILE:NAME or 0xADDRESS")


def run(args: "argparse.Namespace", ui: Ui) -> int:
    path = chosen_kernel.chosen(args.elf, "function", args.function)
    try:
        answer = calls.callers(Xref(path), args.function)
    except NotFoundError as error:
        if ElfFile(path).section(".debug_info") is not None:
            raise
        raise UserError(f"{error}; without DWARF none tells whether it is inlined") from None
    ui.out(xref.format_callers(answer, args.format, ui))
    return 0
