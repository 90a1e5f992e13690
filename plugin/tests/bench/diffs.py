# SPDX-License-Identifier: MIT
"""`diff` of two traces of ten million decisions against diff(1) of the same rows as text: time, and memory."""

import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

from clockscope._core import TraceWriter
from guest import ROOT
from peak import ended

from bench.measure import paired, show

PAIRS = 3
INVOCATIONS = 100_000
DECISIONS = 100  # of each invocation

# A function of one loop: as many branches as decisions, so that nothing is cheaper than it would be.
_CODE = """
INSERT INTO function VALUES (1, 'f', 4096, 'f.c', 1, 1, '');
INSERT INTO block WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
    SELECT 1, i, 4096 + 16 * i, 4112 + 16 * i, 0, 0, 0 FROM n;
INSERT INTO edge SELECT 1, number, number + 1, 'next' FROM block WHERE number < 100;
INSERT INTO edge SELECT 1, number, 100, 'taken' FROM block WHERE number < 100;
INSERT INTO instruction (function, address, block, kind, condition, target, text, file, line, inlined)
    SELECT 1, from_address + 8, number, 'branch', 'e', NULL, 'je', 'f.c', number, ''
    FROM block WHERE number < 100;
INSERT INTO invocation WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {invocations})
    SELECT i, 1, i, i, i, i, 0, 'p1.1', '', 0, 0, 'g+4', 'yes', 0, 1, 1 FROM n;
INSERT INTO decision SELECT i.id, b.number, b.from_address + 8, 0, NULL FROM invocation i, block b
    WHERE b.number < {decisions} ORDER BY i.id, b.number;
"""


def make(path: Path) -> None:
    TraceWriter(str(path)).close(True, "")
    with sqlite3.connect(path) as database:
        database.executescript(_CODE.format(invocations=INVOCATIONS, decisions=DECISIONS))
    database.close()


def as_text(trace: Path, path: Path) -> None:
    with sqlite3.connect(trace) as database, path.open("w") as lines:
        for row in database.execute("SELECT * FROM decision ORDER BY invocation, ordinal"):
            lines.write("|".join(map(str, row)) + "\n")
    database.close()


def timed(*command: str | Path) -> float:
    began = time.monotonic()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 1
    return time.monotonic() - began


def run(directory: Path) -> None:
    traces, texts = [directory / "a.trace", directory / "b.trace"], [directory / "a.txt", directory / "b.txt"]
    make(traces[0])
    as_text(traces[0], texts[0])
    # The last one differs: of equal files diff(1) looks at no lines at all.
    shutil.copy(traces[0], traces[1])
    with sqlite3.connect(traces[1]) as database:
        database.execute(
            "UPDATE decision SET taken = 1 WHERE (invocation, ordinal) = (?, ?)", [INVOCATIONS, DECISIONS - 1]
        )
    database.close()
    as_text(traces[1], texts[1])
    program = ROOT / "build" / "clockscope"
    pairs = paired(PAIRS, lambda: timed(program, "diff", *traces), lambda: timed("diff", "--speed-large-files", *texts))
    show(f"diff of {INVOCATIONS * DECISIONS} decisions", pairs, ("clockscope", "diff(1)"), "s")
    ours, theirs = ended([program, "diff", *traces]).memory / 2**20, ended(["diff", *texts]).memory / 2**20
    print(f"  peak memory: clockscope {ours:.0f} MiB, diff(1) {theirs:.0f} MiB")
