# SPDX-License-Identifier: MIT
"""`attach HOST:PORT|SOCKET`: put the relay between GDB and the stub of a guest that runs somewhere."""

import argparse

from clockscope.live import connection, relocation
from clockscope.base.ui import Ui

NAME = "attach"
SUMMARY = "attach to the gdbstub of a guest"
NEEDS = "gdb"
COMPLETE = {"address": "file"}
EXAMPLES = ("localhost:1234", "/run/guest/gdb.socket")
NOTES = """\
A replay that QEMU was started with (-icount …,rr=replay,…) is recognised, and recorded like one of `clock launch --replay`.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shift", metavar="N", type=_shift, help="of a replay on another machine: the N of its QEMU's -icount shift=N"
    )
    parser.add_argument("address", metavar="HOST:PORT|SOCKET", help="where the stub listens")


def _shift(text: str) -> int:
    if not text.isdigit() or int(text) > 30:
        raise argparse.ArgumentTypeError(f"a number from 0 to 30 is expected, not {text!r}")
    return int(text)


def run(args: argparse.Namespace, ui: Ui) -> int:
    connection.check_free()
    relocation.forget()
    made = connection.establish(args.address, None, ui, args.shift)
    relocation.look(made, ui)
    ui.note(f"Attached to {args.address}. Next: `clock record`.")
    return 0
