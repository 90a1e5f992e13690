# SPDX-License-Identifier: MIT
"""`launch [--replay[=FILE]] [--console FILE] [--] CMD…`: start a guest, paused, and attach to it."""

import argparse
import os
import shlex
from collections.abc import Sequence

from clockscope.base import settings
from clockscope.gdbside import console, symbols
from clockscope.kernel import boot_image
from clockscope.kernel.elffile import ElfFile
from clockscope.live import connection, qemu, relocation
from clockscope.base.errors import UserError
from clockscope.live.gdb_session import here
from clockscope.live.guest_process import Guest, check_program, free_port
from clockscope.base.ui import Ui

NAME = "launch"
SUMMARY = "start a guest, paused at its first instruction, and attach to it"
NEEDS = "gdb"
COMPLETE = {"command": "file", "console": "file", "replay": "file"}
EXAMPLES = (
    "-- qemu-system-x86_64 -m 512 -kernel vmlinux -append console=ttyS0 -display none -serial file:console.log",
    "--replay -- qemu-system-x86_64 -m 512 -kernel vmlinux -display none -no-reboot",
    "-- gdbserver localhost:{port} ./program",
)
NOTES = """\
QEMU gets a stub on a private socket. Any other program must be told where its stub shall listen: {port} or {socket}
in its command line stands for that. Without a command, the last one is started again.

With --replay, QEMU first records the boot untouched, without a debugger; what is then attached to is the replay of
that very boot, which no breakpoint can change. --replay=FILE keeps the recording there, or replays the one that
is there; the command must be the same.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replay", metavar="FILE", nargs="?", const="", help="record the boot untouched, then attach to its replay"
    )
    parser.add_argument("--console", metavar="FILE", help="write the guest's first serial line to this file (QEMU)")
    parser.add_argument(
        "command", metavar="CMD", nargs=argparse.REMAINDER, help="the program to run, and its arguments"
    )


def normalise(words: list[str]) -> list[str]:
    """`--replay CMD` means no file: only `--replay=FILE` names one."""
    own = next((index for index, word in enumerate(words) if not word.startswith("-")), len(words))
    return [word + "=" * (word == "--replay" and index < own) for index, word in enumerate(words)]


def run(args: argparse.Namespace, ui: Ui) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    command = list(command or here().last_command)
    if not command:
        raise UserError("no command to run: clock launch -- qemu-system-x86_64 -kernel vmlinux …")
    if args.console is not None:
        command = _with_console(command, args.console)
    _start(command, args.replay, ui)
    ui.note("Your guest is paused at its start. Next: `clock record`, then `continue`; `kill` ends it.")
    return 0


def again(ui: Ui) -> None:
    """Start the last guest anew, no replay of it."""
    if not here().last_command:
        raise UserError("no command to start a guest is remembered: `clock launch -- CMD…` first")
    _start(list(here().last_command), None, ui)
    ui.note("Started your guest again.")


def _start(command: list[str], replay: str | None, ui: Ui) -> None:
    connection.check_free()
    _check(command, ui)
    here().last_command = list(command)
    relocation.forget()
    guest = Guest(command)
    try:
        _launch(guest, replay, ui)
    except BaseException:
        guest.close()
        raise


def _check(command: Sequence[str], ui: Ui) -> None:
    """UserError, before anything starts, for what could not become the guest that is meant."""
    check_program(command[0])
    if not qemu.is_system_emulator(command):
        return
    kernel, loaded = qemu.kernel(command), symbols.symbol_file()
    if kernel is not None:
        boot_image.readable(kernel)
        if loaded is not None:
            _compare(kernel, loaded)
    elif loaded is not None and not qemu.may_boot(command):
        raise UserError(
            f"your command has neither -kernel nor a disk to boot from, so {loaded} would never run:"
            " add -kernel (its bzImage, or the file itself)"
        )
    elif loaded is not None:
        ui.note(f"Your command has no -kernel: what its firmware boots is taken for {loaded} until its memory shows.")


def _compare(kernel: str, loaded: str) -> None:
    try:
        elf = ElfFile(loaded)
    except UserError:
        return  # `record` says what is wrong with it
    boot_image.check(kernel, elf)


def _with_console(command: Sequence[str], file: str) -> list[str]:
    if not qemu.is_system_emulator(command):
        raise UserError(f"--console is for QEMU; tell {command[0]} itself where its console shall go")
    return [*command, "-serial", f"file:{os.path.abspath(file)}"]


def _launch(guest: Guest, replay: str | None, ui: Ui) -> None:
    if replay is not None:
        qemu.check_replayable(guest.command)
        file = os.path.abspath(replay) if replay else os.path.join(guest.directory, "recording")
        _record_boot(guest, file, ui)
        for written in qemu.written_files(guest.command):
            ui.note(f"The replay writes {qemu.of_replay(written)}, so that {written} stays as it was recorded.")
        guest.command = qemu.replayed(guest.command, file)
    elif qemu.is_system_emulator(guest.command) and qemu.jumps_at_stops(guest.command):
        ui.note(
            "With sleep=off in -icount, your guest's clocks jump to its next timer at each stop: sleep=on does not, nor --replay."
        )
    words, address = _with_stub(guest, ui)
    guest.start(words)
    shift = qemu.replay_shift(guest.command) if replay is not None else None
    made = connection.establish(address, guest, ui, shift)
    if replay is not None and not made.replay:
        made.replay, made.replay_shift = True, shift
        made.relay.set_replay(True)


def _with_stub(guest: Guest, ui: Ui) -> tuple[list[str], str]:
    """The command line with its stub, and the stub's address."""
    command = guest.command
    if qemu.is_system_emulator(command):
        address = qemu.stub_address(command)
        if address is None:
            return qemu.with_private_stub(command, guest.socket_path), guest.socket_path
        ui.note(f"Attaching to the stub that your command asks for, at {address}.")
        return qemu.stopped(command), address
    if any("{socket}" in word for word in command):
        return [word.replace("{socket}", guest.socket_path) for word in command], guest.socket_path
    if any("{port}" in word for word in command):
        port = free_port()
        return [word.replace("{port}", str(port)) for word in command], f"localhost:{port}"
    raise UserError(f"{command[0]}: say where its stub shall listen, by {{port}} or {{socket}} in its command line")


def _record_boot(guest: Guest, file: str, ui: Ui) -> None:
    """Boot the guest without a debugger while QEMU records it, unless that recording exists."""
    if os.path.exists(file):
        ui.note(f"Replaying the boot recorded in {file}.")
        return
    limit = console.number(settings.REPLAY_SECONDS.full_name)
    ui.note(f"Recording the boot, untouched, until {guest.name} ends (at most {limit} s) …")
    guest.start(qemu.recorded(guest.command, file))
    try:
        ended = guest.wait(limit, lambda passed: ui.progress(0, 0, f"{passed:.0f} s, {_size(file)}"))
    except BaseException:
        guest.stop()
        _remove(file)
        ui.note("Your guest was ended, and nothing of its boot is kept.")
        raise
    if not ended:
        guest.stop()
        if not os.path.exists(file) or not os.path.getsize(file):
            _remove(file)
            raise UserError(
                f"{guest.name} had recorded nothing after {limit} s, so there is nothing to replay:"
                f" `set {settings.REPLAY_SECONDS.full_name}` to more"
            )
        ui.note(f"Ended the boot after {limit} s; `set {settings.REPLAY_SECONDS.full_name}` changes that.")
    elif guest.ending():
        _remove(file)
        raise UserError(f"{guest.ending()} (while recording: {shlex.join(guest.command)})")
    ui.note(f"Recorded: {_size(file)} in {file}.")


def _size(file: str) -> str:
    try:
        return f"{os.path.getsize(file) / 1e6:.1f} MB"
    except OSError:
        return "0.0 MB"


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except FileNotFoundError:
        pass
