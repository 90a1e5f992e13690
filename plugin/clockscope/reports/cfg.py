# SPDX-License-Identifier: MIT
"""A function's control-flow graph for people: as text, and as Graphviz's DOT."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope.arch.known import PROCESSOR
from clockscope.reports.path import short
from clockscope.reports.table import Cell, Column, render, styled
from clockscope.base.ui import counted, Ui, cut, one_line

Record = dict[str, Any]
"""An object of schemas/cfg.schema.json."""

_COLUMNS = [Column("address"), Column("instruction"), Column("source"), Column("text"), Column("notes")]
_CLOCKS = PROCESSOR.clocks
_CONDITIONAL = ("branch", *PROCESSOR.choices)
# What else tells a reader where he is.
_LANDMARKS = (*_CLOCKS, *_CONDITIONAL, "call", "indirect call", "indirect jump", *PROCESSOR.landmarks, "trap")
_TEXT_LIMIT = 60
_LINE_MAX = 400  # of a drawing
_LABEL_MAX = 16_000
# Ports of the clocks of a PC: 8254 and its gate, RTC, and the port that Linux writes to for a delay.
_PORTS = {
    0x40: "PIT counter 0",
    0x41: "PIT counter 1",
    0x42: "PIT counter 2",
    0x43: "PIT command",
    0x61: "PIT gate",
    0x70: "RTC index",
    0x71: "RTC data",
    0x80: "delay",
}


def text(graph: Record, ui: Ui, *, everything: bool = False) -> str:
    return "\n".join([*_head(graph, ui), *_body(graph, ui, everything)]) + "\n"


def _head(graph: Record, ui: Ui) -> Iterator[str]:
    name = one_line(graph["function"])
    yield styled(f"{name}  {one_line(graph['source']) or graph['entry']}", "bold", ui.colour)
    counts = f"{counted(len(graph['blocks']), 'block')}, {graph['branches']} branch{'es' * (graph['branches'] != 1)}"
    counts += f", {counted(len(graph['windows']), 'timing window')}"
    if graph["invocations"] is not None:
        counts += f", called {counted(graph['invocations'], 'time')}"
    yield "  " + counts
    yield "  " + _plan(graph)
    for window in graph["windows"]:
        polls = "a loop polls a clock, or waits for one" if window["polls"] else "between two reads of a clock"
        yield f"  window {window['from']} to {window['to']}: {polls}; no probe stands in it by default"
    if not graph["complete"]:
        yield "  an indirect jump's targets are not known: what lies behind it is missing here"


def _plan(graph: Record) -> str:
    if not graph["traceable"]:
        return "no probes: its entry lies on text that the kernel patches, or in a timing window"
    count = sum(bool(one["probe"]) for block in graph["blocks"] for one in block["instructions"])
    verb = "s" * (count == 1)
    told = f"tell{verb} every path" if graph["determined"] else f"leave{verb} some ways open (marked ?)"
    stops = graph["stops"]
    cost = (
        ""
        if stops is None
        else f"; expected {stops:.2f} stops a call for the branches, {graph['naive_stops']:.2f} if each had one"
    )
    return f"{counted(count, 'probe')} {told}{cost}"


def _body(graph: Record, ui: Ui, everything: bool) -> Iterator[str]:
    names = {block["number"]: f"B{block['number']}" for block in graph["blocks"]}
    rows: list[list[Cell | str]] = []
    for block in graph["blocks"]:
        rows.append([Cell(_title(block), "bold"), "", "", "", Cell(_state(block), "dim")])
        for one in block["instructions"]:
            if everything or one["probe"] or one["kind"] in _LANDMARKS or one["patched"]:
                rows.append(_line(one))
        rows.append(["", Cell("→ " + _ways(block, names), "dim"), "", "", ""])
    yield ""
    yield from render(_COLUMNS, rows, ui.colour, header=False)


def _title(block: Record) -> str:
    """With how often it ran, "+" for what a gap hides, "?" where a gap leaves open whether it did."""
    runs = ""
    if block["runs"] is not None:
        hidden = "+" if block["perhaps"] else ""
        least = block["runs"] or int(block["surely"])
        runs = f" ×{least}{hidden}" if least else " ?" if block["perhaps"] else " never"
    return f"B{block['number']} {block['from']}{runs}"


def _state(block: Record) -> str:
    notes = []
    if block["depth"]:
        notes.append("in a loop" if block["depth"] == 1 else f"in {block['depth']} loops")
    if block["cold"]:
        notes.append("cold")
    if block["gaps"]:
        notes.append("? " + ", ".join(block["gaps"]))
    return "; ".join(notes)


def _line(one: Record) -> list[Cell | str]:
    inlined = f"  in {one_line(one['inlined'])}" if one["inlined"] else ""
    return [
        "  " + one["address"],
        Cell(_instruction(one), "cyan" if one["kind"] in _CONDITIONAL else ""),
        short(one["source"]) + inlined,
        cut(one_line((one["text"] or "").strip()), _TEXT_LIMIT),
        Cell(one_line("; ".join(_notes(one))), "yellow"),
    ]


def _instruction(one: Record) -> str:
    """With the name of what it calls or leaves for."""
    text = one_line(one["instruction"])
    return f"{text.split(' ')[0]} {one_line(one['target'])}" if one["target"] else text


def _notes(one: Record) -> Iterator[str]:
    if one["probe"]:
        yield "● " + ", ".join(one["probe"])
    if one["kind"] in _CLOCKS:
        yield "clock read" if one["port"] is None else f"port {one['port']:#x} {_PORTS.get(one['port'], '')}".rstrip()
    if one["kind"] in ("cmov", "setcc"):
        yield f"stands for a branch (if {one['condition']})"
    if one["patched"]:
        yield one["patched"]
    if one["in_window"]:
        yield "in a window"


def _ways(block: Record, names: Mapping[int, str]) -> str:
    words = {"next": "", "taken": "taken: ", "jump": "", "table": "table: ", "alternate": "or: "}
    ways = [
        words[edge["kind"]] + names[edge["to"]] + ("" if edge["runs"] is None else f" ×{edge['runs']}")
        for edge in block["next"]
    ]
    return ", ".join([*ways, *block["exits"]]) or "leaves"


# Graphviz


def dot(graph: Record, marks: Mapping[str, str] = {}) -> str:
    """`marks` are words for the block that holds an instruction, by its address. Classes are for a page's own style."""
    lines = [
        f"digraph {_quoted(graph['function'])} {{",
        f"  label={_quoted(graph['function'] + '  ' + graph['source'])}; labelloc=t; fontname=monospace;",
        "  node [shape=box, fontname=monospace, fontsize=10, style=filled, fillcolor=white];",
        "  edge [fontname=monospace, fontsize=9];",
    ]
    for block in graph["blocks"]:
        said = [marks[one["address"]] for one in block["instructions"] if one["address"] in marks]
        lines.append(f"  B{block['number']} [{_style(block, bool(said))}, label={_label(block, said)}];")
        lines.extend(_arrow(block, edge) for edge in block["next"])
        for number, way in enumerate(block["exits"]):
            lines.append(f"  X{block['number']}_{number} [shape=plaintext, label={_quoted(way)}];")
            lines.append(f"  B{block['number']} -> X{block['number']}_{number};")
    return "\n".join([*lines, *_shaded(graph), "}", ""])


def _style(block: Record, marked: bool) -> str:
    probe = any(one["probe"] for one in block["instructions"])
    words = [*(["marked"] if marked else ()), *(["probe"] if probe else ())]
    colour = "white"
    if block["runs"] is not None:
        ran = "ran" if block["runs"] or block["surely"] else "perhaps" if block["perhaps"] else "never"
        words.append(ran)
        colour = {"ran": "palegreen", "perhaps": "khaki", "never": "gray92"}[ran]
    outline = ", color=red" if probe or marked else ""
    width = 4 if marked else 2 if probe else 1
    return f'class="{" ".join(words)}", fillcolor={colour}, penwidth={width}{outline}'


def _shaded(graph: Record) -> Iterator[str]:
    """The blocks of each timing window in a shaded frame; a block that several share stands in the first."""
    placed: set[int] = set()
    for number, window in enumerate(graph["windows"]):
        low, high = int(window["from"], 16), int(window["to"], 16)
        inside = [
            block["number"]
            for block in graph["blocks"]
            if block["number"] not in placed
            and any(one["in_window"] and low <= int(one["address"], 16) < high for one in block["instructions"])
        ]
        placed.update(inside)
        words = "timing window: a loop polls a clock, or waits for one" if window["polls"] else "timing window"
        if inside:
            yield f'  subgraph cluster_{number} {{ class="window"; style="filled,dashed"; fillcolor=lightyellow;'
            yield f'    label="{words}"; {"; ".join(f"B{block}" for block in inside)}; }}'


def _label(block: Record, said: Sequence[str]) -> str:
    """Left-aligned lines: the block, its source lines with their text, its probes."""
    lines = [_title(block), *(f"◆ {words}" for words in said)]
    shown = set()
    for one in block["instructions"]:
        if one["source"] and one["source"] not in shown:
            shown.add(one["source"])
            lines.append(f"{short(one['source'])} {cut((one['text'] or '').strip(), _TEXT_LIMIT)}".rstrip())
        if one["probe"] or one["kind"] in _CLOCKS or one["kind"] in _CONDITIONAL:
            lines.append("  " + "; ".join([_instruction(one), *_notes(one)]))
    return '"' + _fitting([_escaped(line) + "\\l" for line in lines]) + '"'


def _fitting(lines: Sequence[str]) -> str:
    """As many lines as Graphviz takes in one string: up to 16384 bytes."""
    size = 0
    for number, line in enumerate(lines):
        size += len(line.encode())
        if size > _LABEL_MAX:
            return "".join(lines[:number]) + "…\\l"
    return "".join(lines)


def _arrow(block: Record, edge: Record) -> str:
    decides = any(other["kind"] == "taken" for other in block["next"])
    words = {"taken": "yes", "next": "no" if decides else "", "jump": "", "table": "table", "alternate": "or"}
    label = words[edge["kind"]]
    if edge["runs"]:
        label = f"{label} ×{edge['runs']}".strip()
    style = "dashed" if edge["kind"] == "alternate" else "solid"
    width = 2 if edge["runs"] else 1
    ran = ', class="ran"' if edge["runs"] else ""
    return f"  B{block['number']} -> B{edge['to']} [label={_quoted(label)}, style={style}, penwidth={width}{ran}];"


def _escaped(text: str) -> str:
    line = cut(one_line(text), _LINE_MAX)
    return line.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(line: str) -> str:
    return '"' + _escaped(line) + '"'
