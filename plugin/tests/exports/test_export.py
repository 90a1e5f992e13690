# SPDX-License-Identifier: MIT
"""Exports are read by what they are for: Perfetto's by its definitions, DOT by Graphviz, CSV by its rules."""

import csv
import io
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported import Exported, messages
from guest import ROOT
from sample_trace import MS, copy_rows, view_rows, write_sample

from clockscope.base import outfile
from clockscope._core import Trace, TraceWriter
from clockscope.exports import csv_views
from clockscope.model import axis
from clockscope.model.axis import milliseconds, stamp
from clockscope.reports.values import words

Program = Callable[..., subprocess.CompletedProcess[str]]
Record = dict[str, Any]

TRACES = ["linux-samples-rejected", "linux-xen-refined", "netbsd-healthy", "freebsd-healthy"]


def as_json(program: Program, verb: str, trace: Path) -> Record:
    content: Record = json.loads(program(verb, trace, "--format", "json").stdout)
    return content


@pytest.mark.parametrize("name", TRACES)
def test_perfetto_equals_the_timeline_and_the_paths(name: str, program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    copy_rows(ROOT / "traces" / f"{name}.trace", trace)
    exported = Exported(trace)
    events = as_json(program, "timeline", trace)["events"]
    when = axis.of_trace(Trace(str(trace)))
    begin = beginning(exported)
    assert [
        (track, title, at, {key: values[key] for key in values if key in events[number]["values"]})
        for number, (track, title, at, values) in enumerate(exported.instants)
    ] == [
        (
            f"vCPU {event['cpu']}",
            f"{words(event['what'])} {event['clock'] or ''}".strip(),
            when.whole(event) - begin,
            {key: "unreadable" if value is None else value for key, value in event["values"].items()},
        )
        for event in events
    ]
    assert [one[3]["source"] for one in exported.instants] == [event["source"] for event in events]
    assert [one[3]["time_ns"] for one in exported.instants] == [when.whole(event) for event in events]
    calls = [
        (function["function"], when.whole(call) - begin, round(1e6 * when.at(call["end_run_ns"])) - begin, call["seq"])
        for function in as_json(program, "path", trace)["functions"]
        for call in function["invocations"]
    ]
    assert sorted((title, begin, end, values["seq"]) for _, title, begin, end, values in exported.calls()) == sorted(
        calls
    )
    check_calibrations(exported, [{**event, "at": when.whole(event) - begin} for event in events])


def beginning(exported: Exported) -> int:
    """What Perfetto's times are counted from: the first time that is told, if it is negative."""
    at, values = exported.instants[0][2:]
    begin: int = values["time_ns"] - at
    assert begin <= 0
    return begin


def check_calibrations(exported: Exported, events: list[Record]) -> None:
    """A slice for each try: from its start to its result, or the next try."""
    tries = [event for event in events if event["what"] in ("calibration.started", "calibration.retried")]
    slices = [one for one in exported.slices if one[0].startswith("calibration of ")]
    assert sorted(one[2] for one in slices) == [event["at"] for event in tries] and tries
    moments = {event["at"] for event in events if event["what"].startswith("calibration.")}
    assert {one[3] for one in slices} <= moments | {max(one[3] for one in exported.slices)}
    assert {one[0].removeprefix("calibration of ") for one in slices} == {event["clock"] for event in tries}


def test_the_tracks(tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    write_sample(trace)
    exported = Exported(trace)
    (guest,) = [track for track in exported.tracks.values() if track.HasField("process")]
    assert guest.process.process_name == "Linux 6.1.0-9-cloud-amd64"
    others = [track for track in exported.tracks.values() if track is not guest]
    cpus = [(track.name, track.parent_uuid) for track in others if track.name.startswith("vCPU")]
    assert cpus == [("vCPU 0", guest.uuid), ("vCPU 1", guest.uuid)]
    text = subprocess.run(
        ["protoc", "-I", ROOT / "schemas", "--decode", "perfetto.protos.Trace", "perfetto.proto"],
        stdin=exported.path.open("rb"),
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert len(exported.instants) == 10 and text.count("TYPE_INSTANT") == 10 + len(exported.lost)
    raw = subprocess.run(["protoc", "--decode_raw"], stdin=exported.path.open("rb"), capture_output=True, check=True)
    told = text.count("TYPE_INSTANT") + 2 * len(exported.slices)
    assert raw.stdout.count(b"  11 {") == told  # track_event


def add_calls(trace: Path, calls: list[tuple[int, int | None, int, str]]) -> None:
    """Calls of one function: (seq, end_seq, cpu, task); each step takes a millisecond."""
    database = sqlite3.connect(trace)
    database.execute("INSERT INTO function VALUES (1, 'work', 4096, 'work.c', 7, 1, '')")
    for number, (seq, end, cpu, task) in enumerate(calls, 1):
        end_ns = None if end is None else end * MS
        row = [number, 1, seq, end, seq * MS, end_ns, cpu, "1", task, 0, 0, "main+1", "yes", -1, 1, 1]
        database.execute(f"INSERT INTO invocation VALUES ({', '.join('?' * 16)})", row)
    database.commit()
    database.close()


def test_calls_that_do_not_nest_go_to_tracks_of_their_tasks(tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    write_sample(trace)
    add_calls(
        trace,
        [
            (100, 110, 0, "init"),  # around the next
            (101, 109, 0, "init"),
            (102, 120, 0, "kworker"),  # sleeps beyond both
            (103, 119, 0, "kworker"),
            (104, 125, 0, "kworker"),  # nests with none of them
            (105, None, 0, "init"),  # never seen to end
            (106, 107, 1, "swapper"),
        ],
    )
    exported = Exported(trace)
    assert sorted((track, values["seq"]) for track, _, _, _, values in exported.calls()) == [
        ("vCPU 0", 100),
        ("vCPU 0", 101),
        ("vCPU 0: init", 105),
        ("vCPU 0: kworker", 102),
        ("vCPU 0: kworker", 103),
        ("vCPU 0: kworker (2)", 104),
        ("vCPU 1", 106),
    ]
    found = {values["seq"]: (begin, end, values["value"]) for _, _, begin, end, values in exported.calls()}
    assert found[104] == (104 * MS, 125 * MS, 2**64 - 1)
    assert found[105] == (105 * MS, 1101 * MS, 2**64 - 1)  # up to the trace's end
    parents = {exported.tracks[track.parent_uuid].name for track in exported.tracks.values() if ": " in track.name}
    assert parents == {"vCPU 0"}


def test_interventions(program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    write_sample(trace)
    database = sqlite3.connect(trace)
    database.execute("INSERT INTO intervention VALUES (1, 'force', 'f:73=not', 'f', 'tsc.c', 73, 4096)")
    database.execute("INSERT INTO intervention VALUES (2, 'return', 'g=1', 'g', '', 0, 8192)")
    database.execute("INSERT INTO intervention_use VALUES (500, 1, 7000000, 1, 'taken', 'not taken')")
    database.commit()
    database.close()
    (made,) = [one for one in Exported(trace).instants if "was" in one[3]]
    values = {"was": "taken", "became": "not taken", "function": "f", "source": "tsc.c:73", "time_ns": 7 * MS}
    assert made == ("vCPU 1", "f:73=not", 7 * MS, values)
    rows = list(
        csv.DictReader(io.StringIO(program("export", trace, "--format", "csv", "--table", "interventions").stdout))
    )
    assert [(row["option"], row["ms"], row["became"]) for row in rows] == [
        ("f:73=not", "7.0", "not taken"),
        ("g=1", "", ""),
    ]


def big(trace: Path, count: int) -> None:
    writer = TraceWriter(str(trace))
    for number in range(count):
        writer.event(run_ns=number, cpu=0, what="x-test", rule="test", values=[("number", number)])
    writer.close(True, "")


def test_clocks_of_two_guests(program: Program, tmp_path: Path) -> None:
    """While registered, in use, and where lost: as the page draws them; both guests from one beginning."""
    traces = [ROOT / "traces" / f"linux-{name}.trace" for name in ("healthy", "early-lost")]
    copies = [tmp_path / trace.name for trace in traces]
    for trace, copy in zip(traces, copies):
        shutil.copy(trace, copy)
    exported = Exported(*copies)
    guests = [track for track in exported.tracks.values() if track.HasField("process")]
    assert [guest.process.pid for guest in guests] == [1, 2] and [guest.name[:3] for guest in guests] == ["A: ", "B: "]
    for guest, trace in zip(guests, traces):
        alone = Exported(shutil.copy(trace, tmp_path / "alone.trace"))
        events = {event["seq"]: event for event in as_json(program, "timeline", trace)["events"]}
        for track, title, _, _, values in alone.clocks():
            event = events[values["seq"]]
            kind = "registered" if title == "registered" else "selected"
            assert event["what"] in (f"clock.{kind}", f"device.{kind}") and event["time_ns"] == values["time_ns"]
            assert track.removeprefix("clock ").split(" (")[0] == event["clock"]
        tracks = {track.uuid: track.name for track in exported.tracks.values() if track.parent_uuid == guest.uuid}
        assert sorted(tracks.values()) == sorted(
            track.name for track in alone.tracks.values() if not track.HasField("process") and ": " not in track.name
        )
    assert ("clock tsc-early", "lost: clock unregistered") in [one[:2] for one in exported.lost]
    assert ("clock tsc-early", "lost: clock unstable") in [one[:2] for one in exported.lost]
    begins = {values["time_ns"] - at for _, _, at, values in exported.instants}
    assert len(begins) == 1 and len(exported.clocks()) > 20


def test_every_reader_tells_the_same_times(program: Program, tmp_path: Path) -> None:
    """JSON, text, CSV, Perfetto, and the page."""
    for name in ("linux-healthy", "linux-samples-rejected", "netbsd-healthy", "linux-xen"):
        trace = tmp_path / f"{name}.trace"
        shutil.copy(ROOT / "traces" / trace.name, trace)
        told = [event["time_ns"] for event in as_json(program, "timeline", trace)["events"]]
        assert None not in told
        text = program("timeline", trace, "--columns", "seq,time").stdout.partition("\n\n")[2].partition("\n\n")[0]
        assert [line.split(None, 1)[1] for line in text.splitlines()[1:]] == [stamp(ns) for ns in told]
        rows = csv.DictReader(io.StringIO(program("export", trace, "--format", "csv").stdout))
        assert [row["ms"] for row in rows] == [str(ns / 1e6) for ns in told]
        assert [values["time_ns"] for _, _, _, values in Exported(trace).instants] == told
        assert program("report", trace, "-o", tmp_path / f"{name}.html").returncode == 0
        page = (tmp_path / f"{name}.html").read_text().partition('id="data">')[2].partition("</script>")[0]
        (guest,) = json.loads(page)["guests"]
        assert guest["places"] == [ns / 1e6 for ns in told]
        assert [one["ms"] for one in guest["words"]] == [milliseconds(ns) for ns in told]


def test_a_trace_larger_than_one_piece(program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "big.trace"
    big(trace, 2500)
    assert [one[3]["number"] for one in Exported(trace).instants] == list(range(2500))
    written: list[int] = []
    with Trace(str(trace)) as opened:
        csv_views.export(opened, "timeline", lambda data: written.append(len(data)), lambda done, total, what: None)
    assert len(written) == 3 and max(written) < 60_000


def guest_times(trace: Path, row: Record) -> Record:
    """A row of a view, its run times told as all readers tell times, and `ms` kept in the last column."""
    when = axis.of_trace(Trace(str(trace)))
    kept = {"run_ms": row["ms"]} if "ms" in row else {}
    for name in ("ms", "end_ms", "registered_ms", "selected_ms", "lost_ms"):
        if row.get(name) is not None:
            moment = {"seq": row.get("seq") if name == "ms" else None, "run_ns": round(row[name] * 1e6)}
            row = {**row, name: when.whole(moment) / 1e6}
    return {**row, **kept}


@pytest.mark.parametrize("view", csv_views.KEYS)
def test_csv_equals_the_view(view: str, program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "boot.trace"
    copy_rows(ROOT / "traces/linux-samples-rejected.trace", trace)
    assert program("export", trace, "--format", "csv", "--table", view, "-o", tmp_path / "out.csv").returncode == 0
    content = (tmp_path / "out.csv").read_bytes().decode()
    assert content.count("\r\n") == content.count("\n")
    header, *rows = csv.reader(io.StringIO(content, newline=""))
    expected = [guest_times(trace, row) for row in view_rows(trace, view)]
    assert [dict(zip(header, row, strict=True)) for row in rows] == [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in expected
    ]
    assert header and (rows or view == "interventions")


def test_every_view_can_be_exported() -> None:
    database = sqlite3.connect(":memory:")
    database.executescript((ROOT / "schemas/trace.sql").read_text())
    views = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert set(views) == set(csv_views.KEYS)
    for view, keys in csv_views.KEYS.items():
        columns = {column[1] for column in database.execute(f"PRAGMA table_info({view})")}
        assert set(keys) <= columns


def test_dot_is_what_cfg_draws(program: Program, tmp_path: Path) -> None:
    trace = ROOT / "traces/freebsd-healthy.trace"
    drawn = program("export", trace, "--format", "dot").stdout
    assert drawn == program("cfg", "--trace", trace, "*", "--format", "dot").stdout
    svg = subprocess.run(["dot", "-Tsvg"], input=drawn, capture_output=True, text=True, check=True).stdout
    assert svg.count("<svg ") == drawn.count("digraph ") > 5


def test_nothing_is_replaced_unasked(program: Program, tmp_path: Path) -> None:
    trace, out = tmp_path / "boot.trace", tmp_path / "out.csv"
    write_sample(trace)
    before = trace.read_bytes()
    assert program("export", trace, "--format", "csv", "-o", out).stderr == f"Wrote {out}.\n"
    out.write_text("mine")
    done = program("export", trace, "--format", "csv", "-o", out)
    assert done.returncode == 2 and "exists already" in done.stderr and out.read_text() == "mine"
    assert program("export", trace, "--format", "csv", "-o", out, "--overwrite").returncode == 0
    assert out.read_text().startswith("seq,ms,")
    done = program("export", trace, "--format", "csv", "-o", trace, "--overwrite")
    assert done.returncode == 2 and "is the trace itself" in done.stderr and trace.read_bytes() == before
    done = program("export", trace, "--format", "dot", "-o", tmp_path / "out.dot")
    assert done.returncode == 2 and "no branch traces" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boot.trace", "out.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "perfetto", "-o", "/nowhere/x"], "/nowhere/x: cannot be written (No such file"),
        (["--format", "dot", "--table", "clocks"], "--table is for --format csv"),
        (["--format", "csv", "--table", "meta"], "invalid choice"),
        ([], "--format"),
    ],
)
def test_mistakes(words: list[str], said: str, program: Program) -> None:
    done = program("export", ROOT / "traces/freebsd-healthy.trace", *words)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_to_a_pipe(program: Program) -> None:
    trace = str(ROOT / "traces/freebsd-healthy.trace")
    done = subprocess.run([ROOT / "build/clockscope", "export", trace, "--format", "perfetto"], capture_output=True)
    decoded = messages().Trace()
    decoded.ParseFromString(done.stdout)
    assert len(decoded.packet) > 20 and done.stderr == b""


def test_a_trace_whose_views_are_someone_elses(program: Program, tmp_path: Path) -> None:
    """They are not asked: this one would never end."""
    trace = tmp_path / "boot.trace"
    write_sample(trace)
    expected = program("export", trace, "--format", "csv").stdout
    database = sqlite3.connect(trace)
    database.executescript("DROP VIEW timeline; DROP VIEW clocks; CREATE VIEW clocks AS SELECT load_extension('evil')")
    database.execute(
        "CREATE VIEW timeline AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS seq FROM n"
    )
    database.close()
    assert program("export", trace, "--format", "csv").stdout == expected
    assert program("export", trace, "--format", "csv", "--table", "clocks").stdout.startswith("name,kind,")


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt), outfile.create(str(out), force=False) as write:
        write(b"seq,ms")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
