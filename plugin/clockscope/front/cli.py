# SPDX-License-Identifier: MIT
"""The program `clockscope`: the commands that need no live guest, outside GDB."""

import io
import os
import sys
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

from clockscope.front import plain, verbs
from clockscope.base.errors import UserError
from clockscope.base.ui import TerminalUi, one_line
from clockscope.front.verbs import Verb

# What a shell reports of a program that SIGINT or SIGPIPE ended.
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_TROUBLE = 2


def find_verbs(arguments: Sequence[str]) -> list[Verb]:
    """The verb that is asked for; where that is not clear, all that can run outside GDB, by name."""
    asked = [name for name in verbs.names() if name in arguments[:1]]
    return _load(asked) or _load(verbs.names())


def _load(names: Sequence[str]) -> list[Verb]:
    """Those of these verbs that can run outside GDB."""
    found = []
    for name in names:
        try:
            verb = verbs.load(name)
        except ModuleNotFoundError as error:
            if error.name != "gdb":
                raise
            continue
        if verb.NEEDS not in verbs.GDB_ONLY:
            found.append(verb)
    return found


def _fail(message: str) -> int:
    sys.stderr.write(f"clockscope: {one_line(message)}\n")
    return _TROUBLE


def _discard_output() -> None:
    """Nobody reads it any more: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complete(line: str, word: str) -> None:
    """For clockscope.bash: what may stand for the last word of a line."""
    from clockscope.front import completion, parsing

    name, space, typed = line.lstrip().partition(" ")[2].lstrip().partition(" ")
    offered = {verb.NAME: verb for verb in find_verbs([name])}
    if not space or name not in offered:
        found = [verb for verb in offered if verb.startswith(name)]
    else:
        verb = offered[name]
        own = parsing.Parser(prog=f"clockscope {name}")
        parsing.prepare(own, verb, in_gdb=False)
        found = completion.complete(verb, own, typed, completion.Known())
    sys.stdout.write("\n".join(completion.tails(found, line, word)))


def _check_verb(asked: str) -> None:
    """UserError for a verb that there is not, or not here."""
    known = verbs.names()
    if asked.startswith("-") or (asked in known and _load([asked])):
        return
    if asked in known:
        from clockscope.base import places

        raise UserError(f"{asked} works in GDB: `source {places.SOURCED}` there, then `help clock {asked}`")
    from clockscope.front import mistakes

    close = mistakes.meant(asked, known)
    raise UserError(mistakes.with_help(f"there is no verb {asked}{close}", "clockscope --help"))


def _parse(arguments: Sequence[str]) -> "argparse.Namespace":
    if arguments:
        _check_verb(arguments[0])
    offered = find_verbs(arguments)
    args = plain.parse(offered[0], arguments[1:]) if len(offered) == 1 and offered[0].NAME in arguments[:1] else None
    if args:
        return args
    from clockscope.front import parsing

    return parsing.make_parser(offered).parse_args(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        return _run_loaded(arguments)
    except ImportError as error:
        from clockscope.base.extension import explain

        return _fail(explain(error))


def _run_loaded(arguments: Sequence[str]) -> int:
    from clockscope._core import Error

    if arguments[:1] == ["--complete"] and len(arguments) == 3:
        _complete(*arguments[1:])
        return 0
    try:
        args = _parse(arguments)
        ui = TerminalUi()
        verbs.dress(args, ui)
        status: int = args.run(args, ui)
        return status
    except (Error, UserError) as error:
        return _fail(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale may lack a character
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        _discard_output()
        return _fail(f"cannot write the result: {error.strerror}")
