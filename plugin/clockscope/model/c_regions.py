# SPDX-License-Identifier: MIT
"""Which lines run next if the condition of a statement is true, and which if it is false."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from clockscope.model.c_statements import Function, Statement, every

_LOOPS = ("while", "for", "do", "macro")
_CHOOSES = ("if", "while", "for", "do")
_EACH = re.compile(r"for_?each", re.IGNORECASE)
_AFTER_MAX = 40  # statements around one, each of which may end before anything runs


@dataclass
class Joined:
    """Conditions that a compiler may have joined with this one, where both lead to the same: then a branch says of one
    outcome only that one of them had it."""

    true: list[Statement] = field(default_factory=list)  # true may be theirs; they come before
    true_next: list[Statement] = field(default_factory=list)  # the same; they come next if this one is false
    false: list[Statement] = field(default_factory=list)
    false_next: list[Statement] = field(default_factory=list)  # they come next if this one is true


@dataclass(frozen=True)
class Regions:
    """Of one condition. Where a line could be of either side, it is in neither."""

    own: range  # the function's lines
    head: range  # of them those before its first statement: what they have code for may stand anywhere
    condition: range
    true: frozenset[int]  # within the statement: they run only if it is true
    true_later: frozenset[int]  # where such a branch jumps to
    false: frozenset[int]
    ends: bool  # a true one does not come back: what follows runs only if it is false
    simple: bool  # one operand
    calls_true: frozenset[str] = frozenset()
    calls_false: frozenset[str] = frozenset()
    joined: Joined = field(default_factory=lambda: Joined())


def regions(function: Function, line: int) -> Regions | None:
    """Of the one condition that a line belongs to; None where there is none, or more than one."""
    here = [one for one in every(function.body) if one.first <= line <= one.last or line in one.condition]
    found = [one for one in here if one.kind in _CHOOSES and line in one.condition]
    if len(found) != 1 or found[0].body is None or _is_crowded(found[0], here):
        return None
    return _of(function, found[0], found[0].body)


def _is_crowded(chosen: Statement, here: Iterable[Statement]) -> bool:
    """Whether a line of a condition holds another statement that could have a branch of its own."""
    for one in here:
        inside = one.first in chosen.condition or one.last in chosen.condition
        if one is chosen or not inside or one.kind in ("block", "label"):
            continue
        if one.kind in (*_CHOOSES, "switch", "macro") and (
            one.condition.start not in chosen.condition and (one.condition.stop - 1) not in chosen.condition
        ):
            continue  # around it, or ends there
        if one.calls or "?" in one.text or "&&" in one.text or "||" in one.text:
            return True
        if one.kind == "plain" and one.first in chosen.condition:
            return True  # `if (x) y = z;` may as well be no jump, and then the jump is another's
        if one.kind in (*_CHOOSES, "switch", "macro"):
            return True
    return False


def _of(function: Function, one: Statement, body: Statement) -> Regions | None:
    true, behind_label = _content(body)
    true -= set(one.condition)
    other, other_behind = _content(one.otherwise) if one.otherwise else (set(), set())
    after = set(_after(one))
    ends = not _completes(body)
    later = behind_label | (set(_target(function, body)) if ends else set())
    if one.otherwise is not None and not _completes(one.otherwise) and not ends:
        later |= after
    false = (other if one.otherwise else after) - set(one.condition)
    unclear = (true | later) & false | other_behind
    jumps = set(_jump_lines(function)) - true - other
    return Regions(
        function.lines,
        range(function.lines.start, function.body.first + 1),
        one.condition,
        frozenset(true - false),
        frozenset(later - unclear - true - jumps),
        frozenset(false - unclear - jumps),
        ends,
        one.parts == 0,
        *_called(function, one, body),
        _joined(one, body),
    )


def _content(statement: Statement) -> tuple[set[int], set[int]]:
    """Its lines, without those of its own braces; apart those that a label may lead to, whatever the condition was."""
    children = statement.children if statement.kind == "block" else [statement]
    sure, behind = set[int](), set[int]()
    for child in children:
        labelled = behind or any(
            one.kind == "label" and not (one.text in ("case", "default") and _has_around(one, child, "switch"))
            for one in every(child)
        )
        (behind if labelled else sure).update(child.lines)
    return sure - behind, behind


def _called(function: Function, one: Statement, body: Statement) -> tuple[frozenset[str], frozenset[str]]:
    """What is called if it is true, and if it is false, and nowhere else in the function: code of that may be inlined."""
    everywhere = Counter(name for each in every(function.body) for name in each.calls)
    true = Counter(name for each in every(body) for name in each.calls)
    others = [one.otherwise] if one.otherwise else list(_behind(one))
    false = Counter(name for other in others for each in every(other) for name in each.calls)
    alone = [frozenset(name for name in part if part[name] == everywhere[name]) for part in (true, false)]
    return alone[0], alone[1]


def _behind(one: Statement) -> Sequence[Statement]:
    parent = one.parent
    return parent.children[parent.children.index(one) + 1 :] if parent is not None and parent.kind == "block" else ()


def _has_around(one: Statement, top: Statement, kind: str) -> bool:
    while one is not top and one.parent is not None:
        one = one.parent
        if one.kind == kind:
            return True
    return False


def _completes(statement: Statement) -> bool:
    """Whether what stands behind a statement can run next."""
    last = statement
    while last.kind == "block" and last.children:
        last = last.children[-1]
    if last.kind in ("return", "goto", "break", "continue"):
        return False
    if last.kind == "if" and last.otherwise is not None and last.body is not None:
        return _completes(last.body) or _completes(last.otherwise)
    return True


def _after(one: Statement) -> Iterator[int]:
    """The lines that can run next after a statement: the rest of its block, and where that ends, what comes after it.
    Not the function's end: all returns come there."""
    for _ in range(_AFTER_MAX):
        parent = one.parent
        if parent is None:
            return
        if parent.kind == "block":
            at = parent.children.index(one)
            rest = parent.children[at + 1 :]
            yield from (line for sibling in rest for line in sibling.lines)
            if any(sibling.kind in ("return", "goto", "break", "continue") for sibling in rest):
                return
        elif parent.kind in _LOOPS:
            yield from parent.condition
            if parent.kind != "do":
                return
        one = parent


def _target(function: Function, body: Statement) -> Iterator[int]:
    """Where the jump leads that ends a branch, within the function."""
    jump = body
    while jump.kind == "block" and jump.children:
        jump = jump.children[-1]
    if jump.kind == "goto":
        for label in every(function.body):
            if label.kind == "label" and label.text == jump.text.removeprefix("goto").strip():
                yield from _after(label)
    elif jump.kind in ("break", "continue"):
        around = jump.parent
        while around is not None and around.kind not in (*_LOOPS, *(("switch",) if jump.kind == "break" else ())):
            around = around.parent
        if around is not None and (around.kind != "macro" or _EACH.search(around.text)):
            yield from _after(around) if jump.kind == "break" else around.condition


def _jump_lines(function: Function) -> Iterator[int]:
    """Lines of jumps. Compilers make one of those alike: they do not tell from where one came."""
    for one in every(function.body):
        if one.kind in ("return", "goto", "break", "continue") and not one.calls:
            yield from one.lines


def _joined(one: Statement, body: Statement) -> Joined:
    found = Joined()
    before, after = _neighbours(one)
    found.true += [other for other in before if _is_alike(other, body)]
    found.true_next += [other for other in after if _is_alike(other, body)]
    if one.otherwise is not None and one.otherwise.kind == "if":
        found.true_next.append(one.otherwise)
    inner = _only(body)
    if one.otherwise is None and inner.kind == "if" and inner.otherwise is None:
        found.false_next.append(inner)
    around = _only_of(one)
    if around is not None and around.kind == "if":
        (found.true if _only(around.otherwise or around) is one else found.false).append(around)
    _join_loops(found, one, body)
    return found


def _join_loops(found: Joined, one: Statement, body: Statement) -> None:
    """A loop ends as well by a jump out of it that stands first in it, or last."""
    first = _only_first(body)
    if one.kind in _LOOPS and first.kind == "if" and first.body is not None and _leaves(first.body):
        found.false_next.append(first)
    block = one.parent
    loop = block.parent if block is not None and block.kind == "block" else block
    if one.kind == "if" and loop is not None and loop.kind in _LOOPS and not loop.endless and _leaves(body):
        if loop.body is one or (block is not None and block.children[-1:] == [one]):
            found.true_next.append(loop)
        if loop.body is one or (block is not None and block.children[:1] == [one]):
            found.true.append(loop)


def _only_first(statement: Statement) -> Statement:
    while statement.kind == "block" and statement.children:
        statement = statement.children[0]
    return statement


def _leaves(body: Statement) -> bool:
    return _only(body).kind in ("return", "goto", "break")


def _only_of(one: Statement) -> Statement | None:
    """The statement that a statement is all the body of."""
    parent = one.parent
    while parent is not None and parent.kind == "block" and len(parent.children) == 1:
        parent = parent.parent
    return parent


def _neighbours(one: Statement) -> tuple[Sequence[Statement], Sequence[Statement]]:
    """The conditions just before and just behind."""
    parent = one.parent
    if parent is None or parent.kind != "block":
        return (), ()
    at = parent.children.index(one)
    before, after = parent.children[max(at - 1, 0) : at], parent.children[at + 1 : at + 2]
    return [near for near in before if near.kind == "if"], [near for near in after if near.kind == "if"]


def _only(statement: Statement) -> Statement:
    while statement.kind == "block" and len(statement.children) == 1:
        statement = statement.children[0]
    return statement


def _is_alike(sibling: Statement, body: Statement) -> bool:
    """Whether both do one and the same, which is all that they do."""
    other = _only(sibling.body) if sibling.body is not None else None
    mine = _only(body)
    return other is not None and other.kind == mine.kind and other.kind != "block" and other.text == mine.text
