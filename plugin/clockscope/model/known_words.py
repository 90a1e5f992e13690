# SPDX-License-Identifier: MIT
"""The names that clockscope itself has of a kernel: in the profiles, their words and the diagnoses that come with it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SQL_COMMENT = re.compile(r"--.*")
_FOLDER = re.compile(r"\b(?:[a-z][a-z0-9_]*/)+(?=[\w-]+\.[chS]\b)")


def names() -> frozenset[str]:
    """Those that a profile, a reader's words or a diagnosis' question name; prose and comments aside."""
    texts = [text for path in _files("profiles/*.toml", "diagnoses/*.toml") for text in _strings(_toml(path), path)]
    for path in _files("profiles/words/*.words"):
        texts += [line.partition("#")[0] for line in path.read_text("utf-8").splitlines()]
    texts += [path.read_text("utf-8") for path in _files("diagnoses/*.sql")]
    return frozenset(word for text in texts for word in _WORD.findall(_SQL_COMMENT.sub("", text)))


def folders() -> frozenset[str]:
    """The folders of the source files that are named there, comments included: "arch/x86/kernel"."""
    paths = _files("profiles/*.toml", "profiles/words/*.words", "diagnoses/*.toml", "diagnoses/*.sql")
    found = (match for path in paths for match in _FOLDER.findall(path.read_text("utf-8")))
    return frozenset(one.rstrip("/") for one in found)


def _files(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(_HERE.glob(pattern))]


def _toml(path: Path) -> object:
    return tomllib.loads(path.read_text("utf-8"))


_PROSE = ("symptom", "cause", "try", "change", "description", "text", "note")


def _strings(value: object, path: Path) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            if key not in _PROSE:
                yield from _strings(one, path)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, path)
