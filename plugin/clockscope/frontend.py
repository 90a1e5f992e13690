# SPDX-License-Identifier: MIT
"""The verbs as GDB commands: `clockscope VERB …`, alias `clock`, and their settings."""

import argparse
from typing import NoReturn

from clockscope import advice, debugger, recording, settings, verbs
from clockscope._core import Error
from clockscope.errors import UserError
from clockscope.guests import profile
from clockscope.ui import one_line
from clockscope.verbs import Verb

PREFIX = settings.PREFIX
ALIAS = "clock"
HELP = """Show how a guest kernel brings up its clocks.

Start a guest, record its boot, print the timeline:
  file vmlinux
  clock launch -- qemu-system-x86_64 -m 512 -kernel vmlinux -append console=ttyS0 -display none
  clock record -o boot.trace --until idle
  clock timeline boot.trace

`clock` is short for `clockscope`."""

_registered = False


class _Leave(Exception):
    """The parser has said all: help was asked for."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see `help {self.prog}`")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _Leave(message or "")

    def _print_message(self, message: str, file: object = None) -> None:
        debugger.Ui().out(message)


def register() -> None:
    """Add the commands and settings to GDB, once."""
    global _registered
    if _registered:
        return
    _registered = True
    recording.watch_session()
    debugger.add_command(PREFIX, HELP, _advise, None)
    debugger.alias(ALIAS, PREFIX)
    debugger.add_setting_prefix(PREFIX, "how clockscope behaves")
    for setting in settings.ALL:
        debugger.add_parameter(setting.full_name, setting.default, setting.text)
    for name in verbs.names():
        _register_verb(verbs.load(name))


def _register_verb(verb: Verb) -> None:
    parser = make_parser(verb)
    debugger.add_command(
        f"{PREFIX} {verb.NAME}",
        _help_of(parser),
        lambda words: _run(verb, words),
        lambda typed, word: _complete(verb, typed, word),
    )


def make_parser(verb: Verb) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{ALIAS} {verb.NAME}")
    verbs.prepare(parser, verb, in_gdb=True)
    return parser


def _help_of(parser: argparse.ArgumentParser) -> str:
    """GDB shows the first line in its lists of commands, and all of it for `help`."""
    return f"{parser.description}\n\n{parser.format_help()}".rstrip()


def _run(verb: Verb, words: list[str]) -> None:
    try:
        normalise = getattr(verb, "normalise", list)
        args = make_parser(verb).parse_args(normalise(words))
        verb.run(args, debugger.Ui())
    except _Leave:
        return
    except (Error, UserError) as error:
        raise debugger.Refusal(one_line(str(error))) from None


def _advise(words: list[str]) -> None:
    """`clock` alone: what to do next."""
    if words:
        raise debugger.Refusal(f"clock: no such command: {one_line(words[0])}; `help clock` lists them")
    debugger.Ui().out(advice.next_step())


def _complete(verb: Verb, typed: str, word: str) -> list[str] | str:
    """Words that may stand at the end of what is typed, or the kind of thing."""
    start = "" if typed.endswith(" ") or not typed else typed.split()[-1]
    if start.startswith("-"):
        options = [name for action in _actions(verb) for name in action.option_strings]
        # What GDB takes to be the word begins after the last dash.
        return [name[len(start) - len(word) :] for name in options if name.startswith(start)]
    action = _expected(verb, typed)
    if action is None:
        return "nothing"
    if action.choices is not None:
        return [str(choice) for choice in action.choices if str(choice).startswith(word)]
    kind = verb.COMPLETE.get(action.dest, "nothing")
    if kind == "profile":
        return [name for name in profile.names() if name.startswith(word)]
    if kind == "event":
        return [name for name in ("idle", "exit", *profile.vocabulary()) if name.startswith(word)]
    return str(kind)


def _actions(verb: Verb) -> list[argparse.Action]:
    return make_parser(verb)._actions


def _expected(verb: Verb, typed: str) -> argparse.Action | None:
    """The option or argument whose value is typed last."""
    words = typed.split()
    if typed and not typed.endswith(" "):
        words = words[:-1]
    actions = _actions(verb)
    options = {name: action for action in actions for name in action.option_strings}
    if words and words[-1] in options and options[words[-1]].nargs != 0:
        return options[words[-1]]
    places = [action for action in actions if not action.option_strings]
    taken = 0
    for previous, word in zip(["", *words], words):
        takes_value = previous in options and options[previous].nargs != 0
        taken += not word.startswith("-") and not takes_value
    return places[min(taken, len(places) - 1)] if places else None
