# SPDX-License-Identifier: MIT
"""Having something called when the guest has stopped or ended, or GDB ends."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import gdb

from clockscope._core import end_interrupts

_stopping = False  # GDB is in the middle of asking a probe
_owed: list[Callable[[], None]] = []
_at_stop: list[Callable[[], None]] = []
_exit_calls: list[Callable[[object], None]] = []


@contextmanager
def asking() -> Iterator[None]:
    """For the time in which GDB asks a probe: what the guest's end asks for waits until it has its answer."""
    global _stopping
    _stopping = True
    try:
        yield
    finally:
        _stopping = False


def in_probe() -> bool:
    """Whether GDB is in the midst of asking a probe, which must not be deleted now."""
    return _stopping


def runs() -> bool:
    """Whether the guest runs, as far as GDB knows: in its background."""
    thread = gdb.selected_thread()  # to list them all, GDB would ask the stub
    return not _stopping and thread is not None and thread.is_running()


def at_next_stop(call: Callable[[], None]) -> None:
    """Have something called once, when the guest stands for the user or is gone: what must not be done in a probe."""
    _at_stop.append(call)


def _settle(_event: object) -> None:
    while _at_stop:
        _at_stop.pop(0)()


gdb.events.stop.connect(_settle)


def on_stop(call: Callable[[], None]) -> None:
    """Have something called whenever the guest has stopped for the user."""
    gdb.events.stop.connect(lambda _event: call())


def on_exit(call: Callable[[], None]) -> None:
    """Have something called when the guest has ended, or GDB let go of it; not once GDB ends."""

    def gone(_event: object) -> None:
        _later(partial(_ended, call)) if _stopping else _ended(call)

    _exit_calls.append(gone)
    gdb.events.exited.connect(gone)


def _ended(call: Callable[[], None]) -> None:
    _settle(None)
    call()


def on_quit(call: Callable[[], None]) -> None:
    """Have something called when GDB ends."""

    def quit_now(_event: object) -> None:
        while _exit_calls:
            gdb.events.exited.disconnect(_exit_calls.pop())
        catch_up()
        call()

    # By SIGTERM GDB ends from wherever it is, and leaves an interrupt behind.
    gdb.events.gdb_exiting.connect(end_interrupts)
    gdb.events.gdb_exiting.connect(quit_now)


def _later(call: Callable[[], None]) -> None:
    """The guest was lost while a probe read it. GDB goes on to use that probe, so it must not be deleted yet."""
    _owed.append(call)
    gdb.post_event(catch_up)


def catch_up() -> None:
    """Do what had to wait for a probe's answer."""
    while _owed:
        _owed.pop(0)()


def _leave_from_within() -> None:
    """GDB 13 crashes where a signal ends it in the midst of a command or a probe: Python cannot be ended while it runs."""
    if sys._getframe().f_back is not None:
        gdb.flush()
        os._exit(0)


atexit.register(_leave_from_within)  # what is registered later is called before
