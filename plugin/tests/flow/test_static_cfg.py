# SPDX-License-Identifier: MIT
"""`cfg`: a function's graph as text, JSON, DOT and SVG; from a kernel and from a trace."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from clockscope.model import flow_graph
from clockscope._core import TraceWriter
from clockscope.base.errors import UserError
from clockscope.reports import cfg as report
from clockscope.base.ui import TerminalUi
from gdbrun import Transcript
from guest import ROOT, Machine

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def check_schema(text: str) -> list[flow_graph.Record]:
    schema = json.loads((ROOT / "schemas/cfg.schema.json").read_text())
    found: list[flow_graph.Record] = json.loads(text)
    jsonschema.validate(found, schema)
    return found


@pytest.fixture(scope="module")
def vmlinux() -> Path:
    return Machine().vmlinux


def test_text(program: Program, vmlinux: Path) -> None:
    done = program("cfg", vmlinux, "tsc_read_refs")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tsc_read_refs  arch/x86/kernel/tsc.c:")
    assert "9 blocks, 4 branches, 1 timing window\n" in done.stdout
    assert "2 probes leave some ways open" in done.stdout
    assert "a loop polls a clock" in done.stdout
    rdtsc = [line for line in lines if " rdtsc " in line]
    assert len(rdtsc) == 2
    assert all("in rdtsc" in line and "clock read; in a window" in line for line in rdtsc)
    assert re.search(r"cmove\w+ .*stands for a branch \(if e\)", done.stdout)
    assert re.search(r"callq? hpet_readl", done.stdout)
    assert len([line for line in lines if "●" in line]) == 2
    # No probe is shown in a window.
    assert not [line for line in lines if "●" in line and "in a window" in line]


def test_every_instruction(program: Program, vmlinux: Path) -> None:
    short = program("cfg", vmlinux, "tsc_read_refs").stdout
    everything = program("cfg", vmlinux, "tsc_read_refs", "--all").stdout
    assert "testl %ebp, %ebp" not in short
    assert "testl %ebp, %ebp" in everything


def test_intrusive_plan(program: Program, vmlinux: Path) -> None:
    done = program("cfg", vmlinux, "tsc_read_refs", "--intrusive", "--virtual")
    assert "probes tell every path" in done.stdout
    assert [line for line in done.stdout.splitlines() if "●" in line and "in a window" in line]


def test_json(program: Program, vmlinux: Path) -> None:
    (found,) = check_schema(program("cfg", vmlinux, "tsc_refine_calibration_work", "--format", "json").stdout)
    assert found["source"].startswith("arch/x86/kernel/tsc.c:")
    assert found["determined"]
    assert found["invocations"] is None
    assert any(block["cold"] for block in found["blocks"])
    numbers = {block["number"] for block in found["blocks"]}
    assert numbers == set(range(len(numbers)))
    assert all(edge["to"] in numbers for block in found["blocks"] for edge in block["next"])
    instructions = [one for block in found["blocks"] for one in block["instructions"]]
    assert [one for one in instructions if one["kind"] == "call" and one["target"] == "tsc_read_refs"]
    assert len([one for one in instructions if "entry" in one["probe"]]) == 1
    assert found["branches"] == sum(one["kind"] == "branch" for one in instructions)


def test_source_text(program: Program, vmlinux: Path, tmp_path: Path) -> None:
    plain = json.loads(program("cfg", vmlinux, "tsc_read_refs", "--format", "json").stdout)
    one = next(one for block in plain[0]["blocks"] for one in block["instructions"] if one["kind"] == "branch")
    file, line = one["source"].rsplit(":", 1)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("\n" * (int(line) - 1) + "\tif (hpet)\x1b[31m\n")
    done = program("cfg", vmlinux, "tsc_read_refs", "--source", tmp_path)
    assert f"{Path(file).name}:{line}" in done.stdout
    assert "if (hpet)\\x1b[31m" in done.stdout


def test_source_tree_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "inside").write_text("inside\n")
    text = flow_graph.text_below(tmp_path / "tree")
    assert text(0, "inside", 1) == "inside"
    assert text(0, "inside", 99) is None
    assert text(0, "../secret", 1) is None
    assert text(0, str(tmp_path / "secret"), 1) is None
    with pytest.raises(UserError, match="no such directory"):
        flow_graph.text_below(tmp_path / "absent")


def test_dot_and_svg(program: Program, vmlinux: Path) -> None:
    drawn = program("cfg", vmlinux, "tsc_read_refs", "--format", "dot").stdout
    again = subprocess.run(["dot", "-Tplain"], input=drawn, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(r"^node B\d+ ", again, re.MULTILINE)) == 9
    assert len(re.findall(r"^edge B\d+ B\d+ ", again, re.MULTILINE)) == 12
    svg = program("cfg", vmlinux, "tsc_read_refs", "--format", "svg").stdout
    assert ElementTree.fromstring(svg).tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["VMLINUX", "no_such_function"], "no function is called no_such_function"),
        (["/nonexistent", "tsc_init"], "/nonexistent: cannot be opened"),
        ([__file__, "tsc_init"], "not an ELF file"),
        (["tsc_init"], "no kernel was named"),
        (["--trace", "/nonexistent", "tsc_init"], "/nonexistent"),
        (["VMLINUX", "tsc_init", "--trace", "x.trace"], "leave the ELF file out"),
        (["VMLINUX", "tsc_init", "--source", "/nonexistent"], "no such directory"),
    ],
)
def test_mistakes_take_one_line(program: Program, vmlinux: Path, arguments: list[str], said: str) -> None:
    done = program("cfg", *(str(vmlinux) if one == "VMLINUX" else one for one in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


ROWS = """
INSERT INTO function VALUES (1, 'work', 0x1000, 'a.c', 10, 0, '');
INSERT INTO block VALUES (1, 0, 0x1000, 0x1004, 0, 0, 0), (1, 1, 0x1004, 0x1008, 1, 0, 1), (1, 2, 0x1008, 0x1009, 0, 1, 0),
                         (1, 3, 0x1009, 0x100a, 0, 0, 0);
INSERT INTO edge VALUES (1, 0, 1, 'next'), (1, 0, 3, 'taken'), (1, 1, 2, 'next');
INSERT INTO instruction (function, address, block, kind, condition, target, text, file, line, inlined) VALUES
    (1, 0x1000, 0, 'branch', 'e', 0x1009, 'je 0x1009', 'a.c', 11, ''),
    (1, 0x1004, 1, 'rdtsc', '', NULL, 'rdtsc', 'a.c', 12, ''),
    (1, 0x1008, 2, 'other', '', NULL, 'retq' || char(27), 'a.c', 13, ''),
    (1, 0x1009, 3, 'other', '', NULL, 'retq', 'a.c', 14, '');
INSERT INTO source VALUES ('a.c', 11, 'if (x)');
INSERT INTO window VALUES (1, 0, 0x1004, 0x1008, 0);
INSERT INTO probe VALUES (1, 0x1000, 0, 3, 0);
"""


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A trace of a function that ran three times, once with a gap, and one block of it never."""
    path = tmp_path / "boot.trace"
    TraceWriter(str(path)).close(True, "the guest was idle")
    with sqlite3.connect(path) as database:
        database.executescript(ROWS)
        columns = [row[1] for row in database.execute("PRAGMA table_info(invocation)")]
        values = dict.fromkeys(columns, 0) | {
            "function": 1,
            "thread": "",
            "task": "",
            "caller_name": "",
            "returned": "yes",
        }
        steps = [row[1] for row in database.execute("PRAGMA table_info(step)")]
        ways: list[list[int | None]] = [[0, 3], [0, 3], [0, None, 2]]
        for number, way in enumerate(ways, 1):
            row = values | {"id": number, "seq": number}
            database.execute(f"INSERT INTO invocation VALUES ({','.join('?' * len(row))})", list(row.values()))
            for ordinal, block in enumerate(way):
                step = dict.fromkeys(steps) | {"invocation": number, "ordinal": ordinal, "block": block}
                database.execute(f"INSERT INTO step VALUES ({','.join('?' * len(step))})", list(step.values()))
        database.execute("INSERT INTO gap_block VALUES (3, 1, 1, 0)")
    return path


def test_what_ran(program: Program, traced: Path) -> None:
    (found,) = check_schema(program("cfg", "--trace", traced, "work", "--format", "json").stdout)
    runs = {block["number"]: (block["runs"], block["perhaps"]) for block in found["blocks"]}
    assert runs == {0: (3, False), 1: (0, True), 2: (1, False), 3: (2, False)}
    edges = {(block["number"], edge["to"]): edge["runs"] for block in found["blocks"] for edge in block["next"]}
    assert edges == {(0, 1): 0, (0, 3): 2, (1, 2): 0}
    assert found["invocations"] == 3
    assert found["blocks"][0]["instructions"][0]["text"] == "if (x)"
    done = program("cfg", "--trace", traced, "w*")
    assert "called 3 times" in done.stdout
    assert "B3 0x1009 ×2" in done.stdout
    assert "B1 0x1004 ?" in done.stdout
    assert "\x1b" not in done.stdout
    assert "palegreen" in program("cfg", "--trace", traced, "work", "--format", "dot").stdout


def _block(number: int, runs: int, *ways: tuple[int, int]) -> flow_graph.Record:
    kind = "branch" if len(ways) > 1 else "other"
    following = [{"to": to, "kind": "next", "runs": times} for to, times in ways]
    return {"number": number, "runs": runs, "next": following, "instructions": [{"kind": kind}]}


def test_bounds() -> None:
    """A diamond of which one arm ran 8 times and the other 2 times: the spanning tree leaves out the seldom one."""
    blocks = [_block(0, 10, (1, 8), (2, 2)), _block(1, 8, (3, 8)), _block(2, 2, (3, 2)), _block(3, 10)]
    diamond = {"blocks": blocks}
    assert flow_graph.knuth_stops(diamond) == 2
    assert flow_graph.naive_stops(diamond) == 10
    line = {"blocks": [_block(0, 3, (1, 3)), _block(1, 3)]}
    assert flow_graph.knuth_stops(line) == 0
    assert flow_graph.naive_stops(line) == 0
    loop = {"blocks": [_block(0, 1, (1, 1)), _block(1, 50, (1, 49), (2, 1)), _block(2, 1)]}
    assert flow_graph.knuth_stops(loop) == 49  # as often as it goes round
    assert flow_graph.naive_stops(loop) == 50


def test_traces_without_the_function(program: Program, traced: Path, tmp_path: Path) -> None:
    done = program("cfg", "--trace", traced, "other")
    assert done.returncode == 2
    assert "no traced function is called other; traced are: work" in done.stderr
    TraceWriter(str(tmp_path / "empty.trace")).close(True, "the guest was idle")
    assert "holds no branch traces" in program("cfg", "--trace", tmp_path / "empty.trace", "work").stderr


def test_names_cannot_steer_the_terminal_or_the_drawing() -> None:
    hostile = 'x"];\x1b[2J\\'
    one = dict.fromkeys(("condition", "target", "source", "inlined", "patched"), hostile)
    instruction = {**one, "address": "0x1", "kind": "branch", "instruction": hostile, "text": hostile, "port": None,
                   "in_window": False, "probe": ["entry"]}  # fmt: skip
    block = {"number": 0, "from": "0x1", "to": "0x2", "depth": 0, "cold": False, "gaps": [], "exits": ["returns"],
             "runs": None, "perhaps": None, "surely": None, "next": [], "instructions": [instruction]}  # fmt: skip
    record = {"function": hostile, "entry": "0x1", "source": hostile, "complete": True, "determined": True, "traceable": True,
              "branches": 1, "stops": 1.0, "naive_stops": 1.0, "invocations": None, "windows": [], "blocks": [block]}  # fmt: skip
    assert "\x1b" not in report.text(record, TerminalUi())
    drawn = report.dot(record)
    assert "\x1b" not in drawn
    subprocess.run(["dot", "-Tplain"], input=drawn, text=True, capture_output=True, check=True)


def test_in_gdb(gdb: Callable[..., Transcript], vmlinux: Path, tmp_path: Path) -> None:
    """GDB's symbol file is the kernel, and GDB finds the source."""
    tree = tmp_path / "tree" / "arch/x86/kernel"
    tree.mkdir(parents=True)
    (tree / "tsc.c").write_text("".join(f"text of line {number};\n" for number in range(1, 2000)))
    done = gdb([f"file {vmlinux}", f"set substitute-path . {tmp_path / 'tree'}", f"directory {tmp_path / 'tree'}",
                "clock cfg tsc_read_refs"])  # fmt: skip
    assert "a loop polls a clock" in done.text
    assert re.search(r"tsc\.c:(\d+) +text of line \1;", done.text)
