# SPDX-License-Identifier: MIT
"""The one connection of this GDB to a guest, through the relay."""

import re
import time
from dataclasses import dataclass

from clockscope.base import settings
from clockscope.gdbside import console, happenings, symbols
from clockscope._core import ConnectError, Error, RefusedError, Relay
from clockscope.base.errors import UserError
from clockscope.live import qemu, replaying
from clockscope.live.gdb_session import here
from clockscope.live.guest_process import Guest
from clockscope.base.ui import Ui, one_line


class Patience:
    """GDB waits for a reply as long as the relay does, and a little longer: the relay is to say what went wrong. GDB's own
    two seconds put it out of step with a guest that stalls. What the user has set to more stays, and all is put back.
    """

    _NAME = "remotetimeout"

    def __init__(self, seconds: int) -> None:
        self._set = seconds + 5
        self._before = console.number(self._NAME)
        if self._before >= self._set:
            self._set = self._before
        else:
            console.replace_setting(self._NAME, str(self._set))

    def end(self) -> None:
        """A second call, or what the user has set meanwhile, changes nothing."""
        if console.number(self._NAME) == self._set:
            console.replace_setting(self._NAME, str(self._before))
        self._set = self._before


@dataclass
class Connection:
    """A relay that GDB is connected to, and the guest's process if clockscope started it."""

    relay: Relay
    address: str
    patience: Patience
    guest: Guest | None = None
    replay: bool = False  # of a recorded boot: nothing can be changed or borrowed
    replay_shift: int | None = None  # an instruction of it takes 1 << shift ns; None: that is not known
    abandoned: bool = False  # by GDB's `disconnect`, which tells nobody: the guest is left as it is

    def fate(self) -> str:
        """How the guest's process failed; empty where it ended in order, runs on, or is not ours."""
        if self.guest is None or "detached" in self.relay.reason:
            return ""
        self.guest.settle()
        return self.guest.ending()

    def lost(self) -> None:
        """GDB has let go of the guest, or it has ended: say which."""
        fate = self.fate()
        if self.abandoned:
            said = self._leave()
        elif self.guest is not None and self.guest.running and self.relay.state != "exited":
            # It is this GDB's child: left alone by GDB, but not to outlive it.
            said = f"Your guest ({self.guest.name}) runs on without GDB; it ends when GDB does."
            here().left_running.append(self.guest)
            self.guest = None
        elif "detached" in self.relay.reason:
            said = "Your guest runs on without GDB."
        elif not fate and "may run on" in self.relay.reason:
            said = f"Your guest is no longer attached: {self.relay.reason}."
        else:
            said = f"Your guest is gone: {fate or self.relay.reason}."
        if not here().leaving:
            console.Ui().note(one_line(said))
        self.close()

    def _leave(self) -> str:
        """Let the guest be as GDB's `disconnect` means it, without our probes; what became of it."""
        if self.relay.state == "stopped":
            self.relay.close()
            said = f"stands where it stood, without GDB: `clock attach {self.address}` goes on with it"
        else:
            self.relay.detach()
            said = "runs on without GDB"
        if self.guest is None:
            return f"Your guest {said}."
        here().left_running.append(self.guest)
        said = f"Your guest ({self.guest.name}) {said}; it ends when GDB does."
        self.guest = None
        return said

    def close(self) -> None:
        """Let go of everything; a guest that clockscope started ends."""
        self.relay.close()
        self.patience.end()
        if self.guest is not None:
            self.guest.close()
        if here().connection is self:
            here().connection = None


def close_all() -> None:
    """At GDB's very end: before that it takes leave of the guest, through the relay."""
    made = here().connection
    if made is not None:
        made.close()
    for guest in here().left_running:
        guest.close()


def require() -> Connection:
    """The connection; UserError where there is none."""
    connection = here().connection
    if connection is None or connection.relay.state in ("closed", "exited"):
        raise UserError("no guest is attached: `clock launch -- qemu-system-x86_64 …`, or `clock attach HOST:PORT`")
    return connection


def require_standing() -> Connection:
    """The same; UserError too while the guest runs in GDB's background."""
    connection = require()
    if happenings.runs():
        raise UserError("your guest runs: stop it by `interrupt`, then try again")
    return connection


def check_free() -> None:
    """UserError where GDB debugs something already."""
    busy = console.connected_to()
    if busy and here().connection is not None:
        raise UserError("a guest is attached already: `kill` ends it, `detach` lets it run on; then try again")
    if busy:
        raise UserError(
            f"GDB is connected already ({busy}): `detach` first, clockscope must stand between it and the stub"
        )


def establish(address: str, guest: Guest | None, ui: Ui, shift: int | None = None) -> Connection:
    """Connect the relay to the stub and GDB to the relay. What fails leaves nothing behind but `guest`.

    `shift`: how long an instruction takes where the guest turns out to be a replay, as far as the caller knows."""
    _avoid_osabi_clash(ui)
    relay = _connect(address, guest)
    made = here().connection
    if made is not None:
        made.patience.end()
    patience = Patience(console.number(settings.REQUEST_TIMEOUT.full_name))
    try:
        console.connect(relay.socket_path)
    except BaseException as error:
        relay.close()
        patience.end()
        if isinstance(error, console.Error):
            raise UserError(f"GDB cannot debug the guest at {address}: {error}") from error
        raise
    here().connection = made = Connection(relay, address, patience, guest, relay.replay)
    if relay.replay:
        _time_replay(made, shift, ui)
    elif _is_recorded(relay):
        ui.note(
            "QEMU records your guest: what a debugger changes in it, or borrows from it, is not in the recording, whose"
            " replay may then differ."
        )
    return made


def _is_recorded(relay: Relay) -> bool:
    """Whether QEMU records the guest (-icount …,rr=record): that is no replay, and can be changed."""
    try:
        return "Recording execution" in relay.monitor("info replay")
    except RefusedError:
        return False


def _time_replay(made: Connection, shift: int | None, ui: Ui) -> None:
    """Learn how long an instruction of a replay takes, and say what it is that was attached to."""
    try:
        made.relay.instructions()
    except Error:
        ui.note("Your guest can run backwards: it is taken for a replay. Nothing is changed in it or borrowed from it.")
        return
    if shift is None and made.guest is not None:
        shift = qemu.icount_shift(made.guest.command)
    made.replay_shift = replaying.shift_at(made.address) if shift is None else shift
    known = "" if made.replay_shift is not None else (
        " How long an instruction takes is not known, so events have its count and no time:"
        " `clock attach --shift N` tells the N of QEMU's -icount shift=N."
    )  # fmt: skip
    if made.guest is None or known:
        ui.note(f"Your guest is the replay of a recorded boot: nothing can be changed in it, or is borrowed.{known}")


def _connect(address: str, guest: Guest | None) -> Relay:
    """A relay to the stub; a guest that was only just started gets some time to open its socket."""
    connect_limit = console.number(settings.CONNECT_TIMEOUT.full_name)
    request_limit = console.number(settings.REQUEST_TIMEOUT.full_name)
    deadline = time.monotonic() + connect_limit
    while True:
        try:
            return Relay(address, connect_timeout=connect_limit, request_timeout=request_limit)
        except ConnectError as error:
            if guest is None:
                raise
            if not guest.running:
                raise UserError(guest.ending() or f"{guest.name} ended before its stub answered") from error
            if time.monotonic() > deadline:
                raise UserError(
                    f"{guest.name} runs, but no stub answers at {address} after {connect_limit} s;"
                    f" `set {settings.CONNECT_TIMEOUT.full_name}` waits longer"
                ) from error
            time.sleep(0.02)


def _avoid_osabi_clash(ui: Ui) -> None:
    """Without support for a BSD's ABI, GDB rejects the stub's target description once its kernel is loaded."""
    shown = console.ask("show osabi")
    if re.search(r'"auto" \(currently "\w*BSD"', shown):
        console.ask("set osabi none")
        kernel = symbols.symbol_file()
        if kernel is not None:
            symbols.read_symbols_again(kernel)  # they were read for the ABI that GDB lacks: with 32-bit addresses
        ui.note("Set GDB's osabi to none: it would reject the stub's description of a BSD guest.")
