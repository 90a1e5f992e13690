# SPDX-License-Identifier: MIT
"""What may stand at the end of a line that is being typed: for Tab in GDB and in a shell."""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clockscope._core import Error, Trace
from clockscope.kernel.elffile import ElfFile
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.reports import event_rows
from clockscope.front.verbs import Verb

KINDS = ("file", "function", "variable", "traced", "event", "profile", "column")
"""What COMPLETE of a verb may say of an argument; "traced" are the functions of the trace that stands before it."""

_TRACED = "SELECT name FROM function UNION SELECT function FROM counter ORDER BY 1"


@dataclass(frozen=True)
class Known:
    """What a front knows without being told: the kernel that is loaded, the trace that was written last."""

    elf: str | None = None
    trace: str | None = None


def complete(verb: Verb, parser: argparse.ArgumentParser, typed: str, known: Known) -> list[str]:
    """The words that may stand for the last one of what is typed after the verb."""
    words, word = split(typed)
    options = {name: action for action in parser._actions for name in action.option_strings}
    options = {name: action for name, action in options.items() if action.help != argparse.SUPPRESS}
    if word.startswith("-") and "--" not in words:
        option, equals, value = word.partition("=")
        if not equals:
            return [name for name in options if name.startswith(word)]
        return [f"{option}={one}" for one in _values(verb, options.get(option), value, known, {})]
    if words and _takes_value(options.get(words[-1])):
        return _values(verb, options[words[-1]], word, known, {})
    places = [action for action in parser._actions if not action.option_strings]
    given = _positional(words, options)
    named = {place.dest: text for place, text in zip(places, given)}
    at = min(len(given), len(places) - 1)
    # An optional place may be left out: what is typed may be the next one's already.
    meant = places[at : at + 1 + (places[at].nargs == "?")] if places else []
    return [one for place in meant for one in _values(verb, place, word, known, named)]


def split(typed: str) -> tuple[list[str], str]:
    """The words that are finished, and the one that is not; empty after a space."""
    words = typed.split()
    return words, words.pop() if words and not typed[-1].isspace() else ""


def tails(found: Sequence[str], typed: str, word: str) -> list[str]:
    """What a line editor wants to hear: it takes the word to begin after the last dash, comma or colon."""
    return [one[len(split(typed)[1]) - len(word) :] for one in found]


def _takes_value(option: argparse.Action | None) -> bool:
    return option is not None and option.nargs != 0


def _positional(words: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    pairs = zip(["", *words], words)
    return [word for before, word in pairs if not word.startswith("-") and not _takes_value(options.get(before))]


def _values(verb: Verb, action: argparse.Action | None, word: str, known: Known, named: Mapping[str, str]) -> list[str]:
    """What may stand for `word` as a value of an option or argument. Lists are separated by commas."""
    if action is None:
        return []
    kind = verb.COMPLETE.get(action.dest)
    if kind == "file":
        return _files(word)
    names = [str(choice) for choice in action.choices] if action.choices else _names(kind, known, named)
    head, comma, last = word.rpartition(",")
    return [head + comma + name for name in names if name.startswith(last)]


def _names(kind: str | None, known: Known, named: Mapping[str, str]) -> Iterable[str]:
    try:
        if kind in ("function", "variable"):
            elf = named.get("elf", known.elf)
            return ElfFile(elf).names(functions=kind == "function") if elf is not None else ()
        if kind == "traced":
            return _traced(named.get("file", known.trace))
    except (Error, UserError):
        return ()  # nobody waits for an error while he is typing
    if kind == "event":
        return ("idle", "exit", *profile.vocabulary())
    if kind == "column":
        return event_rows.COLUMNS
    return profile.names() if kind == "profile" else ()


def _traced(path: str | None) -> list[str]:
    if path is None:
        return []
    with Trace(path) as trace:
        return [row["name"] for row in trace.rows(_TRACED)]


def _files(word: str) -> list[str]:
    """Names of files that begin so. One directory alone is gone into: what follows it is not a new word."""
    folder, start = os.path.split(word)
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    found = [
        os.path.join(folder, entry.name) + "/" * entry.is_dir()
        for entry in entries
        if entry.name.startswith(start) and (start or not entry.name.startswith("."))
    ]
    return _files(found[0]) if len(found) == 1 and found[0].endswith("/") else found
