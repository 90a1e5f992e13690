# SPDX-License-Identifier: MIT
"""How clockscope speaks in GDB, and has it do things: output, commands, settings, parameters."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gdb

from clockscope.base.ui import cut, one_line, printable
from clockscope.gdbside.happenings import catch_up

TRACE_VARIABLE = "clockscope_trace"
"""The convenience variable that holds the path of the trace that was written last."""

Error = gdb.error
"""What GDB raises where a command or expression fails."""

_PROGRESS_WIDTH = len("[Inferior 1 (process 1) exited normally]")


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """A GDB setting for the time of a block."""
    before = replace_setting(name, value)
    try:
        yield
    finally:
        replace_setting(name, before)


def replace_setting(name: str, value: str) -> str:
    """Set a GDB setting; what it was, in the words that `set` takes."""
    before = gdb.parameter(name)
    gdb.execute(f"set {name} {value}", to_string=True)
    words = {True: "on", False: "off", None: "unlimited"}
    return words[before] if before is None or isinstance(before, bool) else str(before)


def connected_to() -> str:
    """What GDB debugs now, in a word; empty where nothing."""
    inferior = gdb.selected_inferior()
    if inferior.connection is not None:
        return str(inferior.connection.description)
    return f"process {inferior.pid}" if inferior.pid else ""


def has_connection() -> bool:
    """Whether GDB holds the connection to what it debugs; no longer where that is told of as ended by `disconnect`."""
    return gdb.selected_inferior().connection is not None


def connect(socket_path: str) -> None:
    """`target remote`; raises Error."""
    execute(f"target remote {socket_path}")


def execute(command: str) -> None:
    """Run a command as if the user had typed it; raises Error."""
    try:
        gdb.execute(command, from_tty=False, to_string=False)
    finally:
        catch_up()


def run_quietly(command: str) -> str:
    """The same, with what GDB prints meanwhile for the caller alone."""
    try:
        return ask(command)
    finally:
        catch_up()


def ask(command: str) -> str:
    """What a command prints."""
    return str(gdb.execute(command, to_string=True))


def version() -> str:
    return str(gdb.VERSION)


class Ui:
    """How a command speaks in GDB: results through its pager, with its colours and width."""

    def __init__(self, *, typed: bool = False) -> None:
        """`typed`: by a person at GDB's prompt. Of other commands GDB does not say where their output goes."""
        styled = bool(gdb.parameter("style enabled")) and "NO_COLOR" not in os.environ
        self.colour = styled and typed and _at_terminal() and not _piped()
        self.width = 0 if typed and _piped() else int(gdb.parameter("width") or 0)
        # Asked now: where progress is told, in the middle of a stop, GDB must not be made to run commands.
        self._draws = _at_terminal() and not _in_tui()
        self._last = 0.0
        self._open = False

    def out(self, text: str) -> None:
        self._open = False  # what is said overwrites it
        gdb.write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        self._open = False  # what is said overwrites it
        gdb.write(printable(text) + "\n")
        gdb.flush()

    def made(self, trace: str) -> None:
        gdb.set_convenience_variable(TRACE_VARIABLE, os.path.abspath(trace))

    @property
    def opened(self) -> str | None:
        return opened_trace()

    @property
    def trace(self) -> str | None:
        return last_trace()

    @property
    def recording(self) -> str | None:
        path = _recording()
        return path if path is None else _short(path)

    def progress(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if self._draws and (now - self._last >= 0.2 or (total and done >= total)):
            self._last = now
            share = f"{100 * done // total:3d}% " if total else ""
            # What GDB itself says next, as that the guest has ended, overwrites a line this short.
            line = cut(f"{share}{one_line(what)}", _PROGRESS_WIDTH)
            self._open = not (total and done >= total)
            gdb.write(f"{line}\x1b[K" + ("\r" if self._open else "\n"))
            gdb.flush()

    def close(self) -> None:
        """Leave no line of progress behind: the work has ended, or was interrupted."""
        if self._open:
            gdb.write("\x1b[K")
        self._open = False


def _at_terminal() -> bool:
    """Python's own sys.stdout is GDB's, which never says that it is a terminal."""
    return os.isatty(1)


def _piped() -> bool:
    """Whether `pipe` runs the command that was typed: GDB tells a command nothing of it, but it keeps a history."""
    return re.search(r"\n +\d+ +(pipe\b|\|).*\Z", "\n" + ask("show commands").rstrip()) is not None


def _in_tui() -> bool:
    """The TUI's window for commands knows no carriage return."""
    return not ask("info win").startswith("The TUI is not active")


def last_trace() -> str | None:
    """The trace that was written last, or what the user set the variable to; as short as it can be said here."""
    if gdb.convenience_variable(TRACE_VARIABLE) is None:
        return None
    return _short(expand(f"${TRACE_VARIABLE}"))


_opened: tuple[str, str | None] | None = None


def open_trace(path: str) -> None:
    """Have a trace be meant from now on, also where another is being recorded."""
    global _opened
    _opened = os.path.abspath(path), _recording()
    gdb.set_convenience_variable(TRACE_VARIABLE, _opened[0])


def opened_trace() -> str | None:
    """The trace that was opened; None where another was made, or a recording begun, since then."""
    if _opened is None or expand(f"${TRACE_VARIABLE}") != _opened[0] or _recording() not in (None, _opened[1]):
        return None
    return _short(_opened[0])


def _short(path: str) -> str:
    return min(path, os.path.relpath(path), key=len)


def set_recording(ask: Callable[[], str | None]) -> None:
    """Say how to learn which trace is being recorded; asking has what is gathered written to it."""
    global _recording
    _recording = ask


def _recording() -> str | None:
    return None


def expand(word: str) -> str:
    """A word `$NAME` with the text of that convenience variable in its place, if it holds one; else as it is."""
    if not re.fullmatch(r"\$[A-Za-z_]\w*", word):
        return word
    value = gdb.convenience_variable(word[1:])
    is_text = value is not None and value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
    return str(value.string(errors="replace")) if is_text else word


def number(name: str) -> int:
    """A parameter that is a whole number."""
    return int(gdb.parameter(name))


def text(name: str) -> str:
    """A parameter that is a text; empty while it is not set."""
    return str(gdb.parameter(name) or "")
