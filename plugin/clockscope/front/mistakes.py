# SPDX-License-Identifier: MIT
"""What a mistake in a command line was perhaps meant to be."""

import re
from collections.abc import Iterator

from clockscope.base.likeness import meant as meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_UNKNOWN = re.compile(r"unrecognized arguments: (?P<word>-[\w-]+)")
_BARE_FORCE = "argument --force: expected one argument"
_CHOICE = re.compile(r"(?P<before>.*invalid choice: )'(?P<word>[^']*)' \(choose from (?P<choices>.*)\)", re.DOTALL)


def worded(parser: "argparse.ArgumentParser", message: str) -> str:
    """What argparse says of a mistake, with what was perhaps meant."""
    if found := _UNKNOWN.search(message):
        return message + meant(found["word"], _options(parser))
    if found := _CHOICE.match(message):
        return message + meant(
            found["word"], re.findall(r"'([^']*)'", found["choices"]) or found["choices"].split(", ")
        )
    return message + "; what replaces a file is --overwrite" * (message == _BARE_FORCE)


def with_help(said: str, command: str) -> str:
    """A mistake, and what to type for more."""
    return f"{said} See {command}" if said.endswith("?") else f"{said}; see {command}"


def _options(parser: "argparse.ArgumentParser") -> Iterator[str]:
    """Those of a parser and of the verbs below it."""
    from argparse import SUPPRESS, _SubParsersAction

    for action in parser._actions:
        yield from action.option_strings if action.help != SUPPRESS else ()
        if isinstance(action, _SubParsersAction):
            for one in action.choices.values():
                yield from _options(one)
