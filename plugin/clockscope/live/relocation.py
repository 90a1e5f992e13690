# SPDX-License-Identifier: MIT
"""Where this guest's kernel runs, found and told to GDB: a kernel with KASLR chooses its place while it boots.

One that is up is found by its memory. One that has yet to boot is let run up to where it is mapped: to its first use of the
early_ioremap slots, which KASLR never moves and setup_arch() reads through before any clock is looked at, by one access
watchpoint; without watchpoints, to start_kernel() in whichever place, by a breakpoint in each.
"""

from dataclasses import dataclass

from clockscope.base import settings
from clockscope.base.errors import UserError
from clockscope.base.ui import Ui, one_line
from clockscope.arch.known import PROCESSOR
from clockscope.gdbside import console, own_breakpoints, symbols, values
from clockscope.gdbside.frames import Stop
from clockscope._core import RefusedError
from clockscope.kernel import boot_image, placement
from clockscope.kernel.elffile import ElfFile
from clockscope.live import gdb_session, qemu, replaying, traced_kernel
from clockscope.live.branches import breakpoints_are_virtual
from clockscope.live.connection import Connection

_START = "start_kernel"
# arch/x86/include/asm/fixmap.h: FIXADDR_TOP, and FIX_BTMAP_BEGIN where the debug information has it.
_FIXADDR_TOP = 0xFFFFFFFFFF7FF000
_PAGE = 4096
_SLOT = 0x5FF


@dataclass(frozen=True)
class Found:
    """Where the guest stands now that its kernel was found."""

    at_start: bool = False  # at its start_kernel()
    early: bool = False  # in its setup_arch(), no clock having been looked at


def settle(made: Connection, ui: Ui) -> Found:
    """Find where the kernel runs, and move GDB's symbols there; the guest may have to run for that. UserError where it is
    another kernel, or was not found."""
    elf = traced_kernel.loaded()
    if not _look(made, elf, ui):
        return _stands(made)
    search = _Search(made, elf)
    ui.note("Your guest's kernel chooses its place while it boots (KASLR): it runs until that is known …")
    offset = search.run()
    _move(elf, traced_kernel.offset_of(elf), offset, ui)
    found = Found(search.at_start, not search.at_start)
    gdb_session.here().settled = (found, made.relay.run_ns())
    return found


def _stands(made: Connection) -> Found:
    """Where a guest is that has not run since it was searched: what was to be recorded then may have been refused."""
    found, run_ns = gdb_session.here().settled or (Found(), 0)
    return found if run_ns == made.relay.run_ns() else Found()


def look(made: Connection, ui: Ui) -> None:
    """The same for a guest that was just attached to, as far as its memory tells."""
    path = symbols.symbol_file()
    if path is None:
        return
    try:
        _look(made, traced_kernel.loaded(), ui)
    except UserError as error:
        ui.note(one_line(str(error)))


def forget() -> None:
    """Another guest's kernel lies elsewhere: put GDB's symbols back."""
    gdb_session.here().settled = None
    while moved := gdb_session.here().moved:
        path, _ = moved.pop()
        if symbols.symbol_file() == path:
            symbols.move_symbols(path, 0)


def slot(elf: ElfFile) -> int:
    """Where each boot of such a kernel reads through its early_ioremap slots."""
    known = values.evaluate("(long)FIX_BTMAP_BEGIN") if elf.has_section(".debug_info") else None
    return _FIXADDR_TOP - (known if isinstance(known, int) else _SLOT) * _PAGE


def can_follow(made: Connection, elf: ElfFile) -> bool:
    """Whether another boot of this kernel would be noticed, wherever it lies. A processor's few watchpoints are none to
    rely on: where they have run out by then, the guest could not go on."""
    place = b"%x,8" % slot(elf)
    if not breakpoints_are_virtual(made.relay):
        return False
    return made.relay.request(b"Z4," + place) == b"OK" and made.relay.request(b"z4," + place) == b"OK"


def follow(made: Connection, target: traced_kernel.Target, ui: Ui) -> traced_kernel.Target:
    """The same, of the boot in whose setup_arch() the guest stands. UserError where that is another kernel's."""
    offset = placement.find(target.elf, _reader(made))
    if offset is None:
        there = placement.foreign(_reader(made), Stop().register(PROCESSOR.pc)) or "its memory does not hold this one"
        raise UserError(f"your guest runs another kernel now ({there})")
    _move(target.elf, target.offset, offset, ui)
    return traced_kernel.moved(target, offset)


def _look(made: Connection, elf: ElfFile, ui: Ui) -> bool:
    """Do what the user has set, or memory tells; whether the kernel must be searched for."""
    asked = console.text(settings.KASLR.full_name)
    if asked == "off":
        forget()
        return False
    now = traced_kernel.offset_of(elf)
    if asked != "auto":
        _move(elf, now, _offset(asked), ui)
        return False
    if not _may_move(made) or not placement.can_move(elf) or (now and (elf.path, now) not in gdb_session.here().moved):
        return False  # that, the user has moved
    found = placement.find(elf, _reader(made))
    if found is not None:
        _move(elf, now, found, ui)
    elif there := placement.another(elf, _reader(made)):
        raise _mismatch(there, elf)
    return found is None


def _mismatch(there: str, elf: ElfFile) -> UserError:
    return boot_image.mismatch(there, elf, f"build id {elf.build_id[:12]}")


def _offset(text: str) -> int:
    try:
        offset = int(text, 0)
    except ValueError:
        offset = -1
    if not 0 <= offset < 1 << 64:
        raise UserError(
            f"set {settings.KASLR.full_name}: auto, off or an offset such as 0x1a000000 is expected, not {text!r}"
        )
    return offset


def _move(elf: ElfFile, now: int, offset: int, ui: Ui) -> None:
    if offset == now:
        return
    symbols.move_symbols(elf.path, offset)
    gdb_session.here().moved = [(elf.path, offset)] if offset else []
    ui.note(f"Your guest's kernel runs {offset:#x} further than its file says (KASLR): GDB's symbols were moved there.")


def _may_move(made: Connection) -> bool:
    """As far as the command line tells that started the guest; one of another machine is not known."""
    commands = [made.guest.command] if made.guest is not None else replaying.commands_at(made.address)
    known = [command for command in commands if qemu.is_system_emulator(command)]
    return not known or any(map(qemu.may_move_its_kernel, known))


def _reader(made: Connection) -> placement.Read:
    def read(address: int, size: int) -> bytes:
        try:
            return made.relay.read_memory(address, size)
        except RefusedError:
            return b""

    return read


class _Search:
    """Lets a guest run up to where its kernel is mapped."""

    def __init__(self, made: Connection, elf: ElfFile) -> None:
        self._made = made
        self._elf = elf
        self._reads = _reader(made)
        self._mapped = False
        self.at_start = False  # the guest stands at its first function
        self._probes: list[own_breakpoints.Access | own_breakpoints.Probe] = []

    def run(self) -> int:
        """The kernel's offset. UserError where it did not come, or is another one."""
        start = self._elf.find(_START)
        try:
            self._probes.append(own_breakpoints.Access(slot(self._elf), self._is_mapped))
            self._await_start(start, 0)
            said = self._go_on()
        except console.Error:
            self._lift()
            said = self._without_watchpoint(start)
        finally:
            self._lift()
        if not self._mapped and not self.at_start:
            raise UserError(self._missed(said))
        found = placement.find(self._elf, self._reads)
        if found is None:
            here = Stop().register(PROCESSOR.pc)
            there = placement.foreign(self._reads, here) or f"at {here:#x} there is none of its code"
            raise _mismatch(there, self._elf)
        return found

    def _without_watchpoint(self, start: int | None) -> str:
        try:
            for offset in range(0, placement.RANGE, placement.STEP):
                self._await_start(start, offset)
            return self._go_on()
        except console.Error as error:
            raise UserError(
                f"your guest has neither a watchpoint nor breakpoints enough to find its kernel ({one_line(str(error))}):"
                f" boot it with nokaslr, or `set {settings.KASLR.full_name} OFFSET`"
            ) from error

    def _await_start(self, start: int | None, offset: int) -> None:
        if start is not None:
            self._probes.append(own_breakpoints.Probe(start + offset, self._starts))

    def _is_mapped(self, stop: Stop) -> bool:
        self._mapped = True
        return True

    def _starts(self, stop: Stop) -> bool:
        self.at_start = True
        return True

    def _go_on(self) -> str:
        return console.run_quietly("continue")

    def _lift(self) -> None:
        while self._probes:
            self._probes.pop().remove()

    def _missed(self, said: str) -> str:
        relay = self._made.relay
        if relay.state in ("closed", "exited"):
            return f"your guest ended before its kernel was mapped: is {self._elf.path} its kernel?"
        return (
            f"your guest stopped before its kernel was found ({one_line(said.strip()) or 'no reason was told'}): `clock record`"
            f" goes on searching; `set {settings.KASLR.full_name} off` does not"
        )
