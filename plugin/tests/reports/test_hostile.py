# SPDX-License-Identifier: MIT
"""Texts of a hostile guest are harmless wherever they are shown: in the terminal, as DOT, CSV, Perfetto and HTML."""

import csv
import html.parser
import io
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from guest import ROOT
from exported import Exported

from clockscope.front import verbs
from clockscope._core import TraceWriter
from clockscope.front.cli import find_verbs

Program = Callable[..., subprocess.CompletedProcess[str]]

# Each kind of text that a reader might take for something else than text.
EVIL = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;",
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b31m\r\n\t\x85\u2028\u202e[red]",
    "dot": '"]; evil [label="\\N\\l\\"',
    "formula": '=HYPERLINK("http://evil","x")',
    "spaced formula": "\t +1+1",
    "at": "@SUM(1)",
    "surrogate": "bytes \udc80\udcff that are no UTF-8",
    "long": "e" * 1_000_000,
}
STORED_MAX = 65_536  # c-ext/core/trace/tables.h: longer texts are cut
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def write_hostile(path: Path) -> None:
    """A trace in which every text is evil, each in turn."""
    writer = TraceWriter(str(path))
    for number, evil in enumerate(EVIL.values()):
        for key in ("guest.os", "guest.release", "guest.banner", "guest.command_line", "stub.mode", f"x.{evil[:99]}"):
            writer.meta(key, evil)
        writer.expect(evil, evil, evil, ("planted", "missing", "refused")[number % 3], evil)
        for what in ("clock.registered", "clock.selected", "device.selected", "calibration.started", "clock.unstable"):
            writer.event(
                run_ns=number * 1000, cpu=number, what=what, rule=evil, clock=evil, function=evil, file=evil, line=1,
                thread=evil, values=[("name", evil), ("reason", evil), ("message", evil), ("mhz", evil), (evil, None)],
                backtrace=[(evil, evil, 1, 1, True)],
            )  # fmt: skip
        writer.event(run_ns=number * 1000, cpu=0, what=evil, rule=evil)
        writer.counter(function=evil, address=number, hits=number, first_run_ns=1, first_cpu=0, first_icount=None)
        writer.source("tsc.c", number + 1, evil)
    writer.close(False, EVIL["terminal"])
    add_functions(path)


def add_functions(path: Path) -> None:
    """A traced function an evil name: a block that ends in a branch, and one to go to."""
    database = sqlite3.connect(path)
    for number, evil in enumerate(EVIL.values()):
        text = evil.encode(errors="surrogateescape").decode("utf-8", "replace")[:STORED_MAX]
        at = 4096 * (number + 1)
        rows: dict[str, list[int | str | None]] = {
            "function": [number, text, at, text, 1, 1, text],
            "probe": [number, at, 0, 3, 0],
            "invocation": [number, number, 100 + 2 * number, 101 + 2 * number, number, number + 1, 0, text, text, 0, 0, text,
                           "yes", 0, 1, 1],
            "decision": [number, 0, at, 1, None],
            "edge": [number, 0, 1, "taken"],
            "variable": [number, at, text, text],
            "intervention": [number, "force", text, text, text, 1, at],
            "intervention_use": [1000 + number, number, number, 0, text, text],
        }  # fmt: skip
        for table, row in rows.items():
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        for block in (0, 1):
            database.execute(
                "INSERT INTO block VALUES (?, ?, ?, ?, 0, 0, 0)", [number, block, at + block, at + block + 1]
            )
            database.execute("INSERT INTO step VALUES (?, ?, ?)", [number, block, block])
            database.execute(
                "INSERT INTO instruction VALUES (?, ?, ?, 'branch', 'ne', 0, ?, ?, 'tsc.c', ?, ?)",
                [number, at + block, block, at + 1, f"jne {text}", number + 1, text],
            )
    database.commit()
    database.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "evil.trace"
    write_hostile(path)
    return path


def runs(trace: str, out: str) -> dict[str, list[list[str]]]:
    """How each verb that reads a trace is asked here."""
    return {
        "timeline": [[trace], ["--backtrace", trace], [trace, "--format", "json"]],
        "path": [[trace], [trace, "--format", "json"]],
        "reached": [[trace, "*"], [trace, "*", "--format", "json"]],
        "cpuid": [[trace]],
        "diff": [[trace, str(ROOT / "traces/linux-healthy.trace")], [str(ROOT / "traces/linux-healthy.trace"), trace],
                 [trace, f"{trace}.copy", "--format", "json"]],
        "diagnose": [[trace], [trace, "--format", "json"]],
        "check": [[trace, "--against", f"{trace}.copy"], [trace, "--against", f"{trace}.copy", "--format", "json"]],
        "redact": [[trace, "-o", f"{out}.trace", "--overwrite"]],
        "report": [[trace, "-o", out, "--overwrite"]],
        "export": [[trace, "--format", "dot"], [trace, "--format", "csv"], [trace, "--format", "csv", "--table", "clocks"]],
        "cfg": [["--trace", trace, "*"], ["--trace", trace, "*", "--format", "json"]],
    }  # fmt: skip


READING = [verb.NAME for verb in find_verbs([]) if verb.NEEDS == "trace"]


@pytest.mark.parametrize("verb", [*READING, "cfg"])
def test_in_the_terminal(verb: str, hostile: Path, program: Program, tmp_path: Path) -> None:
    copy = Path(f"{hostile}.copy")
    copy.write_bytes(hostile.read_bytes())
    for arguments in runs(str(hostile), str(tmp_path / "page.html"))[verb]:
        done = program(verb, *arguments)
        assert done.returncode in (0, 1, 2)
        for shown in (done.stdout, done.stderr):
            assert not _STEERING.search(shown.replace("\r\n", "\n")), (verb, arguments)
            assert "\u202e" not in shown or "json" not in arguments
        if not {"csv", "json", "dot"} & set(arguments):
            assert len(done.stdout) < 2_000_000, (verb, arguments)


def test_every_verb_that_reads_a_trace_is_asked() -> None:
    assert {*READING, "cfg"} == set(runs("", ""))
    assert set(READING) <= set(verbs.names())


def test_dot(hostile: Path, program: Program) -> None:
    drawn = program("export", hostile, "--format", "dot").stdout
    done = subprocess.run(["dot", "-Tdot"], input=drawn, capture_output=True, text=True, check=True)
    assert done.stdout.count("digraph") == len(EVIL)
    # What is a name stays one: no node but blocks and exits.
    items = set(re.findall(r"^\t([^\t\[]*?)\s*\[", done.stdout, re.MULTILINE)) - {"graph", "node", "edge"}
    assert items and all(re.fullmatch(r"B\d+|B\d+ -> B\d+", item) for item in items)
    svg = subprocess.run(["dot", "-Tsvg"], input=drawn, capture_output=True, text=True, check=True)
    assert "<script" not in svg.stdout and "<img" not in svg.stdout


@pytest.mark.parametrize("view", ["timeline", "clocks", "invocations", "decisions", "interventions"])
def test_csv(view: str, hostile: Path, program: Program, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert program("export", hostile, "--format", "csv", "--table", view, "-o", out).returncode == 0
    csv.field_size_limit(1 << 30)
    content = out.read_bytes().decode()
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert len(rows) > len(EVIL) // 2 and len({len(row) for row in rows}) == 1
    assert content.count("\n") == len(rows)  # no text breaks a line
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.strip()[:1] in tuple("=+-@") and not re.fullmatch(r"-?[\d.]+", cell)]
    assert "'" + EVIL["formula"] in cells and not _STEERING.search(content.replace("\r\n", "\n"))


def test_perfetto(hostile: Path) -> None:
    exported = Exported(hostile)
    assert len(exported.calls()) == len(EVIL)
    assert len(exported.instants) == 7 * len(EVIL)
    texts = [track.name for track in exported.tracks.values()]
    texts += [name for _, name, _, _ in exported.instants] + [name for _, name, _, _, _ in exported.slices]
    assert max(map(len, texts)) <= 200 and not any(map(_STEERING.search, texts))
    values = [value for *_, held in exported.instants for value in held.values() if isinstance(value, str)]
    assert max(map(len, values)) <= 4000 and not any(map(_STEERING.search, values))
    assert any("<script>alert(1)</script>" in value for value in values)  # text, as it was sent


def test_html(hostile: Path, program: Program, tmp_path: Path) -> None:
    """What a text holds is no element of the page, and no attribute."""
    out = tmp_path / "page.html"
    done = program("report", hostile, "-o", out)
    assert done.returncode == 0, done.stderr
    found: list[str] = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(name for name, _ in attrs)
            found.extend([f"<{tag}>"] if tag == "img" else [])

        def handle_data(self, data: str) -> None:
            if self.cdata_elem == "script":
                found.extend(re.findall(r"</?script", data))

    Parser().feed(out.read_text("utf-8"))
    assert "<img>" not in found and "onerror" not in found and "<script" not in found
