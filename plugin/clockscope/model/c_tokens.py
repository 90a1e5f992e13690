# SPDX-License-Identifier: MIT
"""C source as words with their lines: comments, the content of strings and what the preprocessor leaves out are gone.

Nothing is preprocessed: of the parts of an `#if` that one is taken in which the compiler made code.
"""

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

LINE_LIMIT = 2000
"""Characters. A file with a longer line is no source that a person wrote."""

_BLANKED = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*|[0-9][\w.]*|&&|\|\||::|->|[^\s\w]")
_DIRECTIVE = re.compile(r"\s*#\s*(\w*)\s*(.*)")
_PAIRS = {")": "(", "}": "{", "]": "["}


@dataclass(frozen=True)
class Words:
    texts: Sequence[str]
    lines: Sequence[int]
    partner: Sequence[int]  # of a bracket: where the other one is; -1: of anything else, and where there is none

    def __len__(self) -> int:
        return len(self.texts)


def words(source: Sequence[str], first: int, code: Collection[int]) -> Words | None:
    """Of consecutive lines, the first of which has the number `first`. `code`: the numbers of lines that have code. None
    for what is no source."""
    if any(len(line) > LINE_LIMIT or "\0" in line for line in source):
        return None
    text = _BLANKED.sub(_blank, "\n".join(source))
    live = _live(text.split("\n"), first, code)
    texts: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(live, first):
        for match in _WORD.finditer(line):
            texts.append(match[0])
            lines.append(number)
    return Words(texts, lines, _partners(texts))


def _blank(match: re.Match[str]) -> str:
    """A string stays one word; a comment is space."""
    text = match[0]
    return '""' if text[0] in "\"'" else " " + "\n" * text.count("\n")


@dataclass
class _Group:
    """An #if: where each of its parts begins."""

    begins: list[int]
    never: bool  # #if 0


def _live(lines: Sequence[str], first: int, code: Collection[int]) -> list[str]:
    """The lines without directives, and without the parts of an #if that were not compiled."""
    kept = list(lines)
    groups: list[_Group] = []
    goes_on = False
    for index, line in enumerate(lines):
        match = None if goes_on else _DIRECTIVE.match(line)
        if not match and not goes_on:
            continue
        kept[index] = ""
        goes_on = line.rstrip().endswith("\\")
        word = match[1] if match else ""
        if word in ("if", "ifdef", "ifndef"):
            groups.append(_Group([index], bool(match and match[2].strip() == "0")))
        elif word in ("else", "elif") and groups:
            groups[-1].begins.append(index)
        elif word == "endif" and groups:
            _drop(groups.pop(), index, kept, lambda at: first + at in code)
    return kept


def _drop(group: _Group, end: int, kept: list[str], has_code: Callable[[int], bool]) -> None:
    """Blank all parts but the one that has the most code."""
    parts = [range(low, high) for low, high in itertools.pairwise([*group.begins, end])]
    counts = [sum(map(has_code, part)) for part in parts]
    if group.never:
        counts[0] = -1
    taken = counts.index(max(counts)) if max(counts) >= 0 else None
    for number, part in enumerate(parts):
        for index in part if number != taken else ():
            kept[index] = ""


def _partners(texts: Sequence[str]) -> list[int]:
    partner = [-1] * len(texts)
    opened: list[int] = []
    for index, text in enumerate(texts):
        if text in ("(", "{", "["):
            opened.append(index)
        elif text in _PAIRS and opened and texts[opened[-1]] == _PAIRS[text]:
            other = opened.pop()
            partner[index], partner[other] = other, index
    return partner
