# SPDX-License-Identifier: MIT
"""`readers [ELF] VARIABLE`, `writers [ELF] VARIABLE`: every instruction in the kernel that loads from a variable, or stores
to it."""

from clockscope.live import chosen_kernel
from clockscope._core import Xref
from clockscope.reports import xref
from clockscope.base.ui import Ui

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


class _Accesses:
    """One of the two verbs."""

    NEEDS = "nothing"
    COMPLETE = {"elf": "file", "variable": "variable"}
    EXAMPLES = ("vmlinux tsc_khz", "vmlinux clocksource_tsc.rating", "netbsd.gdb lapic_per_second --format json")
    GDB_EXAMPLES = ("tsc_khz",)

    def __init__(self, name: str, access: str) -> None:
        self.NAME = name
        self.SUMMARY = f"list every instruction in a kernel that {access} a variable"

    def prepare_parser(self, parser: "argparse.ArgumentParser") -> None:
        xref.add_arguments(parser, "variable", xref.VARIABLE_HELP)

    def run(self, args: "argparse.Namespace", ui: Ui) -> int:
        kernel = Xref(chosen_kernel.chosen(args.elf, "variable", args.variable))
        answer = (kernel.readers if self.NAME == "readers" else kernel.writers)(args.variable)
        ui.out(xref.format_accesses(answer, self.NAME, args.format, ui))
        return 0


VERBS = {verb.NAME: verb for verb in (_Accesses("readers", "loads from"), _Accesses("writers", "stores to"))}
