# SPDX-License-Identifier: MIT
"""The verbs as GDB commands: `clockscope VERB …`, alias `clock`, and their settings."""

import argparse
from typing import NoReturn

from clockscope.base import settings, settings_file
from clockscope.front import advice, completion, mistakes, parsing, verbs
from clockscope.gdbside import commands, console, symbols
from clockscope.profiles import profile
from clockscope.live import private_folders, session
from clockscope._core import Error
from clockscope.base.errors import UserError
from clockscope.base.ui import one_line
from clockscope.front.verbs import Verb

PREFIX = settings.PREFIX
ALIAS = "clock"
HELP = """Show how a guest kernel brings up its clocks.

Start a guest, record its boot, print the timeline:
  file vmlinux
  clock launch -- qemu-system-x86_64 -m 512 -kernel vmlinux -append console=ttyS0 -display none
  clock record -o boot.trace --until idle
  clock timeline boot.trace

`clock` is short for `clockscope`; alone, it says what to do next. Verbs that read a trace take the one that was
written last where none is named; $clockscope_trace is its path, wherever a file is expected."""
INFO_HELP = "Say which guest is attached, what is recorded, and which trace was written last."

_registered = False


def _check_profile(value: str) -> None:
    if value:
        profile.load(value)


def _check_breakpoints(value: str) -> None:
    if value not in _BREAKPOINTS:
        expected = " or ".join(_BREAKPOINTS)
        raise UserError(f"set {settings.BREAKPOINTS.full_name}: {expected} is expected, not {one_line(value)!r}")


_BREAKPOINTS = ("auto", "hardware")
_CHECKS = {settings.PROFILE: _check_profile, settings.BREAKPOINTS: _check_breakpoints}
"""They raise UserError for a value that a setting cannot have."""


class _Leave(Exception):
    """The parser has said all: help was asked for."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(mistakes.with_help(f"{self.prog}: {mistakes.worded(self, message)}", f"`help {self.prog}`"))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _Leave(message or "")

    def _print_message(self, message: str, file: object = None) -> None:
        console.Ui().out(message)


def register() -> None:
    """Add the commands and settings to GDB, once."""
    global _registered
    if _registered:
        return
    _registered = True
    private_folders.sweep()
    session.watch_session()
    commands.add_command(PREFIX, HELP, _advise, None)
    if not commands.alias(ALIAS, PREFIX):
        console.Ui().note(f"You have a command `{ALIAS}` already: where {PREFIX} says `{ALIAS}`, type `{PREFIX}`.")
    commands.add_command(f"info {PREFIX}", INFO_HELP, _tell, lambda _typed, _word: [])
    commands.add_setting_prefix(PREFIX, "how clockscope behaves", [setting.full_name for setting in settings.ALL])
    kept, wrong = settings_file.read(_CHECKS)
    for setting in settings.ALL:
        commands.add_parameter(
            setting.full_name, kept.get(setting, setting.default), setting.text, _CHECKS.get(setting)
        )
    for note in wrong:
        console.Ui().note(f"clockscope: {note}")
    for name in verbs.names():
        _register_verb(verbs.load(name))


def _register_verb(verb: Verb) -> None:
    parser = make_parser(verb)
    commands.add_command(
        f"{PREFIX} {verb.NAME}",
        _help_of(parser),
        lambda words, typed: _run(verb, words, console.Ui(typed=typed)),
        lambda typed, word: completion.tails(_complete(verb, typed), typed, word),
    )


def make_parser(verb: Verb) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{ALIAS} {verb.NAME}")
    parsing.prepare(parser, verb, in_gdb=True)
    return parser


def _help_of(parser: argparse.ArgumentParser) -> str:
    """GDB shows the first line in its lists of commands, and all of it for `help`."""
    return f"{parser.description}\n\n{parser.format_help()}".rstrip()


def _run(verb: Verb, words: list[str], ui: console.Ui) -> None:
    try:
        normalise = getattr(verb, "normalise", list)
        args = make_parser(verb).parse_args(normalise(words))
        verbs.dress(args, ui)
        verb.run(args, ui)
    except _Leave:
        return
    except (Error, UserError, console.Error) as error:
        raise commands.Refusal(one_line(" ".join(str(error).splitlines()))) from None
    finally:
        ui.close()


def _advise(words: list[str], _typed: bool) -> None:
    """`clock` alone: what to do next."""
    if words:
        close = mistakes.meant(words[0], verbs.names())
        raise commands.Refusal(f"clock: no such command: {one_line(words[0])}{close}; `help clock` lists them")
    console.Ui().out(advice.next_step())


def _tell(_words: list[str], _typed: bool) -> None:
    """`info clockscope`: where things stand."""
    console.Ui().out(advice.overview())


def _complete(verb: Verb, typed: str) -> list[str]:
    known = completion.Known(elf=symbols.symbol_file(), trace=console.last_trace())
    return completion.complete(verb, make_parser(verb), typed, known)
