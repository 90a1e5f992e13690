# SPDX-License-Identifier: MIT
"""Runs every check of the project and ends with one line that sums them: `N passed, N failed`.

Each stage writes its output to build/test/STAGE.log; a failed one shows the end of it. A stage that
fails does not keep the later ones from running.
"""

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LOGS = Path("build/test")
MAKE = [os.environ.get("MAKE", "make"), "--no-print-directory", "-k", "-f", "setup.mk"]
WORKERS = max(2, len(os.sched_getaffinity(0)))
FUZZ_SECONDS = 60  # of one processor, shared by all fuzz targets
SHOWN_LINES = 60


@dataclass(frozen=True)
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        text = f"{self.passed} passed, {self.failed} failed"
        return f"{text}, {self.skipped} skipped" if self.skipped else text


@dataclass(frozen=True)
class Run:
    """A program's end: its exit status, and all that it printed."""

    status: int
    output: str


def run(name: str, command: list[str]) -> Run:
    """Run a command, its output going to the log of that name."""
    log = LOGS / f"{name}.log"
    with log.open("wb") as file:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT).returncode
    return Run(status, log.read_text(errors="replace"))


def report(name: str, run: Run, tally: Tally, began: float) -> Tally:
    """Print a stage's line, and the end of its log if it failed."""
    print(f"{name}: {tally} ({time.monotonic() - began:.0f} s)", flush=True)
    if tally.failed:
        print("\n".join(f"    {line}" for line in run.output.splitlines()[-SHOWN_LINES:]), flush=True)
    return tally


def check(name: str, command: list[str]) -> Tally:
    """A stage that is one check: it passes or fails as a whole."""
    began = time.monotonic()
    result = run(name, command)
    return report(name, result, Tally(failed=1) if result.status else Tally(passed=1), began)


def unit_test(program: Path) -> Tally:
    """One cmocka program. A crash, or a sanitizer's finding, is one failure more than the program knows of."""
    began = time.monotonic()
    result = run(program.name, [str(program)])
    passed = sum(map(int, re.findall(r"^\[  PASSED  \] (\d+) test", result.output, re.MULTILINE)))
    failed = sum(map(int, re.findall(r"^\[  FAILED  \] .*?(\d+) test\(s\)", result.output, re.MULTILINE)))
    if (result.status != 0 and failed == 0) or passed + failed == 0:
        failed += 1
    return report(program.name, result, Tally(passed, failed), began)


def programs(pattern: str) -> list[Path]:
    """The programs that make has built (or should have: a missing one fails when it is run)."""
    sources = sorted(Path("c-ext/tests").rglob(pattern))
    return [Path("build") / source.relative_to("c-ext").with_suffix("") for source in sources]


def unit_tests() -> Tally:
    built = check("build-tests", [*MAKE, f"-j{WORKERS}", "tests"])
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(unit_test, filter(Path.exists, programs("test_*.c"))), built)


def fuzzers() -> Tally:
    built = check("build-fuzzers", [*MAKE, f"-j{WORKERS}", "fuzzers"])
    targets = list(filter(Path.exists, programs("fuzz_*.c")))
    seconds = str(max(1, FUZZ_SECONDS // max(1, len(targets))))
    with ThreadPoolExecutor(WORKERS) as pool:
        runs = pool.map(lambda target: check(target.name, [".ci/fuzz", str(target), seconds]), targets)
        return sum(runs, built)


def python_tests() -> Tally:
    """pytest, its progress shown as it comes; its counts are taken from its XML report."""
    results = LOGS / "pytest.xml"
    results.unlink(missing_ok=True)
    workers = ["-n", str(WORKERS), "--dist", "loadgroup"]
    command = [sys.executable, "-m", "pytest", "-q", *workers, "--durations=15", f"--junitxml={results}"]
    status = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    if not results.exists():
        return Tally(failed=1)
    suite = next(xml.etree.ElementTree.parse(results).iter("testsuite"))
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    return Tally(passed, failed or int(status != 0), count["skipped"])


def main() -> int:
    # Who is started in the background is deaf to Ctrl-C, and so are its children; but some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    LOGS.mkdir(parents=True, exist_ok=True)
    total = check("lint", [*MAKE, "lint"])
    total += check("build", [*MAKE, f"-j{WORKERS}", "build"])
    total += check("page", [*MAKE, "page-check"])
    total += check("build-clang", [*MAKE, f"-j{WORKERS}", "build-clang"])
    total += unit_tests()
    total += fuzzers()
    total += python_tests()
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
