# SPDX-License-Identifier: MIT
"""The statements of C functions, with their lines: enough to say which lines run if a condition holds.

Read without a preprocessor and without types. What is not understood makes the function unknown, never a guess.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from clockscope.model.c_tokens import Words, words

_DEPTH_MAX = 60
_JUMPS = ("return", "goto", "break", "continue")
_NO_NAMES = ("if", "while", "for", "switch", "return", "sizeof", "do", "else", "case", "goto", "asm", "__asm__")


class _Unclear(Exception):
    """This function is not understood."""


@dataclass(eq=False)
class Statement:
    kind: str  # if, while, for, do, switch, block, label, plain, one of _JUMPS; macro: a loop, or whatever a macro makes
    first: int  # lines
    last: int = 0
    condition: range = range(0)  # lines from the keyword to the closing parenthesis
    parts: int = 0  # of && || ? in it
    endless: bool = False  # a loop without a condition
    text: str = ""  # a jump's own words, a label's name
    calls: tuple[str, ...] = ()  # what is called, functions or macros; of a condition, what that calls
    body: "Statement | None" = None
    otherwise: "Statement | None" = None
    children: list["Statement"] = field(default_factory=list)
    parent: "Statement | None" = None

    @property
    def lines(self) -> range:
        return range(self.first, self.last + 1)

    def inner(self) -> Iterator["Statement"]:
        """Its own parts."""
        yield from (one for one in (self.body, self.otherwise) if one is not None)
        yield from self.children


@dataclass(frozen=True)
class Function:
    names: frozenset[str]  # that its head names, its own among them
    returns: bool  # a value
    lines: range  # from the head's first to that of the closing brace
    body: Statement


def functions(source: Sequence[str], first: int, code: Collection[int]) -> list[Function]:
    """The functions that have code in consecutive lines, of which the first has the number `first`."""
    found = words(source, first, code)
    return list(_Parser(found).functions(code)) if found is not None else []


def every(statement: Statement) -> Iterator[Statement]:
    """A statement, and all within it."""
    pending = [statement]
    while pending:
        one = pending.pop()
        yield one
        pending += one.inner()


def _called(texts: Sequence[str]) -> Iterator[str]:
    """The names that a parenthesis stands behind."""
    for one, after in itertools.pairwise(texts):
        if after == "(" and (one[0].isalpha() or one[0] == "_") and one not in _NO_NAMES:
            yield one


class _Parser:
    def __init__(self, source: Words) -> None:
        self._texts, self._lines, self._partner = source.texts, source.lines, source.partner

    def functions(self, code: Collection[int]) -> Iterator[Function]:
        at, head = 0, 0
        while at < len(self._texts):
            text = self._texts[at]
            if text == "{":
                end = self._partner[at]
                if end < 0:
                    return  # not whole
                if self._is_head(head, at) and any(
                    line in code for line in range(self._lines[head], self._lines[end] + 1)
                ):
                    yield from self._function(head, at, end)
                at = end
            elif text == "(" and self._partner[at] >= 0:
                at = self._partner[at]
            if self._texts[at] in (";", "}"):
                head = at + 1
            at += 1

    def _is_head(self, head: int, brace: int) -> bool:
        """Whether a brace opens a function's body: parameters end before it, perhaps with an attribute's name between."""
        before = [text for text in self._texts[max(head, brace - 2) : brace] if text != "const"]
        return bool(before) and ")" in before and "=" not in self._texts[head:brace]

    def _function(self, head: int, brace: int, end: int) -> Iterator[Function]:
        names = frozenset(_called(self._texts[head:brace]))
        try:
            body, _ = self._statement(brace, end + 1, 0)
        except _Unclear:
            return
        yield Function(names, self._returns(head, brace), range(self._lines[head], self._lines[end] + 1), body)

    def _returns(self, head: int, brace: int) -> bool:
        """Whether a function's head says that it has a value. Macros may hide that; then it is taken to have one."""
        before = self._texts[head : next((at for at in range(head, brace) if self._texts[at] == "("), brace)]
        return "void" not in before or "*" in before

    # Each of these reads one statement that begins at `at`, and says where the next one begins.

    def _statement(self, at: int, end: int, depth: int) -> tuple[Statement, int]:
        if at >= end or depth > _DEPTH_MAX:
            raise _Unclear
        word = self._texts[at]
        if word == "{":
            return self._block(at, depth)
        if word in ("if", "while", "for", "switch"):
            return self._controlled(word, at, end, depth)
        if word == "do":
            return self._do(at, end, depth)
        if word in ("else", "case", "default", "}"):
            raise _Unclear
        return self._plain(word if word in _JUMPS else "plain", at, end, depth)

    def _block(self, at: int, depth: int) -> tuple[Statement, int]:
        end = self._partner[at]
        if end < 0:
            raise _Unclear
        block = Statement("block", self._lines[at], self._lines[end])
        here = at + 1
        while here < end:
            label, after = self._label(here, end)
            if label is not None:
                self._add(block, label)
                here = after
                continue
            if self._texts[here] == ";":
                here += 1
                continue
            one, here = self._statement(here, end, depth + 1)
            self._add(block, one)
        return block, end + 1

    @staticmethod
    def _add(block: Statement, one: Statement) -> None:
        one.parent = block
        block.children.append(one)

    def _label(self, at: int, end: int) -> tuple[Statement | None, int]:
        word = self._texts[at]
        if word in ("case", "default"):
            here = at + 1
            while here < end and self._texts[here] != ":":
                here = self._partner[here] + 1 if self._texts[here] == "(" and self._partner[here] >= 0 else here + 1
            return Statement("label", self._lines[at], self._lines[at], text=word), here + 1
        if (word[0].isalpha() or word[0] == "_") and at + 1 < end and self._texts[at + 1] == ":":
            return Statement("label", self._lines[at], self._lines[at], text=word), at + 2
        return None, at

    def _controlled(self, word: str, at: int, end: int, depth: int) -> tuple[Statement, int]:
        close = self._close(at + 1)
        one = Statement(word, self._lines[at], condition=range(self._lines[at], self._lines[close] + 1))
        one.parts = sum(text in ("&&", "||", "?") for text in self._texts[at:close])
        one.calls = self._calls(at + 1, close)
        one.endless = self._texts[at + 2 : close] in (["1"], ["true"], [";", ";"])
        one.body, after = self._statement(close + 1, end, depth + 1)
        one.body.parent = one
        if word == "if" and after < end and self._texts[after] == "else":
            one.otherwise, after = self._statement(after + 1, end, depth + 1)
            one.otherwise.parent = one
        one.last = (one.otherwise or one.body).last
        return one, after

    def _do(self, at: int, end: int, depth: int) -> tuple[Statement, int]:
        one = Statement("do", self._lines[at])
        one.body, after = self._statement(at + 1, end, depth + 1)
        one.body.parent = one
        if after >= end or self._texts[after] != "while":
            raise _Unclear
        close = self._close(after + 1)
        one.condition = range(self._lines[after], self._lines[close] + 1)
        one.parts = sum(text in ("&&", "||", "?") for text in self._texts[after:close])
        one.calls = self._calls(after + 1, close)
        one.last = self._lines[close]
        return one, close + 1

    def _close(self, at: int) -> int:
        """The parenthesis that belongs to the one at a place."""
        if at >= len(self._texts) or self._texts[at] != "(" or self._partner[at] < 0:
            raise _Unclear
        return self._partner[at]

    def _plain(self, kind: str, at: int, end: int, depth: int) -> tuple[Statement, int]:
        one = Statement(kind, self._lines[at])
        here = at
        while here < end and self._texts[here] != ";":
            text = self._texts[here]
            if text in ("(", "[", "{"):
                close = self._partner[here]
                if close < 0:
                    raise _Unclear
                if text == "(" and here == at + 1 and kind == "plain" and self._is_macro(close + 1, end):
                    one.text, one.calls = self._texts[at], self._calls(at, close)
                    return self._macro(one, close + 1, end, depth)
                here = close
            elif text == "}":
                raise _Unclear
            here += 1
        if here >= end:
            raise _Unclear
        one.text = " ".join(self._texts[at:here])
        one.calls = self._calls(at, here)
        one.last = self._lines[here]
        return one, here + 1

    def _calls(self, low: int, high: int) -> tuple[str, ...]:
        return tuple(_called(self._texts[low:high]))

    def _is_macro(self, at: int, end: int) -> bool:
        """Whether what stands behind NAME(…) is a statement of its own: for_each_cpu(cpu, mask) …"""
        if at >= end or self._texts[at - 1] != ")":
            return False
        text = self._texts[at]
        return text == "{" or text[0].isalpha() or text[0] == "_"

    def _macro(self, one: Statement, at: int, end: int, depth: int) -> tuple[Statement, int]:
        one.kind = "macro"
        one.condition = range(one.first, self._lines[at - 1] + 1)
        one.body, after = self._statement(at, end, depth + 1)
        one.body.parent = one
        one.last = one.body.last
        return one, after
