# SPDX-License-Identifier: MIT
"""How readers word what a trace of an operating system holds: names of bits, who acts for others, where its stamps begin.

The data lies in words/OS.words, apart from the profiles, whose expressions and patterns a reader does not need. A line is
a key and its words, `#` begins a comment; a pattern is a name, or how names begin and `*`. What reads TOML takes longer to
import than a timeline to print.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "words")
_NAME_MAX = 32
_read: "dict[tuple[str, str], Words]" = {}


class Words:
    """Those of one kernel."""

    def __init__(self, system: str, release: str) -> None:
        lines = list(_lines(system))
        self.zero = _all(lines, "zero")
        """The rules at whose event the kernel's own stamps begin."""
        self.given = _all(lines, "given")
        """The values that tell which function was called by one that calls whatever it is given."""
        self._through, self._beyond = _all(lines, "through"), _all(lines, "beyond")
        self._bits = dict(_bits([line[1:] for line in lines if line[0] == "bits"], _number(release)))

    def bits(self, what: str, name: str, value: int) -> str | None:
        """Flags by name, "CONTINUOUS|MUST_VERIFY"; what has none in hexadecimal. None where the value has no bits.
        `what`: the event's kind."""
        names = self._bits.get(f"{what.partition('.')[0]}.{name}")
        if names is None:
            return None
        found = [bit for bit, number in sorted(names.items(), key=lambda item: item[1]) if value & number]
        rest = value & ~sum(names.values())
        return "|".join([*found, *([f"{rest:#x}"] if rest else [])]) or f"no {name}"

    def is_through(self, function: str) -> bool:
        """Whether a function does what it does for its caller."""
        return any(_matches(pattern, function) for pattern in self._through)

    def is_beyond(self, function: str) -> bool:
        """Whether it calls whatever it is given, so that its caller tells nothing."""
        return any(_matches(pattern, function) for pattern in self._beyond)


def of(guest: Mapping[str, str]) -> Words:
    """Those of a guest as a timeline has it; of a system that is not known, none."""
    key = guest.get("os", ""), guest.get("release", "")
    if key not in _read:
        _read[key] = Words(*key)
    return _read[key]


def _lines(system: str) -> Iterator[list[str]]:
    """Its lines in words."""
    path = os.path.join(_FOLDER, f"{system}.words")
    if not (system.isascii() and system.isalnum() and len(system) <= _NAME_MAX and os.path.exists(path)):
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            if words := line.partition("#")[0].split():
                yield words


def _all(lines: Sequence[Sequence[str]], key: str) -> tuple[str, ...]:
    return tuple(word for line in lines if line[0] == key for word in line[1:])


def _bits(lines: Sequence[Sequence[str]], release: tuple[int, ...]) -> Iterator[tuple[str, dict[str, int]]]:
    """By subject and value, the bits that this release has. Where it is not known, those that all have."""
    for of in dict.fromkeys(line[0] for line in lines):
        names: dict[str, int] = {}
        for line in lines:
            given = dict(word.split("=") for word in line[1:])
            since, before = _number(given.pop("since", "")), _number(given.pop("before", ""))
            fits = not (since or before) or (release and release >= since and (not before or release < before))
            if line[0] == of and fits:
                names |= {name: int(bit, 16) for name, bit in given.items()}
        yield of, names


def _number(release: str) -> tuple[int, ...]:
    """(6, 1) of "6.1.0-9-amd64"; () where it begins with no number."""
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    usable = major.isascii() and major.isdecimal() and minor and len(major) + len(minor) < 9
    return (int(major), int(minor)) if usable else ()


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
