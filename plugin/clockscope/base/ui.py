# SPDX-License-Identifier: MIT
"""How a command speaks to its user, whether in GDB or as a program."""

import os
import sys
import time
from collections.abc import Iterable

from clockscope.base.errors import UserError

# C0 and C1 controls but tab and newline: what a guest sent must not steer the user's terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (0x09, 0x0A)}


def printable(text: str) -> str:
    """`text` with control characters shown as escapes; lone surrogates too."""
    return text.translate(_CONTROLS).encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(text: str) -> str:
    """`printable`, with line breaks and tabs shown as escapes as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis stands for what is left out."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


TYPE_CHECKING = False  # `typing` takes longer to import than most answers to be given
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

_PROSE, _WIDEST = 100, 10_000

TRACE_HELP = "a recorded trace; in GDB, by default the one that was opened, is being recorded, or was written last"


class Ui(Protocol):
    """What a command may ask of the place it runs in."""

    colour: bool
    width: int
    """Of the terminal, in columns; 0 where nobody looks at one, as in a pipe: then nothing is cut or folded."""

    def out(self, text: str) -> None:
        """Print a result (through the pager, where there is one)."""

    def note(self, text: str) -> None:
        """Print one line beside the result: progress, advice, a warning."""

    def progress(self, done: int, total: int, what: str) -> None:
        """Show how far long work has come; total 0 means unknown."""

    def made(self, trace: str) -> None:
        """A trace was written to this file: what is asked next may mean it."""

    @property
    def opened(self) -> str | None:
        """The trace that the user chose for what follows, if nothing was made since."""

    @property
    def trace(self) -> str | None:
        """The trace that was written last, where that is known."""

    @property
    def recording(self) -> str | None:
        """The trace that is being recorded here; what it has so far can then be read."""


def prose_width(ui: Ui, lead: int = 0) -> int:
    """The columns that a text which is folded anyway may have behind a lead."""
    return max((ui.width or _PROSE) - lead, 40)


def counted(number: int, noun: str) -> str:
    """ "1 function", "2 functions"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def trace_meant(given: str | None, ui: Ui) -> str:
    """The trace that was named, or else the one that was opened, is being recorded, or was written last."""
    recording = ui.recording
    path = given if given is not None else ui.opened or recording or ui.trace
    if path is None:
        raise UserError("no trace was named: give its FILE")
    return path


def is_under_way(file: str, ui: Ui) -> bool:
    """Whether a trace is being recorded here."""
    recording = ui.recording
    return recording is not None and os.path.realpath(recording) == os.path.realpath(file)


def damage_noted(damage: Iterable[str | None], ui: Ui) -> int:
    """Say what was wrong with traces of which the rest has been shown; the command's exit status."""
    found = [one for one in damage if one is not None]
    for one in found:
        ui.note(one_line(one))
    return 2 if found else 0


def _width() -> int:
    if not sys.stdout.isatty():
        said = os.environ.get("COLUMNS", "")  # of a shell that hands it on on purpose
        return min(int(said), _WIDEST) if said.isascii() and said.isdecimal() and len(said) < 9 else 0
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


class TerminalUi:
    """The program's own: results to standard output, notes and progress to standard error."""

    opened: str | None = None  # each run of the program is its own
    trace: str | None = None
    recording: str | None = None

    def __init__(self) -> None:
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.width = _width()
        self._last = 0.0

    def out(self, text: str) -> None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        sys.stderr.write(printable(text) + "\n")

    def made(self, trace: str) -> None:
        pass

    def progress(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._last < 0.1 and done != total):
            return
        self._last = now
        share = f"{100 * done // total:3d}%" if total else f"{done}"
        sys.stderr.write(f"\r{share} {what}\x1b[K" + ("\n" if total and done >= total else ""))
