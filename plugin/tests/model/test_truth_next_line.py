# SPDX-License-Identifier: MIT
"""The truth of a condition, held against what ran next: of each decision of the stored traces that have their source."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guest import ROOT

from clockscope._core import Trace
from clockscope.model.conditions import Conditions
from clockscope.model.source_text import Source

Record = Mapping[str, Any]
Lines = Mapping[int, str]


def body(lines: Lines, line: int) -> range | None:
    """The lines that run if the `if` of a line is true; None where this simple reading of C does not tell."""
    text = lines.get(line, "").strip()
    if not text.removeprefix("} else ").startswith("if (") or text.count("(") != text.count(")"):
        return None
    if text.endswith(")"):
        one = lines.get(line + 1, "")
        return range(line + 1, line + 2) if one.rstrip().endswith(";") and "{" not in one else None
    depth = 1
    for number in range(line + 1, line + 200 if text.endswith("{") else line + 1):
        if number not in lines:
            return None
        depth += lines[number].count("{") - lines[number].count("}")
        if depth <= 0 or (depth == 1 and lines[number].strip().startswith("} else")):
            return range(line + 1, number)
    return None


def next_lines(branch: Record, blocks: Sequence[int], by_block: Mapping[int, Sequence[Record]]) -> set[int]:
    """The lines of the same function in the first block that has some and says more than that it returns."""
    for block in blocks:
        rows = by_block.get(block, [])
        if any(row["kind"] == "branch" and row["line"] == branch["line"] for row in rows):
            return set()  # another operand of the condition
        found = {row["line"] for row in rows if row["file"] == branch["file"] and row["inlined"] == branch["inlined"]}
        if found - {branch["line"]} and any(row["kind"] not in ("return", "jump") for row in rows):
            return found - {branch["line"]}
    return set()


def judged(trace: Trace) -> Iterator[tuple[str, bool, bool | None]]:
    """(where, what ran next says, what is said), of each decision of which this can tell."""
    source = Source(trace)
    for function in trace.rows("SELECT * FROM function"):
        rows = trace.rows("SELECT * FROM instruction WHERE function = ? ORDER BY address", [function["id"]])
        edges = trace.rows("SELECT * FROM edge WHERE function = ?", [function["id"]])
        known = Conditions(function["name"], rows, edges, source)
        by_address = {row["address"]: row for row in rows}
        by_block: dict[int, list[Record]] = {}
        for row in rows:
            by_block.setdefault(row["block"], []).append(row)
        for call in trace.rows("SELECT id FROM invocation WHERE function = ? AND complete", [function["id"]]):
            steps = [
                row["block"]
                for row in trace.rows("SELECT block FROM step WHERE invocation = ? ORDER BY ordinal", [call["id"]])
            ]
            for made in trace.rows("SELECT * FROM decision WHERE invocation = ?", [call["id"]]):
                branch = by_address[made["address"]]
                runs = body(source.lines(branch["file"]), branch["line"])
                own = {
                    row["line"] for row in rows if (row["file"], row["inlined"]) == (branch["file"], branch["inlined"])
                }
                if runs and not own & set(runs):
                    runs = None  # a return, or a call that was inlined: nothing tells that it ran
                lines = next_lines(branch, steps[made["ordinal"] + 1 :], by_block) if runs else set()
                if runs and lines and (lines <= set(runs) or not lines & set(runs)):
                    where = f"{function['name']} {branch['file']}:{branch['line']} taken={made['taken']}"
                    yield where, lines <= set(runs), known.holds(branch, bool(made["taken"]))


def test_a_condition_is_as_what_ran_next_says() -> None:
    told = 0
    for path in sorted((ROOT / "traces").glob("*bsd*.trace")):
        with Trace(str(path)) as trace:
            found = list(judged(trace))
        wrong = [where for where, ran, said in found if said is not None and said != ran]
        assert not wrong, (path, wrong)
        told += sum(said is not None for _, _, said in found)
    assert told >= 40
