# SPDX-License-Identifier: MIT
"""The manual page of the program, made of what its verbs declare: `python3 -m clockscope.front.manual >clockscope.1`."""

import argparse
import re
from collections.abc import Iterator

from clockscope import __version__
from clockscope.front import cli, parsing, verbs
from clockscope.front.verbs import Verb

_HEAD = r""".TH CLOCKSCOPE 1 "" "clockscope {version}" "User Commands"
.SH NAME
clockscope \- show how a guest kernel brought up its clocks
.SH SYNOPSIS
.B clockscope
.I VERB
.RI [ OPTION .\|.\|.]
.RI [ ARGUMENT .\|.\|.]
.br
.B clockscope
.I VERB
.B \-\-help
.SH DESCRIPTION
.B clockscope
reads traces, each the record of one boot of one guest, and debug ELF files of kernels. It needs no GDB. Traces are
recorded in GDB, after
.BR "source plugin/clockscope.py" ;
there each verb below is
.BI "clock " VERB
too, and
.B help clockscope
tells of those that need a guest:
.BR {only_in_gdb} .
.SH COMMANDS
"""

_TAIL = r""".SH EXIT STATUS
0: done. 1: a difference, or something wrong with the guest, was found. 2: trouble.
.SH ENVIRONMENT
.TP
.B NO_COLOR
Where it is set, no colours are used. There are none either where the output is no terminal.
.SH FILES
.TP
.I *.trace
An SQLite file; schemas/trace.sql describes its tables.
.SH SEE ALSO
.BR gdb (1),
.BR qemu\-system\-x86_64 (1),
.BR sqlite3 (1)
"""


def _escape(text: str) -> str:
    """Text as roff takes it literally."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _name(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        value = "|".join(map(str, action.choices))
    if not action.option_strings:
        return rf"\fI{_escape(value)}\fR"
    names = ", ".join(rf"\fB{_escape(name)}\fR" for name in action.option_strings)
    return names if action.nargs == 0 else rf"{names} \fI{_escape(value)}\fR"


def _verb(verb: Verb) -> Iterator[str]:
    parser = argparse.ArgumentParser(prog=f"clockscope {verb.NAME}")
    parsing.prepare(parser, verb, in_gdb=False)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=10_000)
    usage = parser.format_usage().removeprefix("usage: ").replace("[-h] ", "").strip()
    yield f".SS {_escape(usage)}\n{_escape(parser.description or '')}\n"
    for action in parser._actions:
        if action.dest != "help" and action.help != argparse.SUPPRESS:
            said = (action.help or "") % {"default": action.default}
            yield f".TP\n{_name(action)}\n{_escape(said)}\n"
    notes = str(getattr(verb, "NOTES", "")).strip()
    if notes:
        yield f".PP\n{_escape(notes)}\n".replace("\n\n", "\n.PP\n")
    lines = "\n".join(f"clockscope {verb.NAME} {example}" for example in verbs.examples(verb, in_gdb=False))
    yield f".PP\n.EX\n{_escape(lines)}\n.EE\n"


def page() -> str:
    """The page, in man(7)'s macros."""
    offered = cli.find_verbs([])
    only_in_gdb = [name for name in verbs.names() if name not in {verb.NAME for verb in offered}]
    head = _HEAD.format(version=__version__, only_in_gdb=" ,\n.BR ".join(only_in_gdb))
    return head + "".join(line for verb in offered for line in _verb(verb)) + _TAIL


if __name__ == "__main__":
    print(page(), end="")
