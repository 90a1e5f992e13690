# SPDX-License-Identifier: MIT
"""Arguments of the plain kind that most command lines have, read without argparse, which takes longer to import than a
timeline to be printed.

Whatever is not plain (help, a mistake, an option cut short or with `=`, a verb that declares more than is known here) is
left to argparse, which alone speaks to the user; what is read here is what argparse would have read.
"""

from collections.abc import Sequence

from clockscope.front.verbs import Verb, add_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any
else:
    ArgumentParser = object

    class Namespace:
        def __init__(self, **values: object) -> None:
            self.__dict__.update(values)


class _NotPlain(Exception):
    pass


class _Argument:
    def __init__(
        self,
        *names: str,
        metavar: str | None = None,
        help: str = "",
        nargs: str | None = None,
        action: str = "store",
        choices: Sequence[str] | None = None,
        default: str | None = None,
    ) -> None:
        self.names = names
        self.is_flag = action == "store_true"
        self.is_option = names[0].startswith("-")
        self.may_lack = nargs == "?"
        self.choices = choices
        self.default = False if self.is_flag else default
        self.key = names[-1].lstrip("-").replace("-", "_")
        if action not in ("store", "store_true") or nargs not in (None, "?") or (self.is_option and nargs):
            raise _NotPlain

    def take(self, word: str) -> str:
        if self.choices is not None and word not in self.choices:
            raise _NotPlain
        return word


class _Declared(ArgumentParser):
    """Stands in for the parser that a verb declares its arguments to."""

    def __init__(self) -> None:
        self.options: dict[str, _Argument] = {}
        self.positionals: list[_Argument] = []

    def add_argument(self, *names: str, **given: "Any") -> "Any":
        try:
            argument = _Argument(*names, **given)
        except TypeError:  # what is given is not known here
            raise _NotPlain from None
        if argument.is_option:
            self.options.update(dict.fromkeys(names, argument))
        else:
            self.positionals.append(argument)

    def __getattr__(self, name: str) -> "Any":
        raise _NotPlain


def _read_words(words: Sequence[str], declared: _Declared, values: dict[str, object]) -> list[str]:
    """Takes the options; the other words. Those stand together: which of them are whose is argparse's otherwise."""
    found: list[tuple[int, str]] = []
    coming = iter(enumerate(words))
    for place, word in coming:
        option = declared.options.get(word)
        if option is None:
            if word.startswith("-"):
                raise _NotPlain
            found.append((place, word))
        elif option.is_flag:
            values[option.key] = True
        else:
            _, value = next(coming, (0, "-"))
            if value.startswith("-"):
                raise _NotPlain
            values[option.key] = option.take(value)
    if found and found[-1][0] - found[0][0] + 1 != len(found):
        raise _NotPlain
    return [word for _, word in found]


def _distribute(words: Sequence[str], positionals: Sequence[_Argument], values: dict[str, object]) -> None:
    """From left to right; those that may lack have one where enough is left for those that must not."""
    spare = len(words) - sum(not argument.may_lack for argument in positionals)
    coming = iter(words)
    for argument in positionals:
        if argument.may_lack:
            spare -= 1
            if spare < 0:
                continue
        word = next(coming, None)
        if word is None:
            raise _NotPlain
        values[argument.key] = argument.take(word)
    if next(coming, None) is not None:
        raise _NotPlain


def _read(verb: Verb, words: Sequence[str]) -> Namespace:
    declared = _Declared()
    verb.prepare_parser(declared)
    form = declared.options.get("--format")
    if form and "text" in (form.choices or ()):
        add_colour(declared)
    known = [*declared.options.values(), *declared.positionals]
    values: dict[str, object] = {argument.key: argument.default for argument in known}
    _distribute(_read_words(words, declared, values), declared.positionals, values)
    return Namespace(verb=verb.NAME, run=verb.run, **values)


def parse(verb: Verb, words: Sequence[str]) -> Namespace | None:
    """What a verb's run() takes; None where argparse has to be asked."""
    try:
        return _read(verb, words)
    except _NotPlain:
        return None
