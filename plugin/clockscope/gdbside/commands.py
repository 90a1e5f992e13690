# SPDX-License-Identifier: MIT
"""Adding GDB commands and parameters."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

from collections.abc import Callable, Iterable

import gdb

from clockscope.base.errors import UserError
from clockscope.base.ui import one_line
from clockscope.gdbside.console import expand


class Refusal(gdb.GdbError):
    """An expected failure of a command: GDB prints its text and nothing else."""


def add_command(name: str, text: str, run: Callable[[list[str], bool], None], complete: "Completer | None") -> None:
    """Add a GDB command. `run` gets its words, and whether a person typed it. Without a completer, it is a prefix."""

    class Command(gdb.Command):
        __doc__ = text

        def invoke(self, argument: str, from_tty: bool) -> None:
            run([expand(word) for word in gdb.string_to_argv(argument)], from_tty)

    if complete is None:
        Command(name, gdb.COMMAND_RUNNING, gdb.COMPLETE_COMMAND, prefix=True)
        return
    completer = complete

    def offer(_self: gdb.Command, typed: str, word: str | None) -> object:
        return completer(typed, word or "")

    Command.complete = offer
    Command(name, gdb.COMMAND_RUNNING)


def alias(name: str, command: str) -> bool:
    """Make a command known by a shorter name; False where the user has given that name to something else."""
    try:
        gdb.execute(f"alias {name} = {command}", to_string=True)
    except gdb.error:
        return False
    return True


Completer = Callable[[str, str], list[str]]

"""What is typed, and what GDB takes for its last word -> what may stand for that word."""


def add_parameter(name: str, default: int | str, text: str, check: Callable[[str], None] | None = None) -> None:
    """Add a setting: a whole number, or text; `default` is what it is to begin with. `text` says what it is, from "the …" on. `check` raises UserError for a text
    that it cannot be."""
    kind = gdb.PARAM_ZUINTEGER if isinstance(default, int) else gdb.PARAM_STRING

    class Parameter(gdb.Parameter):
        __doc__ = f"{text[0].upper()}{text[1:]}."
        set_doc = f"Set {text}."
        show_doc = f"Show {text}."

        kept = default

        def get_set_string(self) -> str:
            if check is not None:
                try:
                    check(str(self.value or ""))
                except UserError as error:
                    self.value = self.kept
                    raise Refusal(one_line(str(error))) from None
            self.kept = self.value
            return ""

        def get_show_string(self, value: str) -> str:
            return f"{text[0].upper()}{text[1:]}: {value or '(not set)'}."

    Parameter(name, gdb.COMMAND_RUNNING, kind).value = default


def add_setting_prefix(name: str, text: str, settings: Iterable[str]) -> None:
    """Make `set NAME …` and `show NAME …` known; `show NAME` alone shows each of these settings."""

    class SetPrefix(gdb.Command):
        __doc__ = f"Set {text}."

        def invoke(self, argument: str, from_tty: bool) -> None:
            raise gdb.GdbError(f'"set {name}" must be followed by the name of a setting; `help set {name}` lists them')

    class ShowPrefix(gdb.Command):
        __doc__ = f"Show {text}."

        def invoke(self, argument: str, from_tty: bool) -> None:
            for setting in settings:
                gdb.write(f"{setting.removeprefix(name).strip()}:  ")
                gdb.execute(f"show {setting}", from_tty)

    SetPrefix(f"set {name}", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, prefix=True)
    ShowPrefix(f"show {name}", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, prefix=True)
