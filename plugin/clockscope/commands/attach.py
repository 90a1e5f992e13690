# SPDX-License-Identifier: MIT
"""`attach HOST:PORT|SOCKET`: put the relay between GDB and the stub of a guest that runs somewhere."""

import argparse

from clockscope.live import connection
from clockscope.base.ui import Ui

NAME = "attach"
SUMMARY = "attach to the gdbstub of a guest"
NEEDS = "gdb"
COMPLETE = {"address": "file"}
EXAMPLES = ("localhost:1234", "/run/guest/gdb.socket")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT|SOCKET", help="where the stub listens")


def run(args: argparse.Namespace, ui: Ui) -> int:
    connection.check_free()
    connection.establish(args.address, None, ui)
    ui.note(f"Attached to {args.address}. Next: `clock record`.")
    return 0
