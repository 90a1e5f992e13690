# SPDX-License-Identifier: MIT
"""What DejaGnu says of tests, and what two runs of the same tests differ in. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r"(PASS|FAIL|XPASS|XFAIL|KPASS|KFAIL|UNTESTED|UNRESOLVED|UNSUPPORTED): (\S+\.exp: .*)")
# Ports, process ids and addresses, which differ from run to run.
PASSING = re.compile(r"0x[0-9a-f]+|\d{3,}")


@dataclass
class Results:
    """How often each test ended how. A name may stand for several tests."""

    ended: dict[str, Counter[str]] = field(default_factory=dict)

    def passed(self, name: str) -> int:
        return self.ended.get(name, Counter())["PASS"]

    @property
    def passes(self) -> int:
        return sum(count["PASS"] for count in self.ended.values())

    def how(self, name: str) -> str:
        """In one word, for whoever asks why it did not pass."""
        others = [word for word in self.ended.get(name, Counter()) if word != "PASS"]
        return others[0] if others else "not reached"


def parse(text: str) -> Results:
    """The lines of a .sum file that tell of tests."""
    results = Results()
    for line in text.splitlines():
        if match := LINE.match(line):
            name = PASSING.sub("N", match[2]).strip()
            results.ended.setdefault(name, Counter())[match[1]] += 1
    return results


@dataclass(frozen=True)
class Limit:
    """Something that the relay does not offer, and the tests that need it, as globs of their names."""

    reason: str
    readme: str  # the words by which README's limits tell of it
    tests: tuple[str, ...]
    way: str = ""  # by which they are lost; empty: by any

    def covers(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.tests)


def lost(direct: Results, relayed: Results) -> list[str]:
    """Tests that pass directly, and not, or less often, through the relay."""
    return [name for name in direct.ended if direct.passed(name) > relayed.passed(name)]


def covered(names: Iterable[str], limits: Iterable[Limit]) -> dict[str, Limit]:
    """Which of them have a limit for a reason."""
    limits = list(limits)
    found = ((name, next((limit for limit in limits if limit.covers(name)), None)) for name in names)
    return {name: limit for name, limit in found if limit is not None}


def file_of(name: str) -> str:
    return name.split(":", 1)[0]


def steadily_lost(name: str, direct: list[Results], relayed: list[Results]) -> bool:
    """Whether it is the relay, and not the machine's load: directly it always passes, through the relay it mostly does not."""
    wanted = direct[0].passed(name)
    missed = sum(run.passed(name) < wanted for run in relayed)
    return all(run.passed(name) >= wanted for run in direct) and 2 * missed > len(relayed)


def load_limits(entries: Iterable[Mapping[str, object]]) -> list[Limit]:
    limits = []
    for entry in entries:
        tests = entry["tests"]
        assert isinstance(tests, list)
        names = tuple(str(test) for test in tests)
        limits.append(Limit(str(entry["reason"]), str(entry["readme"]), names, str(entry.get("way", ""))))
    return limits


def read_sum(path: Path) -> Results:
    return parse(path.read_text(errors="replace") if path.is_file() else "")
