# SPDX-License-Identifier: MIT
"""`redact`: what is its owner's own is nowhere in the file's bytes, and nothing else changes."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from guest import ROOT
from sample_trace import write_sample

from clockscope._core import Trace, TraceWriter
from clockscope.model import known_words, redaction

Program = Callable[..., Any]

TRACES = ROOT / "traces"
HEALTHY, FAILING = TRACES / "linux-healthy.trace", TRACES / "linux-samples-rejected.trace"
VERSIONS = ROOT / "plugin" / "tests" / "trace" / "versions"
HASH = "[0-9a-f]{12}"


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, f"{place}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from leaves(one, f"{place}[{number}]")
    else:
        yield place, value


def changed(program: Program, verb: str, before: list[Path], after: list[Path]) -> dict[str, str]:
    """The texts of a verb's JSON that are others now, by what they were; all else is the same."""
    a, b = (program(verb, *files, "--format", "json") for files in (before, after))
    assert a.returncode == b.returncode, (a.stderr, b.stderr)
    here, there = (dict(leaves(json.loads(done.stdout))) for done in (a, b))
    assert here.keys() == there.keys()
    different = {place for place in here if here[place] != there[place] and not place.endswith(".file")}
    assert all(isinstance(here[place], str) and isinstance(there[place], str) for place in different)
    return {here[place]: there[place] for place in different}


def redact(program: Program, source: Path, target: Path, *options: str) -> Path:
    done = program("redact", source, "-o", target, *options)
    assert done.returncode == 0, done.stderr
    return target


def check_words(words: dict[str, str]) -> None:
    """Each text has become a hash, or a path in the kernel's source; or it quotes something that has."""
    for before, after in words.items():
        plain = re.sub(rf"(sym_|redacted-){HASH}", "", after)
        own_place = before.startswith("/") and before.endswith("/" + after)
        assert own_place or len(plain) < len(after) and (not plain or plain[0] in ".+:" or len(before) > 20), (
            before,
            after,
        )


@pytest.mark.parametrize("path", [*sorted(TRACES.glob("*.trace")), *sorted(VERSIONS.glob("*.trace"))], ids=str)
def test_rows(path: Path, tmp_path: Path, program: Program) -> None:
    """Number by number, the rows of every table are those of before."""
    target = redact(program, path, tmp_path / "out.trace")
    with Trace(str(path)) as a, Trace(str(target)) as b:
        for table in ("event", "frame", "step", "decision", "stop", "cpuid", "msr", "edge", "probe", "gap_block"):
            numbers = [
                [value for value in row.values() if not isinstance(value, str)]
                for row in a.rows(f"SELECT * FROM {table}")
            ]
            assert numbers == [
                [value for value in row.values() if not isinstance(value, str)]
                for row in b.rows(f"SELECT * FROM {table}")
            ]
        order = "SELECT rule, function FROM expectation"
        assert a.rows(order) == b.rows(order)
        assert a.meta().keys() == b.meta().keys()
    database = sqlite3.connect(target)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("name", ["linux-healthy", "linux-late", "netbsd-healthy", "freebsd-dummy", "linux-xen"])
def test_what_readers_print(name: str, tmp_path: Path, program: Program) -> None:
    path = TRACES / f"{name}.trace"
    target = redact(program, path, tmp_path / "out.trace")
    for verb in ("timeline", "diagnose", "path"):
        check_words(changed(program, verb, [path], [target]))


def test_two_redacted_traces_compare_as_before(tmp_path: Path, program: Program) -> None:
    pair = [redact(program, path, tmp_path / path.name) for path in (HEALTHY, FAILING)]
    check_words(changed(program, "diff", [HEALTHY, FAILING], pair))
    same = program("check", pair[0], "--against", HEALTHY)
    assert same.returncode == 0, same.stdout


# ---------------------------------------------------------------- no byte of it

SECRETS = {
    "hunter2hunter2": "command-line",
    "acme.key=hunter2hunter2": "command-line",
    "secretflag": "command-line",
    "/home/alice/acme": "paths",
    "/srv/images/acme.qcow2": "paths",
    "alice@build.acme.example": "builder",
    "build.acme.example": "builder",
    "acme_secret_probe": "symbols",
    "acme_helper": "symbols",
    "acme_variable": "symbols",
    "acme_source_line": "symbols",
}
FREED = "freed-page-secret"


def planted(path: Path) -> Path:
    """A trace with each secret in each place that may quote it, freed pages, and tables of its owner's."""
    writer = write_sample(path, end=None)
    line = "console=ttyS0 acme.key=hunter2hunter2 secretflag quiet"
    writer.meta("guest.command_line", line)
    writer.meta("guest.banner", "Linux version 6.1.0 (alice@build.acme.example) (gcc 12) #1 SMP")
    writer.meta("guest.elf", "/home/alice/acme/vmlinux")
    writer.meta("stub.command", json.dumps(["qemu-system-x86_64", "-drive", "/srv/images/acme.qcow2", "-append", line]))
    writer.meta("stub.address", "/home/alice/acme/gdb.socket")
    writer.meta("plan.functions", "tsc_*,acme_secret_probe")
    writer.meta("log.last_text", "init: acme_secret_probe on build.acme.example, see /home/alice/acme/log.txt")
    frames = [("acme_helper.cold", "/home/alice/acme/drivers/acme.c", 3, 1, False),
              ("tsc_init", "/home/alice/acme/linux/arch/x86/kernel/tsc.c", 30, 2, False)]  # fmt: skip
    texts = [("message", f"Kernel command line: {line}"), ("of", "acme_helper failed for alice@build.acme.example"),
             ("initcall", "acme_secret_probe"), ("reason", "hunter2hunter2")]  # fmt: skip
    writer.event(run_ns=2 * 10**9, cpu=0, what="x-own", rule="own", function="acme_secret_probe", clock="tsc",
                 file="/home/alice/acme/drivers/acme.c", line=1, values=texts, backtrace=frames)  # fmt: skip
    writer.expect("own", "x-own", "tsc_init", "inlined", "inlined: acme_secret_probe", within="acme_helper")
    writer.counter(function="acme_helper", address=5, hits=1, first_run_ns=1, first_cpu=0, first_icount=None)
    writer.source("drivers/acme.c", 1, "acme_source_line();")
    writer.close(True, "the guest ended")
    database = sqlite3.connect(path)
    database.executescript(
        f"""
        PRAGMA secure_delete = OFF;
        INSERT INTO function VALUES (1, 'acme_secret_probe', 1, '/home/alice/acme/drivers/acme.c', 1, 1, 'calls acme_helper');
        INSERT INTO block VALUES (1, 0, 1, 9, 0, 0, 0);
        INSERT INTO instruction VALUES (1, 1, 0, 'call', '', 0, NULL, 'call acme_helper', 'drivers/acme.c', 1, 'acme_helper');
        INSERT INTO variable VALUES (1, 1, '%rax', 'acme_variable');
        INSERT INTO invocation VALUES (1, 1, 1, NULL, 1, NULL, 0, '1', 'swapper', 1, 1, 'acme_helper+0x10', 'yes', 1, 1, 1);
        INSERT INTO stop VALUES (1, 0, 1, 1, 1, NULL, 0, CAST('0123hunter2hunter2' AS BLOB));
        INSERT INTO intervention VALUES (1, 'force', 'acme_helper:3=taken', 'acme_helper', '/home/alice/acme/x.c', 3, 1);
        CREATE TABLE gone (text TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO gone SELECT '{FREED}' || i || hex(zeroblob(200)) FROM n;
        DROP TABLE gone;
        CREATE TABLE notes (text TEXT);
        INSERT INTO notes VALUES ('hunter2hunter2');
        """
    )
    database.close()
    assert FREED.encode() in path.read_bytes()
    return path


def found(path: Path) -> set[str]:
    data = path.read_bytes()
    return {secret for secret in (*SECRETS, FREED) if secret.encode() in data}


def test_no_secret_is_in_the_bytes(tmp_path: Path, program: Program) -> None:
    source = planted(tmp_path / "mine.trace")
    assert found(source) == {*SECRETS, FREED}
    target = redact(program, source, tmp_path / "out.trace")
    assert found(target) == set()
    assert b"acme" not in target.read_bytes().replace(b"drivers/acme.c", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.trace", "out.trace"]
    assert sqlite3.connect(target).execute("SELECT count(*) FROM sqlite_schema WHERE name = 'notes'").fetchone() == (0,)
    check_words(changed(program, "timeline", [source], [target]))
    assert "arch/x86/kernel/tsc.c:30" in program("timeline", target, "--format", "json").stdout


@pytest.mark.parametrize("kind", redaction.KINDS)
def test_what_is_kept(kind: str, tmp_path: Path, program: Program) -> None:
    source = planted(tmp_path / "mine.trace")
    target = redact(program, source, tmp_path / "out.trace", "--keep", kind)
    kept = {secret for secret, of in SECRETS.items() if of == kind}
    # A path may stand in QEMU's command line, a symbol in a file's name.
    assert found(target) - kept <= ({"/srv/images/acme.qcow2"} if kind == "command-line" else set())
    assert kept <= found(target) | {"/srv/images/acme.qcow2"}


def test_everything_is_kept(tmp_path: Path, program: Program) -> None:
    options = [word for kind in redaction.KINDS for word in ("--keep", kind)]
    target = redact(program, HEALTHY, tmp_path / "out.trace", *options)
    for verb in ("timeline", "diagnose", "path"):
        assert changed(program, verb, [HEALTHY], [target]) == {}


def test_what_a_killed_recording_left_beside_it(tmp_path: Path, program: Program) -> None:
    """Rows that are in FILE-wal alone are redacted too; the source stays as it is."""
    source = tmp_path / "killed.trace"
    writer = TraceWriter(str(source))
    writer.meta("guest.command_line", "acme.key=hunter2hunter2")
    writer.flush()
    assert Path(f"{source}-wal").exists()
    copy = tmp_path / "copy.trace"
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", f"{copy}{suffix}")
    target = redact(program, copy, tmp_path / "out.trace")
    assert b"hunter2" not in target.read_bytes()
    with Trace(str(target)) as trace:
        assert trace.meta()["guest.command_line"].startswith("redacted-")
    writer.close(True, "")


# ---------------------------------------------------------------- hashes


def test_salt(tmp_path: Path, program: Program) -> None:
    def name(number: int, *options: str) -> str:
        target = redact(program, HEALTHY, tmp_path / f"{number}.trace", *options)
        with Trace(str(target)) as trace:
            return trace.meta()["guest.command_line"]

    plain, salted = name(1), name(2, "--salt", "correct horse")
    assert plain == name(3) and salted == name(4, "--salt", "correct horse")
    assert len({plain, salted, name(5, "--salt", "battery")}) == 3
    assert re.fullmatch(f"redacted-{HASH}", salted)


def red(**options: Any) -> redaction.Redactor:
    with Trace(str(HEALTHY)) as trace:
        made = redaction.of_trace(trace)
    return redaction.Redactor(frozenset(), b"", made.names, made.words, ("/home/alice/linux/",), **options)


@pytest.mark.parametrize("name", ["tsc_init", "tsc_init.part.0", "mark_tsc_unstable.cold+0x12", "??", "", "clocksource_register_hz",
                                  "process_one_work", "__clocksource_register_scale"])  # fmt: skip
def test_the_profiles_names_stay(name: str) -> None:
    assert red().symbol(name) == name


@pytest.mark.parametrize("name,form", [("acme_f", "sym_H"), ("acme_f.part.0", "sym_H.part.0"), ("acme_f+0x10", "sym_H+0x10"),
                                       ("acme_f.isra.0+0x1", "sym_H.isra.0+0x1")])  # fmt: skip
def test_other_names_become_hashes(name: str, form: str) -> None:
    assert re.fullmatch(re.escape(form).replace("-H", f"-{HASH}").replace("_H", f"_{HASH}"), red().symbol(name))
    assert red().symbol(name).partition(".")[0].partition("+")[0] == red().symbol("acme_f")


@pytest.mark.parametrize(
    "path,form",
    [
        ("kernel/time/clocksource.c", "kernel/time/clocksource.c"),
        ("./include/linux/x.h", "./include/linux/x.h"),
        ("kernel/../include/x.h", "kernel/../include/x.h"),
        ("kernel/../../alice/x.h", "redacted-H.h"),
        ("/home/alice/linux/kernel/time/clocksource.c", "kernel/time/clocksource.c"),
        ("/home/alice/linux/acme/x.c", "redacted-H.c"),
        ("/home/alice/x.c", "redacted-H.c"),
        ("../../home/alice/x.S", "redacted-H.S"),
        ("~/x", "redacted-H"),
        ("", ""),
    ],
)
def test_paths(path: str, form: str) -> None:
    assert re.fullmatch(re.escape(form).replace("-H", f"-{HASH}").replace("_H", f"_{HASH}"), red().path(path))


@pytest.mark.parametrize(
    "text,form",
    [
        ("tsc: Detected 2100.000 MHz processor", None),
        ("clocksource: tsc: mask: 0xffffffffffffffff max_cycles: 0x1e4/0x2, 1/2 of 3", None),
        ("1/2/3 n/a/b and/or/not 2026/11/28", None),
        ("see /etc/acme/x.conf.", "see redacted-H.conf."),
        ("file=/etc/acme,x", "file=redacted-H,x"),
        ("by bob@host (gcc)", "by redacted-H (gcc)"),
        ("acme_f: failed in acme_f.part", "sym_H: failed in sym_H.part"),
        ("my_acme_f acme_f2", None),
    ],
)  # fmt: skip
def test_texts(text: str, form: str | None) -> None:
    found = red(symbols=frozenset({"acme_f"})).text(text)
    assert re.fullmatch(re.escape(form or text).replace("-H", f"-{HASH}").replace("_H", f"_{HASH}"), found), found


def test_no_clock_is_a_secret(tmp_path: Path, program: Program) -> None:
    """What a command line says of clocks is no secret where events have it."""
    path = tmp_path / "mine.trace"
    writer = write_sample(path, end=None)
    writer.meta("guest.command_line", "clocksource=tsc-early hpet_enable")
    writer.close(True, "")
    timeline = json.loads(program("timeline", redact(program, path, tmp_path / "out.trace"), "--format", "json").stdout)
    assert "tsc-early" in [clock["name"] for clock in timeline["clocks"]]


def test_long_texts_take_no_time_of_their_own(tmp_path: Path, program: Program) -> None:
    """A trace is anyone's: a word of a megabyte, and a command line of as many words."""
    path = tmp_path / "mine.trace"
    writer = write_sample(path, end=None)
    writer.meta("guest.command_line", " ".join(f"parameter{number}=value{number}" for number in range(30_000)))
    for number, text in enumerate(
        ["a" * 10**6, "/" * 10**6, "/a" * 10**5, "a@" * 10**5, "@" * 10**6, "a.b" * 10**5]
    ):
        writer.meta(f"told.{number}", text)
    writer.close(True, "")
    redact(program, path, tmp_path / "out.trace")


def test_prose_makes_no_name_known() -> None:
    names = known_words.names()
    assert {"tsc_init", "hpet_enable", "clocksource", "mark_tsc_unstable"} <= names
    assert not {"explanation", "afterwards_is", "never_a_word"} & names
    assert {"arch/x86/kernel", "kernel/time"} <= known_words.folders()


# ---------------------------------------------------------------- files


def test_nothing_is_replaced_unasked(tmp_path: Path, program: Program) -> None:
    source, other = tmp_path / "mine.trace", tmp_path / "other"
    shutil.copy(HEALTHY, source)
    other.write_text("another's")
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "second")
    before = source.read_bytes()
    for target, said in (("other", "exists already"), ("mine.trace", "is the trace itself"), ("link", "is the trace itself"),
                         ("second", "is the trace itself"), (".", "exists already"), ("none/x", "cannot be written")):  # fmt: skip
        options = [] if target in ("other", ".") else ["--overwrite"]
        done = program("redact", source, "-o", tmp_path / target, *options)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert other.read_text() == "another's" and source.read_bytes() == before
    redact(program, source, other, "--overwrite")
    assert other.read_bytes().startswith(b"SQLite format 3")


def test_a_damaged_trace_makes_none(tmp_path: Path, program: Program) -> None:
    short = tmp_path / "short.trace"
    short.write_bytes(HEALTHY.read_bytes()[:60_000])
    done = program("redact", short, "-o", tmp_path / "out.trace")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["short.trace"]


def test_no_kind_of_that_name(program: Program) -> None:
    done = program("redact", HEALTHY, "-o", "x", "--keep", "symbol")
    assert done.returncode == 2 and "did you mean symbols?" in done.stderr
