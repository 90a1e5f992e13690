# SPDX-License-Identifier: MIT
"""Arguments by argparse: the program's parser, and what both fronts give a verb's. Slow to import (see plain.py)."""

import argparse
import os
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

from clockscope import __version__
from clockscope.base import places
from clockscope.base.ui import one_line
from clockscope.front import mistakes, verbs
from clockscope.front.verbs import Verb

DESCRIPTION = "Show how a guest kernel brought up its clocks, from a trace that was recorded in GDB."
EXAMPLES = f"""\
examples:
  clockscope timeline boot.trace
  clockscope timeline --format json boot.trace | jq '.clocks[].name'

Record a trace in GDB: `source {places.SOURCED}`, then `help clockscope`.
Exit status: 0 done, 1 a difference was found, 2 trouble.
"""

_TROUBLE = 2


class Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. Argparse makes one for each option; that of its own imports much to know the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """As shutil.get_terminal_size() tells it."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """One line for a mistake, instead of the whole usage."""

    def __init__(self, prog: str, **given: "Any") -> None:
        super().__init__(prog, formatter_class=Help, **given)

    def error(self, message: str) -> "NoReturn":
        said = f"{self.prog}: {one_line(mistakes.worded(self, message))}"
        self.exit(_TROUBLE, mistakes.with_help(said, f"{self.prog} --help") + "\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
        parser.exit(0, f"{places.version(__version__)}\n")


def prepare(parser: argparse.ArgumentParser, verb: Verb, *, in_gdb: bool) -> None:
    """Give a front's parser for a verb its options and its help."""
    parser.description = f"{verb.SUMMARY[0].upper()}{verb.SUMMARY[1:]}."
    parser.formatter_class = Help
    notes = str(getattr(verb, "NOTES", ""))
    lines = "".join(f"  {parser.prog} {example}".rstrip() + "\n" for example in verbs.examples(verb, in_gdb=in_gdb))
    parser.epilog = (f"{notes}\n" * bool(notes) + f"examples:\n{lines}").replace("%", "%%")
    verb.prepare_parser(parser)
    if any("--format" in one.option_strings and "text" in (one.choices or ()) for one in parser._actions):
        verbs.add_colour(parser)


def make_parser(offered: Sequence[Verb]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="clockscope",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the program's version and exit"
    )
    # Its `prog` is given, or argparse formats one, and imports what that needs.
    choices = parser.add_subparsers(prog="clockscope", metavar="VERB", dest="verb", required=True)
    for verb in offered:
        own = choices.add_parser(verb.NAME, help=verb.SUMMARY)
        prepare(own, verb, in_gdb=False)
        own.set_defaults(run=verb.run)
    return parser
