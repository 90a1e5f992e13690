# SPDX-License-Identifier: MIT
"""`fleet`: many boots in one database, SQLite and PostgreSQL, added by several at once, and by some that are killed."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import many_boots
import pytest
from guest import ROOT
from private_postgres import server

from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.fleet import boot_facts, database, grouping, heat_map
from clockscope.model import diagnosing

Program = Callable[..., Any]

TRACES = ROOT / "traces"
LINUX = [
    TRACES / f"linux-{name}.trace"
    for name in ("healthy", "samples-accepted", "late", "samples-rejected", "frequency-off")
]
SCHEMA = json.loads((ROOT / "schemas" / "fleet.schema.json").read_text())
RULES = diagnosing.load()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a database that is empty."""
    if request.param == "sqlite":
        return str(tmp_path / "fleet.db")
    url: str = request.getfixturevalue("postgres")
    fleet = database.Fleet(url)
    with fleet.transaction(writes=True) as connection:
        fleet._meta.drop_all(connection)
    return url


def differences(place: str) -> dict[str, Any]:
    found = grouping.differences(database.opened(place))
    jsonschema.validate(found, SCHEMA)
    return found


# ---------------------------------------------------------------- adding


def test_adding_is_idempotent(place: str, tmp_path: Path, program: Program) -> None:
    done = program("fleet", "add", place, *LINUX)
    assert (done.returncode, done.stdout) == (0, "Added 5 boots\n")
    before = differences(place)
    copy = tmp_path / "a copy.trace"
    shutil.copy(LINUX[0], copy)
    done = program("fleet", "add", place, *LINUX, copy)
    assert (done.returncode, done.stdout) == (0, "Added 0 boots; 6 there already\n")
    assert differences(place) == before and before["boots"] == 5


def test_one_recording_is_one_boot(tmp_path: Path) -> None:
    """Whatever its file is called, and however SQLite has laid it out; another recording of the same guest is another."""
    copy = tmp_path / "copy.trace"
    shutil.copy(LINUX[0], copy)
    subprocess.run(["sqlite3", copy, "PRAGMA page_size = 8192; VACUUM"], check=True)

    def identity(path: Path) -> str:
        with Trace(str(path)) as trace:
            return boot_facts.content_id(trace)

    assert identity(copy) == identity(LINUX[0]) != identity(LINUX[1])
    subprocess.run(
        ["sqlite3", copy, "UPDATE event SET run_ns = run_ns + 1 WHERE seq = (SELECT max(seq) FROM event)"], check=True
    )
    assert identity(copy) != identity(LINUX[0])


def test_what_cannot_be_read_keeps_nobody_out(place: str, tmp_path: Path, program: Program) -> None:
    short, text = tmp_path / "short.trace", tmp_path / "text.trace"
    short.write_bytes(LINUX[0].read_bytes()[:70_000])
    text.write_text("no trace")
    done = program("fleet", "add", place, short, LINUX[0], text, tmp_path / "missing", LINUX[1])
    assert done.returncode == 2 and done.stdout == "Added 2 boots; 3 could not be read\n"
    assert done.stderr.count("\n") == 3 and done.stderr.count("not added: ") == 3


ADDER = """
import sys
import many_boots
from clockscope.fleet import database
fleet = database.opened(sys.argv[1], make=True)
print("ready", flush=True)
for piece in many_boots.boots(int(sys.argv[3]), int(sys.argv[2])):
    for boot in piece:
        fleet.add([boot])
print("done", flush=True)
"""


def adder(place: str, first: int, count: int) -> "subprocess.Popen[str]":
    path = f"{ROOT}/plugin:{ROOT}/plugin/tests/support"
    words = [sys.executable, "-c", ADDER, place, str(first), str(count)]
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def test_several_add_at_once(place: str) -> None:
    """Into a database that none of them finds made; what two of them add is there once."""
    adders = [adder(place, first, 60) for first in (0, 30, 60, 60)]
    assert [one.communicate(timeout=300)[0] for one in adders] == ["ready\ndone\n"] * 4
    assert database.opened(place).count() == 120


def test_one_is_killed(place: str) -> None:
    """What it had added is there, whole; who comes later can go on."""
    killed = adder(place, 0, 100_000)
    assert killed.stdout is not None and killed.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60
    while database.opened(place).count() < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    fleet = database.opened(place, make=True)
    kept = fleet.count()
    assert kept >= 20
    rows = list(fleet.in_order(("id", "alike", "paths")))
    assert len({row[0] for row in rows}) == kept and len(dict(fleet.contents([row[1] for row in rows[:9]]))) > 0
    assert fleet.add([many_boots.boot(number) for number in range(kept + 50)]) == 50
    if not database.is_url(place):
        assert sqlite3.connect(place).execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert [path.name for path in Path(place).parent.iterdir()] == ["fleet.db"]


# ---------------------------------------------------------------- what is said


def test_three_lost_tsc(place: str, program: Program) -> None:
    many_boots.fill(database.opened(place, make=True), 415)
    found = differences(place)
    assert [group["boots"] for group in found["shown"]] == [412, 3]
    done = program("fleet", "diff", place, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 1 and max(map(len, done.stdout.splitlines()[1:])) <= 80
    said = " ".join(done.stdout.split())
    assert "415 boots, 2 groups" in said and "412 boots alike: tsc in use" in said
    assert (
        f"3 boots: lost tsc; use hpet, not tsc; found: tsc-lost-to-watchdog all on the CPU {many_boots.ODD_CPU}, on which no other boot is"
        in said
    )
    assert (
        "first differing decision tsc.c:330 `if ((t2 - t1) < thresh)` in tsc_read_refs: true, in the others false"
        in said
    )
    assert "kernel" not in said.partition("3 boots:")[2], "all boots have the same"
    table = program("fleet", "table", place)
    assert table.returncode == 0 and f"{many_boots.CPUS[0]} (205)" in table.stdout


def test_recorded_traces(tmp_path: Path, program: Program) -> None:
    place = str(tmp_path / "fleet.db")
    program("fleet", "add", place, TRACES / "linux-samples-accepted.trace", *LINUX)
    shown: list[Any] = differences(place)["shown"]
    rejected = next(group for group in shown if "tsc-samples-rejected" in group["findings"])
    healthy = next(group for group in shown if not group["findings"] and group["whole"])
    assert healthy["current"] == "tsc" and healthy["hypervisor"] == {"TCGTCGTCGTCG": healthy["boots"]}
    assert rejected["current"] == "tsc-early"
    assert shown[0] is healthy and rejected["apart"][:2] == ["lack tsc", "use tsc-early, not tsc"]
    assert rejected["decision"]["place"] == "arch/x86/kernel/tsc.c:330"


def test_a_row_a_boot(place: str, program: Program) -> None:
    program("fleet", "add", place, *LINUX)
    lines = program("fleet", "table", place, "--boots").stdout.splitlines()
    assert len(lines) == 6 and lines[0].split() == [
        "recorded",
        "in",
        "use",
        "found",
        "kernel",
        "hypervisor",
        "CPU",
        "trace",
    ]
    assert sorted(line.split()[-1] for line in lines[1:]) == sorted(map(str, LINUX))
    rows = [
        json.loads(line) for line in program("fleet", "table", place, "--boots", "--format", "json").stdout.splitlines()
    ]
    assert {row["file"]: row["current"] for row in rows}[str(LINUX[3])] == "tsc-early"


def test_how_often_a_function_is_called_is_no_difference(tmp_path: Path) -> None:
    """Calls that decide as others did before them, and rounds of a loop, change no signature."""
    copy = tmp_path / "copy.trace"
    shutil.copy(LINUX[0], copy)
    columns = "function, seq, end_seq, run_ns, end_run_ns, cpu, thread, task, stack, caller, caller_name, returned, value, complete, consistent"
    database_of_copy = sqlite3.connect(copy)
    for table, rest in (
        ("step", "ordinal, block"),
        ("decision", "ordinal, address, taken, stop"),
        ("gap_block", "ordinal, block, certain"),
    ):
        database_of_copy.execute(f"INSERT INTO {table} SELECT invocation + 1000, {rest} FROM {table}")
    database_of_copy.execute(f"INSERT INTO invocation SELECT id + 1000, {columns} FROM invocation")
    database_of_copy.commit()
    database_of_copy.close()
    rows = []
    for path in (LINUX[0], copy):
        with Trace(str(path)) as trace:
            rows.append(boot_facts.of_trace("x", trace, RULES))
    assert rows[0]["paths"] == rows[1]["paths"] and rows[0]["id"] != rows[1]["id"]


def test_ways_part_where_no_call_of_the_other_went() -> None:
    def way(*calls: str) -> Any:
        return [
            [[[f"f.c:{one.lower()}", "", "true" if one.isupper() else "false"], 1] for one in call] for call in calls
        ]

    def place(a: Any, b: Any) -> Any:
        found = grouping._parted(a, b)[1]
        return found and (found["place"], found["way"])

    assert place(way("abc"), way("abc")) is None is place(way("ab"), way("abc"))
    assert place(way("abc"), way("aBc")) == ("f.c:b", "true")
    assert place(way("ab", "aBc"), way("ab")) == ("f.c:b", "false")
    assert place(way("ab"), way("ab", "aBc")) == ("f.c:b", "true")
    assert place(way("ab"), way("ax")) == ("f.c:b", "came to f.c:x")


def test_boots_of_other_kernels_are_not_compared_by_line(tmp_path: Path) -> None:
    fleet = database.opened(str(tmp_path / "fleet.db"), make=True)
    many_boots.fill(fleet, 10)
    other = {**many_boots.boot(100), "build_id": "another", "release": "6.12"}
    fleet.add([other])
    group = grouping.differences(fleet)["shown"][1]
    assert group["decision"] is None and group["not_compared"] == "no boot of the first group has its kernel"


def test_what_was_not_seen_is_not_lost(tmp_path: Path) -> None:
    fleet = database.opened(str(tmp_path / "fleet.db"), make=True)
    many_boots.fill(fleet, 10)
    short = many_boots.boot(50)
    short["alike"] = {"clocks": [], "current": "", "findings": [], "whole": False}
    fleet.add([{**short, "key": "short"}])
    apart = grouping.differences(fleet)["shown"][1]["apart"]
    assert apart[0] == "were not seen to their end" and apart[1].startswith("have not been seen to register acpi_pm")
    assert not any(one.startswith(("lack", "lost")) for one in apart)


# ---------------------------------------------------------------- the database


@pytest.mark.parametrize(
    "name,said",
    [
        ("missing.db", "there is no such file; `fleet add` makes one"),
        (".", "cannot be read"),
        ("text", "is no fleet's database"),
        ("boot.trace", "is a trace: name the fleet's database first"),
        ("empty.db", "holds no fleet"),
        ("newer.db", "was made by another clockscope"),
        ("mysql://x/y", "mysql: no such database is known here"),
        ("postgresql://", "connection"),
        ("postgresql://alice:hunter2@localhost:1/x", "postgresql://alice:***@localhost:1/x: connection"),
        ("sqlite://", "names no file"),
    ],
)
def test_what_is_no_fleet(tmp_path: Path, program: Program, name: str, said: str) -> None:
    shutil.copy(LINUX[0], tmp_path / "boot.trace")
    (tmp_path / "text").write_text("a text, and no database\n" * 9)
    sqlite3.connect(tmp_path / "empty.db").executescript("CREATE TABLE x (y); DROP TABLE x")
    newer = database.opened(str(tmp_path / "newer.db"), make=True)
    with newer.transaction(writes=True) as connection:
        connection.execute(newer.about.update().values(value="2"))
    done = program("fleet", "table", name, cwd=tmp_path, env={**os.environ, "PGHOST": "/nonexistent"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert "hunter2" not in done.stderr and not (tmp_path / "missing.db").exists()


@pytest.mark.parametrize(
    "words,said",
    [
        (["add", "fleet.db"], "needs the traces to add"),
        (["table", "fleet.db", "x"], "TRACE is for `fleet add`"),
        (["diff", "fleet.db", "--boots"], "--boots is for `fleet table`"),
        (["table", "fleet.db", "-o", "x"], "-o is for `fleet page`"),
        (["page", "fleet.db"], "needs a file to write"),
        (["tabel", "fleet.db"], "did you mean table?"),
    ],
)
def test_mistakes(program: Program, words: list[str], said: str) -> None:
    done = program("fleet", *words)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("missing,package", [("sqlalchemy", "python3-sqlalchemy"), ("psycopg2", "python3-psycopg2")])
def test_what_is_not_installed_is_named(missing: str, package: str) -> None:
    """All other verbs work without it."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from clockscope.front import cli;"
        f"assert cli.main(['timeline', {str(LINUX[0])!r}]) == 0;"
        "sys.exit(cli.main(['fleet', 'table', 'postgresql:///x']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": f"{ROOT}/plugin"}, capture_output=True, text=True
    )
    assert (
        done.returncode == 2
        and done.stderr.count("\n") == 1
        and done.stderr.endswith(f"install the package {package}\n")
    )


def test_a_hostile_database(tmp_path: Path, program: Program) -> None:
    """A file that someone sends: escapes, numbers for texts, what is no JSON, views and triggers of its own."""
    path = tmp_path / "fleet.db"
    fleet = database.opened(str(path), make=True)
    many_boots.fill(fleet, 5)
    sqlite3.connect(path).executescript(
        """
        UPDATE fleet_boot SET cpu = char(27) || '[31m<script>', release = 7, frequencies = '[', paths = '{"f": {}}' WHERE rowid = 1;
        UPDATE fleet_boot SET recorded = x'00ff', frequencies = '{"tsc": "x"}', paths = '[[[[' WHERE rowid = 2;
        INSERT INTO fleet_alike VALUES ('bad', '{"clocks": [1]}'), ('worse', '[' || hex(zeroblob(100000)));
        UPDATE fleet_boot SET alike = 'bad' WHERE rowid = 3;
        UPDATE fleet_boot SET alike = 'worse' WHERE rowid = 4;
        UPDATE fleet_way SET calls = '{"a": 1}';
        CREATE TRIGGER t AFTER INSERT ON fleet_boot BEGIN DELETE FROM fleet_alike; END;
        """
    )
    commands: list[list[Any]] = [
        ["table"],
        ["table", "--boots"],
        ["diff"],
        ["diff", "--format", "json"],
        ["page", "-o", tmp_path / "x.html"],
    ]
    for words in commands:
        done = program("fleet", words[0], path, *words[1:])
        assert done.returncode in (0, 1) and "\x1b" not in done.stdout, done.stderr
    assert "<script>" not in (tmp_path / "x.html").read_text()


def test_a_group_of_its_own_each(tmp_path: Path, program: Program) -> None:
    """Where no two boots are alike, what is printed is bounded, and what is left out is counted."""
    fleet = database.opened(str(tmp_path / "fleet.db"), make=True)
    made = [{**many_boots.boot(number), "key": f"{number:08}"} for number in range(300)]
    fleet.add(made)
    done = program("fleet", "diff", tmp_path / "fleet.db")
    assert "… and 250 smaller groups" in done.stdout and done.stdout.count("\n") < 1000


# ---------------------------------------------------------------- the page


def test_the_heat_map(tmp_path: Path, program: Program) -> None:
    path = tmp_path / "fleet.db"
    many_boots.fill(database.opened(str(path), make=True), 1000)
    target = tmp_path / "fleet.html"
    done = program("fleet", "page", path, "-o", target)
    assert done.returncode == 0 and done.stderr == f"Wrote {target}.\n"
    text = target.read_text()
    assert len(re.findall("<tr><th scope=row>", text)) == 143  # 7 boots a row
    assert "tsc: there in 6 of 7, lost in 1" in text and "tsc-lost-to-watchdog: found in 1 of 7" in text
    assert "first differing decision tsc.c:330" in text
    done = program("fleet", "page", path, "-o", path, "--overwrite")
    assert done.returncode == 2 and "is the fleet itself" in done.stderr
    assert program("fleet", "page", path, "-o", target).returncode == 2


def test_a_page_of_nothing(tmp_path: Path) -> None:
    fleet = database.opened(str(tmp_path / "fleet.db"), make=True)
    assert "0 boots, 0 groups" in heat_map.page(fleet, "x") and grouping.differences(fleet)["shown"] == []


def test_hostile_names_on_the_page(tmp_path: Path) -> None:
    fleet = database.opened(str(tmp_path / "fleet.db"), make=True)
    bad: dict[str, Any] = many_boots.boot(1)
    bad["alike"] = {**bad["alike"], "findings": ['"><script>alert(1)</script>'], "current": "<b>"}
    fleet.add([many_boots.boot(0), bad, many_boots.boot(2)])
    text = heat_map.page(fleet, "<i>")
    assert "<script" not in text and "<b>" not in text and "<i>&" not in text


# ---------------------------------------------------------------- rows


def test_a_recorded_boots_row() -> None:
    with Trace(str(LINUX[0])) as trace:
        row: dict[str, Any] = boot_facts.of_trace("x.trace", trace, RULES)
    assert row["release"] == "6.1.0-56-cloud-amd64" and row["cpu"] == "AuthenticAMD family 15 model 107 stepping 1"
    assert row["hypervisor"] == "TCGTCGTCGTCG" and row["alike"]["current"] == "tsc" and row["alike"]["whole"]
    assert row["frequencies"]["hpet"] == 100_000_000
    assert row["paths"].keys() == {
        "tsc_early_init", "tsc_init", "determine_cpu_tsc_frequencies", "tsc_read_refs", "init_tsc_clocksource",
        "tsc_refine_calibration_work", "__clocksource_select",
    }  # fmt: skip


def test_a_damaged_trace_has_no_row(tmp_path: Path) -> None:
    bad = tmp_path / "bad.trace"
    shutil.copy(LINUX[0], bad)
    subprocess.run(
        ["sqlite3", bad, "PRAGMA ignore_check_constraints = ON; UPDATE event SET run_ns = -1 WHERE seq = 9"], check=True
    )
    with Trace(str(bad)) as trace, pytest.raises(UserError):
        boot_facts.of_trace("bad.trace", trace, RULES)


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.trace")), ids=str)
def test_every_trace_has_a_row(path: Path) -> None:
    with Trace(str(path)) as trace:
        row = boot_facts.of_trace(str(path), trace, RULES)
    assert json.loads(json.dumps(row)) and row["os"] in ("linux", "netbsd", "freebsd")
