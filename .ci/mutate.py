# SPDX-License-Identifier: MIT
"""Changes one place of the core at a time, and asks the unit tests whether they notice.

    .ci/mutate.py [-n PLACES] [-s SEED] [FILE…]

The files are those of flow, relay and record by default; the tests are those of the file's own room, plus those that are
named with --tests. A mutant counts as noticed if a test fails, crashes, or does not end in time; as stillborn if it does
not compile. The survivors are listed: each is a test that is missing, or a place that makes no difference. Nothing of the
tree is changed: mutants live in build/mutants.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORE, TESTS, PLACE = Path("c-ext/core"), Path("c-ext/tests"), Path("build/mutants")
ROOMS = ("flow", "relay", "record")
LIMIT = 60  # s that a test program may take
COMPILER = ["gcc", "-std=gnu11", "-O0", "-w", "-D_GNU_SOURCE", "-pthread", f"-I{CORE}", f"-I{TESTS}", "-Ibuild/gen"]
LIBRARIES = ["-lcmocka", "-lexpat", "-lcapstone", "-lsqlite3", "-ldw", "-lelf", "-pthread"]
# What a slip of the hand would make of it.
CHANGES = [
    (r"(?<![<>=!+\-*/&|^%])==(?!=)", ("!=",)),
    (r"!=(?!=)", ("==",)),
    (r"(?<=\s)<=(?=\s)", ("<", ">")),
    (r"(?<=\s)>=(?=\s)", (">", "<")),
    (r"(?<=\s)<(?=\s)", ("<=", ">")),
    (r"(?<=\s)>(?=\s)", (">=", "<")),
    (r"&&", ("||",)),
    (r"\|\|", ("&&",)),
    (r"(?<=\s)\+(?=\s)", ("-",)),
    (r"(?<=\s)-(?=\s)", ("+",)),
    (r"\+\+", ("--",)),
    (r"(?<=[\s(])!(?=[\w(])", ("",)),
    (r"\btrue\b", ("false",)),
    (r"\bfalse\b", ("true",)),
    (r"\bcontinue;", ("break;",)),
    (r"\bbreak;", (";",)),
    (r"(?<=[\s(\[])(?:[1-9]\d*)(?=u?[;,)\s\]])", ("0", "7")),
]
_SKIPPED = re.compile(
    r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|^\s*#(?:[^\n]*\\\n)*[^\n]*$', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Mutant:
    file: Path
    start: int
    end: int
    text: str

    def source(self) -> str:
        whole = self.file.read_text()
        return whole[: self.start] + self.text + whole[self.end :]

    def __str__(self) -> str:
        whole = self.file.read_text()
        line = whole.count("\n", 0, self.start) + 1
        change = f"{whole[self.start:self.end]} -> {self.text or 'nothing'}"
        return f"{self.file}:{line}: {change}: {whole.splitlines()[line - 1].strip()}"


def mutants(file: Path) -> Iterator[Mutant]:
    """All of a file's, texts, comments and lines of the preprocessor left out."""
    code = _SKIPPED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), file.read_text())
    for pattern, texts in CHANGES:
        for found in re.finditer(pattern, code):
            yield from (Mutant(file, found.start(), found.end(), text) for text in texts if text != found[0])


def compiled(source: Path, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.run([*COMPILER, "-c", source, "-o", target], stderr=subprocess.DEVNULL).returncode == 0


def built(sources: Sequence[Path]) -> list[Path]:
    """Objects of the files, as they are."""
    objects = [(PLACE / source).with_suffix(".o") for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if not all(pool.map(compiled, sources, objects)):
            sys.exit("mutate: the core does not compile: make -f setup.mk tests")
    return objects


def passes(test: Path, library: Path, *first: Path) -> bool:
    """Whether a program of tests passes; what is in `first` is taken instead of the library's."""
    program = (first[0] if first else PLACE / test).with_suffix(f".{test.stem}")
    program.parent.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["gcc", "-o", program, test, *first, library, *LIBRARIES], stderr=subprocess.DEVNULL).returncode:
        return False
    command, null = [program.absolute()], subprocess.DEVNULL
    try:
        return subprocess.run(command, timeout=LIMIT, stdin=null, stdout=null, stderr=null).returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        program.unlink()


@cache
def tests_of(room: str) -> tuple[Path, ...]:
    return tuple(built(sorted((TESTS / room).rglob("test_*.c"))))


def outcome(numbered: tuple[int, Mutant], library: Path, more: Sequence[Path]) -> str:
    number, mutant = numbered
    source = PLACE / f"{number}.c"
    source.write_text(mutant.source())
    try:
        if not compiled(source, source.with_suffix(".o")):
            return "stillborn"
        tests = (*tests_of(mutant.file.relative_to(CORE).parts[0]), *more)
        own = sorted(
            tests, key=lambda test: mutant.file.stem not in test.stem
        )  # what is likeliest to notice comes first
        return "survived" if all(passes(test, library, source.with_suffix(".o")) for test in own) else "noticed"
    finally:
        for left in PLACE.glob(f"{number}.*"):
            left.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, metavar="PLACES", help="how many, chosen by chance (200)")
    parser.add_argument("-s", type=int, default=1, metavar="SEED", help="another choice")
    parser.add_argument("--tests", action="append", type=Path, default=[], metavar="FILE", help="tests of other rooms")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    args = parser.parse_args()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    library = PLACE / "libcore.a"
    subprocess.run(["ar", "rcs", library, *built(sorted(CORE.rglob("*.c")))], check=True)
    files = args.files or sorted(file for room in ROOMS for file in (CORE / room).rglob("*.c"))
    every = [mutant for file in files for mutant in mutants(file)]
    chosen = random.Random(args.s).sample(every, min(args.n, len(every)))
    more = built(args.tests)
    broken = [test for file in files for test in tests_of(file.relative_to(CORE).parts[0]) if not passes(test, library)]
    if broken:
        sys.exit(f"mutate: {broken[0]} fails with nothing changed")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda one: outcome(one, library, more), enumerate(chosen)))
    for mutant in (mutant for mutant, told in zip(chosen, outcomes) if told == "survived"):
        print(mutant)
    alive = [told for told in outcomes if told != "stillborn"]
    noticed = alive.count("noticed")
    print(f"{noticed} of {len(alive)} noticed ({100 * noticed / max(1, len(alive)):.0f}%)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
