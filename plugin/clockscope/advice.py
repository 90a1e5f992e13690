# SPDX-License-Identifier: MIT
"""What a user may do next, by what there is already."""

from clockscope import debugger
from clockscope.connection import Connection
from clockscope.recording import Recording

_MORE = "`help clock` lists all commands."


def next_step() -> str:
    made = Connection.current
    if Recording.current is not None:
        return (
            f"Recording to {Recording.current.path}. `continue` your guest; `clock record --stop` ends the recording."
        )
    if Recording.last_path:
        return f"Recorded {Recording.last_path}. See it with `clock timeline {Recording.last_path}`. {_MORE}"
    if made is not None and made.relay.state not in ("closed", "exited"):
        return f"Your guest is attached. `clock record -o boot.trace --until idle` records its boot. {_MORE}"
    if debugger.symbol_file() is None:
        return f"Load your kernel's debug ELF with `file vmlinux`, then start it with `clock launch`. {_MORE}"
    return f"Start your guest with `clock launch -- qemu-system-x86_64 …`, or `clock attach HOST:PORT`. {_MORE}"
