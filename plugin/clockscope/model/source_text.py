# SPDX-License-Identifier: MIT
"""The source of a trace's functions: the lines that the trace keeps, or a tree that the user names.

Of neither is more taken than the file that the line table names. Both are untrusted, like the names.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from clockscope.base.errors import UserError
from clockscope._core import Trace
from clockscope.model import c_statements
from clockscope.model.c_statements import Function
from clockscope.model.c_tokens import LINE_LIMIT

Locate = Callable[[str, int], str | None]
"""The file on this machine that a line table names, at an address."""

_FILE_MAX = 2 << 20  # bytes
_LINES_MAX = 40_000  # of a file that a trace holds


class Source:
    """Where source text comes from; each file is read and parsed once."""

    def __init__(
        self,
        trace: Trace | None,
        tree: Path | None = None,
        locate: Locate = lambda file, address: None,
        code: Mapping[str, Mapping[int, int]] | None = None,
    ) -> None:
        """`tree`: the top of a source tree; what it does not have, the trace may, or `locate` find. `code`: by file and line
        an address, where there is no trace that has them."""
        if tree is not None and not tree.is_dir():
            raise UserError(f"{tree}: no such directory; give the top of the kernel's source tree")
        self._trace = trace
        self._tree = tree.resolve() if tree is not None else None
        self._locate = locate
        self._addresses = dict(code or {})
        self._texts: dict[str, Mapping[int, str]] = {}
        self._functions: dict[str, Sequence[Function]] = {}

    def text(self, file: str, line: int) -> str | None:
        """One line, without what surrounds it; None where it is not at hand."""
        return self.lines(file).get(line, "").strip() or None

    def lines(self, file: str) -> Mapping[int, str]:
        """By its number, each line that is at hand."""
        if file not in self._texts:
            self._texts[file] = (self._of_tree(file) if file else {}) or self._of_trace(file) or self._located(file)
        return self._texts[file]

    def function(self, file: str, line: int, name: str) -> Function | None:
        """The function of that name whose lines a line is among, if its text is whole and understood."""
        found = [one for one in self.functions(file) if line in one.lines and name in one.names]
        return found[0] if len(found) == 1 else None

    def names(self, file: str, line: int) -> frozenset[str]:
        """What the function may be called that a line is in."""
        return next((one.names for one in self.functions(file) if line in one.lines), frozenset())

    def functions(self, file: str) -> Sequence[Function]:
        """Those of a file that have code, and are whole and understood."""
        if file not in self._functions:
            self._functions[file] = self._parsed(file)
        return self._functions[file]

    def _of_trace(self, file: str) -> Mapping[int, str]:
        if self._trace is None:
            return {}
        rows = self._trace.rows(
            "SELECT line, text FROM source WHERE file = ? ORDER BY line LIMIT ?", [file, _LINES_MAX]
        )
        return {row["line"]: row["text"] for row in rows}

    def _of_tree(self, file: str) -> Mapping[int, str]:
        path = self._path(file)
        return self._of_file(file, path) if path is not None else {}

    def _located(self, file: str) -> Mapping[int, str]:
        """Of the file that a debugger finds by a line table's name and an address."""
        address = next(iter(self._code(file).values()), None) if file else None
        path = self._locate(file, address) if address is not None else None
        return self._of_file(file, Path(path)) if path else {}

    def _of_file(self, file: str, path: Path) -> Mapping[int, str]:
        lines = read(path)
        return dict(enumerate(lines, 1)) if lines and self._fits(file, lines) else {}

    def _path(self, file: str) -> Path | None:
        """The file below the tree; of one that was named from the root, the tree is some folder on its way."""
        if self._tree is None or "\0" in file:
            return None
        parts = PurePosixPath(file).parts
        absolute = parts[:1] == ("/",)
        for skipped in range(1, len(parts) - 1) if absolute else (0,):
            path = Path(os.path.realpath(self._tree.joinpath(*parts[skipped:])))
            if path.is_relative_to(self._tree) and path.is_file():
                return path
        return None

    def _fits(self, file: str, lines: Sequence[str]) -> bool:
        """Whether these can be the lines that the compiler had: each that has code says something, most of what the
        trace kept is the same, and where a traced function begins that is in this file, it is named."""
        if not all(line <= len(lines) and _says_something(lines[line - 1]) for line in self._code(file)):
            return False
        kept = self._of_trace(file)
        others = sum(line > len(lines) or lines[line - 1].split() != text.split() for line, text in kept.items())
        if others * 4 > len(kept):  # early versions kept some lines of other files
            return False
        begins = self._begins(file)
        return not begins or any(name in "\n".join(lines[max(line - 4, 0) : line]) for name, line in begins)

    def _begins(self, file: str) -> Sequence[tuple[str, int]]:
        """Where the traced functions begin whose first instruction comes from a file: their own, or one of a header."""
        if self._trace is None:
            return ()
        rows = self._trace.rows("SELECT name, line FROM function WHERE file = ? AND line > 0", [file])
        return [(row["name"].split(".")[0], row["line"]) for row in rows]

    def _code(self, file: str) -> Mapping[int, int]:
        """The lines of a file that have code, each with an address."""
        if file not in self._addresses and self._trace is not None:
            rows = self._trace.rows(
                "SELECT line, min(address) AS address FROM instruction WHERE file = ? AND line > 0 GROUP BY line",
                [file],
            )
            self._addresses[file] = {row["line"]: row["address"] % (1 << 64) for row in rows}
        return self._addresses.get(file, {})

    def _parsed(self, file: str) -> Sequence[Function]:
        """The functions that are whole: of the consecutive lines that are at hand."""
        lines, code = self.lines(file), self._code(file)
        found: list[Function] = []
        run: list[str] = []
        for line in sorted(lines):
            run.append(lines[line])
            if line + 1 not in lines:
                found += c_statements.functions(run, line + 1 - len(run), code)
                run = []
        return found


def _says_something(line: str) -> bool:
    """Whether a line can have code: it is not empty, and not all comment."""
    text = line.strip()
    return (
        bool(text) and not text.startswith(("//", "* ", "*/")) and text != "*" and not re.fullmatch(r"/\*.*\*/", text)
    )


def functions_found(trace: Trace, locate: Locate) -> Iterator[tuple[str, int, str]]:
    """What a trace is to keep: file, line and text of the functions whose code it has, whole, and of the other lines that
    have code."""
    source = Source(trace, None, locate)
    code: dict[str, set[int]] = {}
    for row in trace.rows("SELECT DISTINCT file, line FROM instruction WHERE line > 0 AND file <> ''"):
        code.setdefault(row["file"], set()).add(row["line"])
    for file, lines in sorted(code.items()):
        texts = source.lines(file)
        spans = [one.lines for one in source.functions(file) if lines.intersection(one.lines)]
        for line in sorted(lines.union(*spans)):
            if line in texts and (texts[line].strip() or line not in lines):
                yield file, line, texts[line].rstrip()[:LINE_LIMIT]


def read(path: Path) -> Sequence[str]:
    """A file's lines; none of what is no ordinary text file, or too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ()
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _FILE_MAX:
            return ()
        return opened.read(_FILE_MAX).decode("utf-8", "replace").expandtabs().split("\n")
