# SPDX-License-Identifier: MIT
"""The truth of the source's condition that a conditional branch decided, one way and the other.

Compilers invert conditions, split them and join them, so that "the jump was taken" says nothing of the source. What does is
which code runs next: the statement's own, or what stands behind it. Where both ways lead to lines of either, or to none that
tell, the condition is not known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clockscope._core import Trace
from clockscope.model.c_statements import Statement
from clockscope.model.c_regions import Regions, regions
from clockscope.model.source_text import Source

Ways = tuple[bool | None, bool | None]
"""Of a branch that is not taken, and of it taken."""
Hits = set[tuple[str, int]]
"""What walks came to, each with its block."""
Record = Mapping[str, Any]
"""A row of table instruction, or of table edge."""

# What a walk comes to: lines that run if the condition is true, if it is false, or the end of what can be told.
_TRUE, _FALSE, _ENDED = "true", "false", "ended"
_BLOCKS_MAX = 2000  # of one walk
_NEXT_MAX = 16  # of those on the way to the next decision
_WORK_MAX = 100_000  # of all of a function's


@dataclass(frozen=True)
class _Look:
    """One branch: first not taken, then taken."""

    found: Regions
    ways: Sequence[int]  # blocks
    hits: Sequence[Hits]
    says: Sequence[bool | None]


class Conditions:
    """Of one traced function. What a branch says does not depend on the call: each is looked at once."""

    def __init__(self, name: str, instructions: Sequence[Record], edges: Iterable[Record], source: Source) -> None:
        self._name = name.split(".")[0]
        self._source = source
        self._blocks: dict[int, list[Record]] = {}
        for row in instructions:
            self._blocks.setdefault(row["block"], []).append(row)
        self._branches = [row for row in instructions if row["kind"] == "branch"]
        self._edges: dict[int, list[Record]] = {}
        for edge in edges:
            self._edges.setdefault(edge["source"], []).append(edge)
        self._known: dict[int, Ways] = {}
        self._looks: dict[int, _Look | None] = {}
        self._work = 0

    def holds(self, branch: Record, taken: bool) -> bool | None:
        """Whether the condition is true if the branch is taken, or if it is not; None: not known, or not yet decided."""
        if branch["address"] not in self._known:
            self._known[branch["address"]] = self._judge(branch)
        return self._known[branch["address"]][taken]

    def _judge(self, branch: Record) -> Ways:
        """Of the branch not taken, and of it taken."""
        look = self._look(branch)
        if look is None:
            return None, None
        says = [self._as_others(branch, look, at) if one is None else one for at, one in enumerate(look.says)]
        return self._doubted(says, look.ways, branch, look.found)

    def _look(self, branch: Record) -> "_Look | None":
        """What both ways lead to."""
        if branch["address"] not in self._looks:
            self._looks[branch["address"]] = self._looked(branch)
        return self._looks[branch["address"]]

    def _looked(self, branch: Record) -> "_Look | None":
        if branch["kind"] != "branch" or not branch["line"] or self._blocks[branch["block"]][-1] is not branch:
            return None
        function = self._source.function(branch["file"], branch["line"], branch["inlined"] or self._name)
        found = regions(function, branch["line"]) if function else None
        ways = [way for kind in ("next", "taken") for way in self._way(branch, kind)]
        if found is None or len(ways) != 2:
            return None
        hits = [self._walk(way, branch, found) for way in ways]
        return _Look(found, ways, hits, self._decide(hits, branch, found))

    def _as_others(self, branch: Record, look: "_Look", at: int) -> bool | None:
        """Of a way that leads to an end: what another branch of the same condition says where it leads there."""
        if {hit for hit, _ in look.hits[at]} != {_ENDED}:
            return None
        said = set[bool]()
        for other in self._branches:
            if other["line"] in look.found.condition and _is_own(other, branch, look.found):
                there = self._look(other)
                said.update(
                    one
                    for one, hits in (zip(there.says, there.hits) if there else ())
                    if one is not None and hits == look.hits[at]
                )
        return said.pop() if len(said) == 1 else None

    def _way(self, branch: Record, kind: str) -> list[int]:
        edges = self._edges.get(branch["block"], ())
        return [edge["target"] for edge in edges if edge["kind"] == kind and edge["target"] in self._blocks]

    def _walk(self, first: int, branch: Record, found: Regions) -> Hits:
        """What comes first on every way from a block on, up to the branch itself."""
        hits: Hits = set()
        seen, pending = {branch["block"], first}, [first] if first != branch["block"] else []
        while pending:
            block = pending.pop()
            self._work += 1
            if self._work > _WORK_MAX or len(seen) > _BLOCKS_MAX:
                return {(_TRUE, block), (_FALSE, block)}
            if here := self._hit(self._blocks[block], branch, found):
                hits.update((hit, block) for hit in here)
                continue
            targets = [edge["target"] for edge in self._edges.get(block, ()) if edge["target"] in self._blocks]
            if not targets:
                hits.add((_ENDED, block))
            pending += [target for target in targets if target not in seen]
            seen.update(targets)
        return hits or {(_ENDED, first)}

    def _hit(self, block: Sequence[Record], branch: Record, found: Regions) -> set[str]:
        if _only_returns(block):
            return set()  # its line is what stood before it in the code, whatever leads there
        own = {row["line"] for row in block if _is_own(row, branch, found)}
        if own & found.true:
            return {_TRUE, _FALSE} if own & found.false and found.ends else {_TRUE}
        later = own & found.true_later
        if own & found.false:
            return {_TRUE, _FALSE} if later else {_FALSE}
        if later:
            return {_TRUE}
        told = self._inlined(block, branch, found)
        return told or ({_ENDED} if own - {*found.condition, *found.head} else set())

    def _inlined(self, block: Sequence[Record], branch: Record, found: Regions) -> set[str]:
        """What the code of other functions says, which was inlined: into this one, or this one into them."""
        foreign = [row for row in block if row["line"] and not _is_own(row, branch, found)]
        names = {name for row in foreign for name in self._source.names(row["file"], row["line"])}
        hits = {hit for hit, calls in ((_TRUE, found.calls_true), (_FALSE, found.calls_false)) if names & calls}
        return hits or ({_ENDED} if foreign and branch["inlined"] else set())

    def _decide(self, hits: Sequence[Hits], branch: Record, found: Regions) -> list[bool | None]:
        """Of both ways. One that leads to an end is the other one's opposite, where the condition has no other branch."""
        ways = [_sure(one) for one in hits]
        if None not in ways and ways[0] == ways[1]:
            if not found.simple or not self._is_alone(branch, found):
                return [None, None]
            ways = [_sure(hits[0] - hits[1]), _sure(hits[1] - hits[0])]
            alone = [not one - other for one, other in ((hits[0], hits[1]), (hits[1], hits[0]))]
        else:
            alone = [{hit for hit, _ in one} == {_ENDED} for one in hits]
        for one, other in ((0, 1), (1, 0)):
            known = ways[other]
            if ways[one] is None and alone[one] and known is not None:
                ways[one] = not known
        return [None, None] if ways[0] == ways[1] else ways

    def _is_alone(self, branch: Record, found: Regions) -> bool:
        lines = [one for one in self._branches if _is_own(one, branch, found) and one["line"] in found.condition]
        return len(lines) == 1

    def _doubted(self, says: Sequence[bool | None], ways: Sequence[int], branch: Record, found: Regions) -> Ways:
        """What both ways say, without what may be said of another condition: one that has no branch of its own."""
        joined, kept = found.joined, list(says)
        for at, true in enumerate(says):
            if true is None:
                continue
            before, after = (joined.true, joined.true_next) if true else (joined.false, joined.false_next)
            other_way = None if says[1 - at] is None else ways[1 - at]
            sure = all(self._is_decided(one, branch, found) for one in before)
            if not sure or not all(self._leads_to(one, other_way, branch, found) for one in after):
                kept[at] = None
        return kept[0], kept[1]

    def _leads_to(self, other: Statement, way: int | None, branch: Record, found: Regions) -> bool:
        """Whether a condition is decided next on a way, or is no decision."""
        seen, pending = {branch["block"]}, [] if way is None else [way]
        for _ in range(_NEXT_MAX):
            if not pending:
                break
            block = pending.pop(0)
            seen.add(block)
            last = self._blocks[block][-1]
            if last["kind"] == "branch" and last["line"] in other.condition and _is_own(last, branch, found):
                return True
            targets = [edge["target"] for edge in self._edges.get(block, ())]
            pending += [target for target in targets if target in self._blocks and target not in seen]
        return self._is_constant(other, branch, found)

    def _is_decided(self, other: Statement, branch: Record, found: Regions) -> bool:
        """Whether a neighbour has a branch of its own, or is no decision."""
        own = [row for row in self._branches if row["line"] in other.condition and _is_own(row, branch, found)]
        return bool(own) or self._is_constant(other, branch, found)

    def _is_constant(self, other: Statement, branch: Record, found: Regions) -> bool:
        """Whether nothing was made of a condition that asks a function or a macro."""
        asked = [name for name in other.calls if "likely" not in name and "expect" not in name]
        every = (row for rows in self._blocks.values() for row in rows)
        return bool(asked) and not any(row["line"] in other.condition and _is_own(row, branch, found) for row in every)


def _is_own(row: Record, branch: Record, found: Regions) -> bool:
    """Whether an instruction comes from the lines of the function that a branch's condition is in."""
    return bool(row["file"] == branch["file"] and row["line"] in found.own)


def _only_returns(block: Sequence[Record]) -> bool:
    """A bare return, and what restores registers before it: compilers share it, and give it no line of its own."""
    *before, last = block
    return last["kind"] == "return" and all(row.get("text", "").startswith(("pop", "leave")) for row in before)


def _sure(hits: Hits) -> bool | None:
    kinds = {hit for hit, _ in hits}
    return True if kinds == {_TRUE} else False if kinds == {_FALSE} else None


def of_trace(trace: Trace, source: Source) -> Iterator[tuple[int, int, bool, bool | None, str]]:
    """Of each way that a branch went whose source is at hand: function, address, taken, whether the condition is true then,
    and its line."""
    for function in trace.rows("SELECT id, name FROM function ORDER BY id"):
        made = trace.rows(
            "SELECT DISTINCT d.address, d.taken FROM decision d JOIN invocation i ON i.id = d.invocation"
            " WHERE i.function = ?",
            [function["id"]],
        )
        if not made:
            continue
        rows = trace.rows("SELECT * FROM instruction WHERE function = ? ORDER BY address", [function["id"]])
        edges = trace.rows("SELECT * FROM edge WHERE function = ?", [function["id"]])
        known = Conditions(function["name"], rows, edges, source)
        branches = {row["address"]: row for row in rows}
        for one in made:
            row = branches.get(one["address"])
            text = source.text(row["file"], row["line"]) if row else None
            if row and text:
                taken = bool(one["taken"])
                yield function["id"], row["address"], taken, known.holds(row, taken), text
