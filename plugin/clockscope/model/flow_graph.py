# SPDX-License-Identifier: MIT
"""The control-flow graph of a function as schemas/cfg.schema.json describes it: from a kernel's ELF file, or from a trace."""

import fnmatch
import linecache
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clockscope._core import Analyser, Trace
from clockscope.kernel.elffile import ElfFile
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.kernel.hints import Hints, of_kernel

Record = dict[str, Any]
"""An object of schemas/cfg.schema.json."""

Text = Callable[[int, str, int], str | None]
"""The text of the source line of an address: text(address, file, line)."""

_UNSIGNED = 1 << 64
_ROLES = {1: "entry", 2: "branch", 4: "block", 8: "return", 16: "tail call"}
_GAPS = {1: "window", 2: "patched", 4: "budget"}


def _hex(address: int) -> str:
    return f"{address % _UNSIGNED:#x}"


def _position(file: str, line: int) -> str:
    return f"{file}:{line}" if file and line else file


def _names(mask: int, names: Mapping[int, str]) -> list[str]:
    return [name for bit, name in names.items() if mask & bit]


def text_below(directory: Path) -> Text:
    """Source lines from a tree whose files are named as the compiler recorded them, from its top."""
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; give the top of the kernel's source tree")

    def text(_address: int, file: str, line: int) -> str | None:
        # What the ELF says is not trusted: it must not name files outside of the tree.
        path = (directory / file).resolve()
        if not file or not path.is_relative_to(directory.resolve()):
            return None
        return linecache.getline(str(path), line).strip() or None

    return text


def text_found_by(locate: Callable[[str, int], str | None]) -> Text:
    """Source lines from the files that a debugger finds by a line table's name and an address."""

    def text(address: int, file: str, line: int) -> str | None:
        path = locate(file, address) if file else None
        return linecache.getline(path, line).strip() or None if path else None

    return text


def no_text(_address: int, _file: str, _line: int) -> None:
    """Without source."""


# From an ELF file


def hints_of(elf: ElfFile) -> Hints:
    """What the profile of a kernel says of its functions."""
    known = profile.recognise(elf)
    return of_kernel(elf, known.branches) if known else Hints()


def from_elf(path: str, name: str, text: Text, *, intrusive: bool = False, virtual: bool = False) -> list[Record]:
    """What the compiler made of a function: itself, and parts that can be called (`f.part.0`)."""
    analyser = Analyser(path)
    hints = hints_of(ElfFile(path))
    found = analyser.analyse(
        name,
        **hints.known,
        intrusive=intrusive,
        allow_patched=virtual,
        probe_returns=True,
    )
    if not found:
        raise UserError(f"{path}: no function is called {name}")
    return [_analysed(analyser, function, text) for function in found]


def _analysed(analyser: Analyser, function: Record, text: Text) -> Record:
    entry = analyser.source(function["entry"])
    probes = {probe["address"]: probe for probe in function["probes"]}
    return {
        "function": function["function"],
        "entry": _hex(function["entry"]),
        "source": _position(*entry[-1][1:]) if entry else "",
        "complete": function["complete"],
        "determined": function["determined"],
        "traceable": function["traceable"],
        "branches": function["branches"],
        "stops": round(function["stops"], 3),
        "naive_stops": round(function["naive_stops"], 3),
        "invocations": None,
        "windows": [
            {"from": _hex(window["from"]), "to": _hex(window["to"]), "polls": window["polls"]}
            for window in function["windows"]
        ],
        "blocks": [_analysed_block(analyser, block, probes, text) for block in function["blocks"]],
    }


def _analysed_block(analyser: Analyser, block: Record, probes: Mapping[int, Record], text: Text) -> Record:
    return {
        "number": block["number"],
        "from": _hex(block["start"]),
        "to": _hex(block["end"]),
        "depth": block["depth"],
        "cold": block["cold"],
        "gaps": block["gaps"],
        "exits": block["exits"],
        "runs": None,
        "perhaps": None,
        "surely": None,
        "next": [{**edge, "runs": None} for edge in block["next"]],
        "instructions": [_analysed_instruction(analyser, one, probes, text) for one in block["instructions"]],
    }


def _analysed_instruction(analyser: Analyser, one: Record, probes: Mapping[int, Record], text: Text) -> Record:
    levels = analyser.source(one["address"])
    function, file, line = levels[0] if levels else ("", "", 0)
    target = analyser.symbol_at(one["target"]) if one["kind"] in ("call", "jump") and one["target"] else ""
    probe = probes.get(one["address"])
    return {
        "address": _hex(one["address"]),
        "kind": one["kind"],
        "condition": one["condition"],
        "instruction": one["text"],
        "target": target,
        "source": _position(file, line),
        "text": text(one["address"], file, line),
        "inlined": function if len(levels) > 1 else "",
        "port": one["port"] if one["port"] >= 0 else None,
        "patched": one["site"],
        "in_window": one["in_window"],
        "probe": probe["roles"] if probe else [],
    }


# From a trace


def from_trace(trace: Trace, pattern: str) -> list[Record]:
    """The graphs that a trace keeps of the functions that match, with how often each block and edge ran."""
    return list(each_from_trace(trace, pattern))


def each_from_trace(trace: Trace, pattern: str) -> Iterator[Record]:
    """The same, one after the other: all of them may be many."""
    rows = trace.rows("SELECT * FROM function ORDER BY name, entry")
    if not rows:
        raise UserError("this trace holds no branch traces; record with --functions, or a profile that names some")
    chosen = [row for row in rows if fnmatch.fnmatchcase(row["name"].split(".")[0], pattern) or row["name"] == pattern]
    if not chosen:
        names = ", ".join(sorted({str(row["name"]) for row in rows}))
        raise UserError(f"no traced function is called {pattern}; traced are: {names}")
    for row in chosen:
        yield _Traced(trace, row).record()


class _Traced:
    def __init__(self, trace: Trace, row: Record) -> None:
        self._trace = trace
        self._row = row
        self._probes = {probe["address"]: probe for probe in self._rows("probe")}
        self._windows = self._rows("window")
        self._texts = {
            (line["file"], line["line"]): line["text"]
            for line in trace.rows(
                "SELECT DISTINCT s.file, s.line, s.text FROM source s JOIN instruction i USING (file, line)"
                " WHERE i.function = ?",
                [row["id"]],
            )
        }
        self._names = {
            entry["entry"]: entry["name"] for entry in trace.rows("SELECT DISTINCT entry, name FROM function")
        }
        self._runs, self._edges = self._executions()
        self._gaps = self._in_gaps()

    def _rows(self, table: str) -> list[Record]:
        # The table's name is this file's own.
        return self._trace.rows(f"SELECT * FROM {table} WHERE function = ?", [self._row["id"]])

    def _executions(self) -> tuple[Counter[int], Counter[tuple[int, int]]]:
        """How often each block ran, and each edge between two blocks of known paths."""
        runs: Counter[int] = Counter()
        edges: Counter[tuple[int, int]] = Counter()
        last: tuple[int, int] | None = None
        for step in self._trace.rows(
            "SELECT s.* FROM step s JOIN invocation i ON i.id = s.invocation WHERE i.function = ?"
            " ORDER BY s.invocation, s.ordinal",
            [self._row["id"]],
        ):
            if step["block"] is None:
                last = None
                continue
            runs[step["block"]] += 1
            if last is not None and last[0] == step["invocation"]:
                edges[last[1], step["block"]] += 1
            last = (step["invocation"], step["block"])
        return runs, edges

    def _in_gaps(self) -> dict[int, bool]:
        """The blocks that may have run in a gap, and whether one surely did."""
        rows = self._trace.rows(
            "SELECT g.block, max(g.certain) AS certain FROM gap_block g JOIN invocation i ON i.id = g.invocation"
            " WHERE i.function = ? GROUP BY g.block",
            [self._row["id"]],
        )
        return {row["block"]: bool(row["certain"]) for row in rows}

    def record(self) -> Record:
        instructions: dict[int, list[Record]] = {}
        for row in sorted(self._rows("instruction"), key=lambda row: int(row["address"]) % _UNSIGNED):
            instructions.setdefault(row["block"], []).append(row)
        successors: dict[int, list[Record]] = {}
        for edge in self._rows("edge"):
            successors.setdefault(edge["source"], []).append(edge)
        invocations = self._trace.rows("SELECT count(*) AS n FROM invocation WHERE function = ?", [self._row["id"]])
        branches = [row for block in instructions.values() for row in block if row["kind"] == "branch"]
        return {
            "function": self._row["name"],
            "entry": _hex(self._row["entry"]),
            "source": _position(self._row["file"], self._row["line"]),
            "complete": True,
            "determined": bool(self._row["determined"]),
            "traceable": bool(self._probes),
            "branches": len(branches),
            "stops": None,
            "naive_stops": None,
            "invocations": invocations[0]["n"],
            "windows": [
                {"from": _hex(window["from_address"]), "to": _hex(window["to_address"]), "polls": bool(window["polls"])}
                for window in self._windows
            ],
            "blocks": [
                self._block(block, instructions.get(block["number"], []), successors.get(block["number"], []))
                for block in sorted(self._rows("block"), key=lambda block: int(block["from_address"]) % _UNSIGNED)
            ],
        }

    def _block(self, block: Record, instructions: Sequence[Record], successors: Iterable[Record]) -> Record:
        number = block["number"]
        return {
            "number": number,
            "from": _hex(block["from_address"]),
            "to": _hex(block["to_address"]),
            "depth": block["depth"],
            "cold": bool(block["cold"]),
            "gaps": _names(block["gaps"], _GAPS),
            "exits": [],
            "runs": self._runs[number],
            "perhaps": number in self._gaps,
            "surely": self._gaps.get(number, False),
            "next": [
                {"to": edge["target"], "kind": edge["kind"], "runs": self._edges[number, edge["target"]]}
                for edge in successors
            ],
            "instructions": [self._instruction(row) for row in instructions],
        }

    def _instruction(self, row: Record) -> Record:
        probe = self._probes.get(row["address"])
        inside = any(
            window["from_address"] % _UNSIGNED <= row["address"] % _UNSIGNED < window["to_address"] % _UNSIGNED
            for window in self._windows
        )
        return {
            "address": _hex(row["address"]),
            "kind": row["kind"],
            "condition": row["condition"],
            "instruction": row["text"],
            "target": self._names.get(row["target"], "") if row["kind"] in ("call", "jump") else "",
            "source": _position(row["file"], row["line"]),
            "text": self._texts.get((row["file"], row["line"]), "").strip() or None,
            "inlined": row["inlined"],
            "port": None,
            "patched": "",
            "in_window": inside,
            "probe": _names(probe["roles"], _ROLES) if probe else [],
        }


# Bounds


def knuth_stops(graph: Record) -> int:
    """The fewest stops, beside one at each entry, that count every edge of a traced function's known paths: Knuth's bound.

    The edges on a spanning tree of the graph and its outside need no probe, for what flows into a block flows out of it
    (Knuth and Stevenson, "Optimal measurement points for program frequency counts", BIT 13, 1973); the tree that is
    run most often leaves the fewest stops.
    """
    outside = -1
    edges = []
    for block in graph["blocks"]:
        edges += [(edge["runs"], block["number"], edge["to"]) for edge in block["next"]]
        edges.append((block["runs"] - sum(edge["runs"] for edge in block["next"]), block["number"], outside))
    group = {block["number"]: block["number"] for block in graph["blocks"]} | {outside: outside}

    def root(node: int) -> int:
        while group[node] != node:
            node = group[node]
        return node

    stops = 0
    for runs, start, end in sorted(edges, reverse=True):
        if root(start) == root(end):
            stops += max(runs, 0)
        group[root(start)] = root(end)
    return stops


def naive_stops(graph: Record) -> int:
    """The stops of a traced function's known paths if each conditional jump carried a probe."""
    return sum(
        block["runs"]
        for block in graph["blocks"]
        if block["instructions"] and block["instructions"][-1]["kind"] == "branch"
    )
