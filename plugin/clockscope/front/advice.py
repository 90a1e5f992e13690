# SPDX-License-Identifier: MIT
"""Where things stand, and what a user may do next."""

import glob
import os

from clockscope import __version__
from clockscope.gdbside import console, symbols
from clockscope.live.gdb_session import here
from clockscope.base.ui import one_line

_MORE = "`help clock` lists all commands."


def next_step() -> str:
    """What to do next, by what there is already."""
    recording = here().recording
    if recording is not None:
        path = one_line(recording.path)
        return f"Recording to {path}. `continue` your guest; `clock record --stop` ends the recording."
    trace = console.last_trace()
    if trace is not None:
        return (
            f"{one_line(trace)} was recorded. See it with `clock timeline`, `clock path` and `clock diagnose`. {_MORE}"
        )
    if _attached():
        return f"Your guest is attached. `clock record -o boot.trace --until idle` records its boot. {_MORE}"
    if symbols.symbol_file() is None:
        step = "Load your kernel's debug ELF with `file vmlinux`, then start it with `clock launch`."
    else:
        step = "Start your guest with `clock launch -- qemu-system-x86_64 …`, or `clock attach HOST:PORT`."
    return " ".join(filter(None, (step, _at_hand(), _MORE)))


def overview() -> str:
    """The answer to `info clockscope`."""
    trace = console.last_trace()
    recording = here().recording
    rows = [
        ("clockscope", f"{__version__}, in GDB {console.version()}"),
        ("symbols", one_line(symbols.symbol_file() or "none: `file vmlinux` loads your kernel's")),
        ("guest", _guest()),
        ("recording", one_line(recording.path) if recording is not None else "none"),
        ("last trace", one_line(trace) if trace is not None else "none"),
        ("next", next_step()),
    ]
    return "\n".join(f"{name:10}  {text}" for name, text in rows)


def _attached() -> bool:
    made = here().connection
    return made is not None and made.relay.state not in ("closed", "exited")


def _guest() -> str:
    made = here().connection
    if made is None or not _attached():
        return "none is attached"
    name = made.guest.name if made.guest is not None else ""
    return " ".join(filter(None, (name, one_line(made.relay.state), "at", one_line(made.address))))


def _at_hand() -> str:
    """The newest trace in this directory, in a sentence."""
    files = sorted(filter(os.path.isfile, glob.glob("*.trace")), key=os.path.getmtime)
    return f"`clock timeline {one_line(files[-1])}` reads the trace that lies here." if files else ""
