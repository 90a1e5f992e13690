# SPDX-License-Identifier: MIT
"""What one session of GDB's works with. All that is one of its kind there stands here, and is reached by here()."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clockscope.live.connection import Connection
    from clockscope.live.guest_process import Guest
    from clockscope.live.relocation import Found
    from clockscope.live.session import Recording


@dataclass
class GdbSession:
    connection: Connection | None = None
    """To the guest; None: none is attached through clockscope."""
    recording: Recording | None = None
    """The one that is under way."""
    left_running: list[Guest] = field(default_factory=list)
    """Guests that GDB has let go, and that are to end with it."""
    leaving: bool = False
    """GDB ends."""
    moved: list[tuple[str, int]] = field(default_factory=list)
    """The symbol file that was moved last to where its kernel runs, and how far."""
    settled: tuple[Found, int] | None = None
    """Where a guest stands that was run until its kernel was found, and how long it had run by then."""
    last_command: list[str] = field(default_factory=list)
    """What `clock launch` started last."""


_present = GdbSession()


def here() -> GdbSession:
    """The session that commands and GDB's events are about."""
    return _present


@contextlib.contextmanager
def use(session: GdbSession) -> Iterator[GdbSession]:
    """Within it, commands and events are about another session."""
    global _present
    before, _present = _present, session
    try:
        yield session
    finally:
        _present = before
