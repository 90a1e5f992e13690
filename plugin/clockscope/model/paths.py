# SPDX-License-Identifier: MIT
"""The branch traces of a trace file, as schemas/path.schema.json describes them. Read from rows alone."""

import fnmatch
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope._core import Trace
from clockscope.arch.known import PROCESSOR
from clockscope.model.annotated import Runs, sections
from clockscope.model.calls import base_name
from clockscope.model.copies import Copies
from clockscope.model.changes_made import Uses
from clockscope.base.errors import UserError
from clockscope.model.conditions import Conditions
from clockscope.model.source_text import Source
from clockscope.model.registers import CONDITIONAL, Registers, compared, outcome

Record = dict[str, Any]

_UNSIGNED = 1 << 64


def functions(trace: Trace, pattern: str | None = None, source: Source | None = None) -> list[Record]:
    """Each traced function whose name matches the glob, in order of name; where none does, those that one that matches is
    inlined into. `source`: where its text is, if not in the trace."""
    rows = trace.rows("SELECT * FROM function ORDER BY name, entry")
    if not rows:
        raise UserError("this trace holds no branch traces; record with --functions, or a profile that names some")
    copies = Copies(trace)
    chosen = [row for row in rows if pattern is None or _matches(row["name"], pattern)]
    if not chosen and pattern is not None:
        chosen = _containers(rows, copies, pattern)
    if not chosen:
        names = ", ".join(sorted({str(row["name"]) for row in rows}))
        raise UserError(f"no traced function is called {pattern}; traced are: {names}")
    registers = Registers(trace)
    texts = source or Source(trace)
    return [
        {**Function(trace, row, registers, texts).record(), "inlined": copies.of(base_name(row["name"]))}
        for row in chosen
    ]


def _containers(rows: Sequence[Record], copies: Copies, pattern: str) -> list[Record]:
    """The traced functions that have code of one that matches. It says so in their notes."""
    found = []
    for row in rows:
        inside = [
            name
            for name in copies.names()
            if _matches(name, pattern) and any(copy["within"] == row["name"] for copy in copies.of(name))
        ]
        if inside:
            said = f"{', '.join(inside)} {'is' if len(inside) == 1 else 'are'} inlined into it"
            found.append({**row, "note": "; ".join(filter(None, (said, row["note"])))})
    return found


def _matches(name: str, pattern: str) -> bool:
    """A function's parts (`f.part.0`) answer to its name."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(base_name(name), pattern)


def _unsigned(value: int | None) -> int | None:
    return None if value is None else value % _UNSIGNED


def _hex(value: int) -> str:
    return f"{value % _UNSIGNED:#x}"


def source(file: str, line: int) -> str:
    """ "kernel/time/tick-common.c:210"; empty where it is not known."""
    return f"{file}:{line}" if file and line else file


class Function:
    """One traced function: a row of table function, and what hangs on it."""

    def __init__(
        self, trace: Trace, row: Record, registers: Registers | None = None, source: Source | None = None
    ) -> None:
        self._trace = trace
        self._row = row
        self._id = row["id"]
        self._registers = registers or Registers(trace)
        self._blocks = {block["number"]: block for block in self._rows("block", "number")}
        self._instructions = self._rows("instruction", "address")
        self._by_address = {row["address"]: row for row in self._instructions}
        self._windows = self._rows("window", "number")
        self._source = source or Source(trace)
        self._by_block: dict[int, list[Record]] = {}
        for instruction in self._instructions:
            self._by_block.setdefault(instruction["block"], []).append(instruction)
        self._variables: dict[tuple[int, str], str] = {
            (row["address"], row["operand"]): row["name"] for row in self._rows("variable", "address")
        }
        self._uses = Uses(trace, self._id)
        edges = trace.rows("SELECT * FROM edge WHERE function = ?", [self._id])
        self._conditions = Conditions(row["name"], self._instructions, edges, self._source)

    def _rows(self, table: str, order: str) -> list[Record]:
        # Both names are this file's own.
        return self._trace.rows(f"SELECT * FROM {table} WHERE function = ? ORDER BY {order}", [self._id])

    def decisions(self, invocation: int, first: int, count: int) -> list[Record]:
        """At most so many decisions of one invocation (its id), from step `first` on."""
        return [self._decision(row) for row in self._decisions(invocation, first, count)]

    def branch(self, address: int, taken: bool) -> Record:
        """The branch at an address as a decision that nobody saw."""
        return self._decision({"ordinal": None, "address": address, "taken": taken, "stop": None, "registers": None})

    def last_of(self, block: int) -> Record | None:
        """What a block ends in, told as a decision that nobody saw; None for one of which nothing is kept."""
        rows = self._by_block.get(block)
        return self.branch(rows[-1]["address"], False) if rows else None

    def record(self) -> Record:
        invocations = self._trace.rows("SELECT * FROM invocation WHERE function = ? ORDER BY seq", [self._id])
        ran: set[int] = set()
        perhaps: set[int] = set()
        self._runs = Runs(self._instructions)
        records = [self._invocation(n, row, ran, perhaps) for n, row in enumerate(invocations, 1)]
        shown = self._annotated(records, perhaps)
        returns = [section.pop("returns") for section in shown]
        if returns and not returns[0]:
            records = [{**record, "value": None} for record in records]
        return {
            "function": self._row["name"],
            "source": source(self._row["file"], self._row["line"]),
            "note": self._row["note"],
            "invocations": records,
            "never_reached": list(self._never_reached(ran, perhaps)),
            "annotated": shown,
        }

    def _annotated(self, records: Sequence[Record], perhaps: set[int]) -> list[Record]:
        """The source with how often each line ran; nothing where it is not at hand."""
        branches = [row for row in self._instructions if row["kind"] == "branch"]
        made = {one["address"] for record in records for one in record["decisions"] if one["condition"] is not None}
        decided = [(row["file"], row["line"]) for row in branches if _hex(row["address"]) in made]
        inlined = {(row["file"], row["line"]): row["inlined"] for row in branches}
        return list(sections(self._row["name"], self._runs, perhaps, decided, self._source, inlined))

    def _invocation(self, n: int, row: Record, ran: set[int], perhaps: set[int]) -> Record:
        steps = self._trace.rows("SELECT * FROM step WHERE invocation = ? ORDER BY ordinal", [row["id"]])
        decisions = self._decisions(row["id"])
        gaps = self._gaps(row["id"])
        ran.update(step["block"] for step in steps if step["block"] is not None)
        for blocks in gaps.values():
            ran.update(block for block, certain in blocks if certain)
            perhaps.update(block for block, _ in blocks)
        self._runs.add(steps, [block for blocks in gaps.values() for block, certain in blocks if certain])
        shown = [self._decision(decision) for decision in decisions]
        self._uses.mark(row, shown)
        return {
            "n": n,
            "seq": row["seq"],
            "run_ns": row["run_ns"],
            "end_run_ns": row["end_run_ns"],
            "cpu": row["cpu"],
            "task": row["task"].rstrip("\0"),
            "caller": row["caller_name"] or _hex(row["caller"]),
            "returned": row["returned"],
            "value": _unsigned(row["value"]),
            "complete": bool(row["complete"]),
            "consistent": bool(row["consistent"]),
            "blocks": [
                None if step["block"] is None else _hex(self._blocks[step["block"]]["from_address"]) for step in steps
            ],
            "decisions": shown,
            "choices": list(self._choices(row, steps, decisions)),
            "interventions": self._interventions(row, steps, gaps, {decision["address"] for decision in shown}),
            "windows": [self._window(window, row) for window in self._passes(row["id"])],
            "gaps": [self._gap(ordinal, blocks, decisions) for ordinal, blocks in sorted(gaps.items())],
        }

    def _gaps(self, invocation: int) -> dict[int, list[tuple[int, bool]]]:
        gaps: dict[int, list[tuple[int, bool]]] = {}
        for row in self._trace.rows("SELECT * FROM gap_block WHERE invocation = ?", [invocation]):
            gaps.setdefault(row["ordinal"], []).append((row["block"], bool(row["certain"])))
        return gaps

    def _decisions(self, invocation: int, first: int = 0, count: int = -1) -> list[Record]:
        return self._trace.rows(
            "SELECT d.*, s.registers FROM decision d LEFT JOIN stop s ON s.seq = d.stop"
            " WHERE d.invocation = ? AND d.ordinal >= ? ORDER BY d.ordinal LIMIT ?",
            [invocation, first, count],
        )

    def _decision(self, row: Record) -> Record:
        instruction = self._by_address.get(row["address"], {})
        file, line = instruction.get("file", ""), instruction.get("line", 0)
        return {
            "step": row["ordinal"],
            "address": _hex(row["address"]),
            "source": source(file, line),
            "text": self._source.text(file, line),
            "inlined": instruction.get("inlined", ""),
            "instruction": instruction.get("text", ""),
            "taken": bool(row["taken"]),
            "condition": self._conditions.holds(instruction, bool(row["taken"])) if instruction else None,
            "to": self._line_of(instruction, bool(row["taken"])),
            "seen": row["stop"] is not None,
            "forced": self._uses.at_stop(row["address"], row["stop"]),
            "values": self._values(instruction, row["registers"]),
            "variables": self._names(instruction),
        }

    def _line_of(self, instruction: Mapping[str, Any], taken: bool) -> str:
        """The source line that the branch led to."""
        if taken:
            address = instruction.get("target")
        else:
            later = [row["address"] for row in self._instructions if row["address"] > instruction.get("address", 0)]
            address = later[0] if later else None
        to = self._by_address.get(address, {}) if address is not None else {}
        return source(to.get("file", ""), to.get("line", 0))

    def _values(self, instruction: Mapping[str, Any], blob: bytes | None) -> dict[str, int]:
        """What the registers held that the branch's flags came from."""
        named = [operand[1:] for operand in self._compared(instruction) if operand.startswith("%")]
        held = {name: None if blob is None else self._registers.part(blob, name) for name in named}
        return {name: value for name, value in held.items() if value is not None}

    def _names(self, instruction: Mapping[str, Any]) -> dict[str, str]:
        """The variables of the source that these operands were."""
        names = {one: self._variables.get((instruction["address"], one)) for one in self._compared(instruction)}
        return {operand: name for operand, name in names.items() if name}

    def _compared(self, instruction: Mapping[str, Any]) -> Sequence[str]:
        return compared(self._by_block[instruction["block"]], instruction) if instruction else []

    def _choices(self, invocation: Record, steps: Sequence[Record], decisions: Sequence[Record]) -> Iterator[Record]:
        """The cmov and setcc of a path: branches of the source that the compiler made no jump of."""
        seen = self._flags_seen(invocation, steps, decisions)
        for step in steps:
            block = self._by_block.get(step["block"], [])
            for row in (row for row in block if row["kind"] in CONDITIONAL):
                yield {
                    "step": step["ordinal"],
                    "address": _hex(row["address"]),
                    "source": source(row["file"], row["line"]),
                    "text": self._source.text(row["file"], row["line"]),
                    "inlined": row["inlined"],
                    "instruction": row["text"],
                    "held": outcome(block, row, seen.get(step["ordinal"], [])),
                }

    def _flags_seen(
        self, invocation: Record, steps: Sequence[Record], decisions: Sequence[Record]
    ) -> dict[int, list[tuple[int, int]]]:
        """By step: where the invocation's stops showed flags, and these."""
        stops = [(row["ordinal"], row["address"], row["registers"]) for row in decisions if row["registers"]]
        ends = self._trace.rows(
            "SELECT seq, address, registers FROM stop WHERE seq IN (?, ?)", [invocation["seq"], invocation["end_seq"]]
        )
        for row in ends if steps else []:
            step = steps[0] if row["seq"] == invocation["seq"] else steps[-1]
            stops.append((step["ordinal"], row["address"], row["registers"]))
        blocks = {step["ordinal"]: step["block"] for step in steps}
        seen: dict[int, list[tuple[int, int]]] = {}
        for ordinal, address, blob in stops:
            flags = self._registers.value(blob, PROCESSOR.flags)
            if flags is not None and self._by_address.get(address, {}).get("block") == blocks.get(ordinal, -1):
                seen.setdefault(ordinal, []).append((address, flags))
        return seen

    def _passes(self, invocation: int) -> list[Record]:
        return self._trace.rows("SELECT * FROM window_pass WHERE invocation = ? ORDER BY number", [invocation])

    def _window(self, row: Record, invocation: Record) -> Record:
        window = self._windows[row["window"]]
        low, high = window["from_address"], window["to_address"]
        return {
            "step": row["first_step"],
            "from": _hex(low),
            "to": _hex(high),
            "lines": self._span([(low, high)]),
            "polls": bool(window["polls"]),
            "stops_inside": row["stops_inside"] + self._uses.count(invocation, low, high),
            "tries_min": row["tries_min"],
            "tries_max": row["tries_max"],
        }

    def _interventions(
        self, row: Record, steps: Sequence[Record], gaps: Mapping[int, Sequence[tuple[int, bool]]], decided: set[str]
    ) -> list[Record]:
        """What was changed in an invocation, each with the first step that it can have been in."""
        found = []
        for use in self._uses.grouped(row):
            block = self._by_address[use["address"]]["block"]
            there = (
                step["ordinal"]
                for step in steps
                if step["block"] == block or any(one == block for one, _ in gaps.get(step["ordinal"], ()))
            )
            record = {key: use[key] for key in ("kind", "option", "was", "became", "times")}
            address = _hex(use["address"])
            place = {"step": next(there, 0), "address": address, "source": source(use["file"], use["line"])}
            found.append({**place, **record, "in_decisions": use["kind"] == "force" and address in decided})
        return found

    def _gap(self, ordinal: int, blocks: Sequence[tuple[int, bool]], decisions: Sequence[Record]) -> Record:
        # A branch that stops saw before is within a gap where its probe was hit too often and lifted.
        counted = Counter(row["address"] for row in decisions if row["stop"] is not None and row["ordinal"] < ordinal)
        inside = {number for number, _ in blocks}
        rounds = [
            count for address, count in counted.items() if self._by_address.get(address, {}).get("block") in inside
        ]
        places = [self._blocks[block] for block, _ in blocks]
        return {
            "step": ordinal,
            "lines": self._span([(place["from_address"], place["to_address"]) for place in places]),
            "at_least": max(rounds, default=None),
            "blocks": [
                {"block": _hex(place["from_address"]), "certain": certain}
                for place, (_, certain) in zip(places, blocks, strict=True)
            ],
        }

    def _span(self, ranges: Sequence[tuple[int, int]]) -> str:
        """ "tsc.c:272-279": the lines of the function's own file in some ranges of addresses."""
        lines = [
            row["line"]
            for row in self._instructions
            if row["line"]
            and row["file"] == self._row["file"]
            and any(low <= row["address"] < high for low, high in ranges)
        ]
        return f"{source(self._row['file'], min(lines))}-{max(lines)}" if lines else ""

    def _never_reached(self, ran: set[int], perhaps: set[int]) -> Iterator[Record]:
        """Source lines of which no instruction ran in any invocation; `perhaps` where a gap leaves it open."""
        lines: dict[tuple[str, int], set[int]] = {}
        for row in self._instructions:
            if row["file"] and row["line"]:
                lines.setdefault((row["file"], row["line"]), set()).add(row["block"])
        for (file, line), blocks in sorted(lines.items()):
            if blocks & ran:
                continue
            yield {
                "source": source(file, line),
                "text": self._source.text(file, line),
                "certain": not blocks & perhaps,
            }
