# SPDX-License-Identifier: MIT
"""The source of a traced function with how often each line ran, as gcov prints it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope.model.c_statements import Function
from clockscope.model.source_text import Source

Record = dict[str, Any]
_Line = tuple[str, int]
_LINES_MAX = 3000  # of one function


class Runs:
    """How often each source line of a function was come to."""

    def __init__(self, instructions: Sequence[Mapping[str, Any]]) -> None:
        self.lines: dict[int, set[_Line]] = {}
        for row in instructions:
            if row["file"] and row["line"]:
                self.lines.setdefault(row["block"], set()).add((row["file"], row["line"]))
        self.counts: Counter[_Line] = Counter()

    def add(self, steps: Sequence[Mapping[str, Any]], in_gaps: Sequence[int]) -> None:
        """One more path. A line that several blocks in a row have is come to once, but for a loop that goes round in it.
        `in_gaps`: blocks that surely ran where the path is not known."""
        self.counts.update({line for block in in_gaps for line in self.lines.get(block, ())})
        under_way: dict[_Line, set[int]] = {}
        for step in steps:
            here = self.lines.get(step["block"], set())
            under_way = {line: blocks for line, blocks in under_way.items() if line in here}
            for line in here:
                blocks = under_way.setdefault(line, set())
                if not blocks or step["block"] in blocks:
                    self.counts[line] += 1
                    blocks.clear()
                blocks.add(step["block"])


def sections(
    name: str, runs: Runs, perhaps: set[int], decided: Sequence[_Line], source: Source, inlined: Mapping[_Line, str]
) -> Iterator[Record]:
    """The function itself, if its source is at hand, and each that was inlined into it and decided something. `perhaps`:
    blocks that may have run where a path has a gap; `inlined`: the name of the inlined function of a line."""
    open_lines = {line for block in perhaps for line in runs.lines.get(block, ())}
    code = {line for lines in runs.lines.values() for line in lines}
    own = _own(name.split(".")[0], code, source)
    if own is None:
        return
    shown = [own]
    for file, line in decided:
        found = source.function(file, line, inlined.get((file, line), ""))
        if found is not None and all(found is not one for _, one in shown):
            shown.append((file, found))
    for file, function in shown:
        yield _section(file, function, runs.counts, code, open_lines, source)


def _own(name: str, code: set[_Line], source: Source) -> tuple[str, Function] | None:
    """The function's own text, wherever its first instruction comes from."""
    for file, line in sorted(code):
        found = source.function(file, line, name)
        if found is not None:
            return file, found
    return None


def _section(
    file: str, function: Function, counts: Counter[_Line], code: set[_Line], perhaps: set[_Line], source: Source
) -> Record:
    texts = source.lines(file)
    return {
        "file": file,
        "returns": function.returns,
        "lines": [
            {
                "line": line,
                "text": texts.get(line, "").rstrip(),
                "runs": counts[file, line] if (file, line) in code else None,
                "perhaps": (file, line) in perhaps,
            }
            for line in function.lines[:_LINES_MAX]
        ],
    }
