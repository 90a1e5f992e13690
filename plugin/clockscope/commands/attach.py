# SPDX-License-Identifier: MIT
"""`attach HOST:PORT|SOCKET`: put the relay between GDB and the stub of a guest that runs somewhere."""

import argparse

from clockscope import connection
from clockscope.ui import Ui

NAME = "attach"
SUMMARY = "attach to the gdbstub of a guest"
NEEDS = "guest"
COMPLETE = {"address": "file"}
EXAMPLES = """\
examples:
  %(prog)s localhost:1234
  %(prog)s /run/guest/gdb.socket
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT|SOCKET", help="where the stub listens")
    parser.epilog = EXAMPLES


def run(args: argparse.Namespace, ui: Ui) -> int:
    connection.check_free()
    connection.establish(args.address, None, ui)
    ui.note(f"Attached to {args.address}. Next: `clock record`.")
    return 0
