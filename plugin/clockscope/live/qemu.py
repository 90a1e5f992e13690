# SPDX-License-Identifier: MIT
"""QEMU's command line: what it says of the stub and of record and replay. Pure."""

import os
import itertools
import re
from collections.abc import Sequence

from clockscope.base.errors import UserError

REPLAY_SHIFT = 7  # 2**7 ns an instruction, unless the user's -icount says otherwise


def is_system_emulator(command: Sequence[str]) -> bool:
    return os.path.basename(command[0]).startswith("qemu-system-")


def option(command: Sequence[str], *names: str) -> str | None:
    """The last value of an option by any of its names, which QEMU takes with one dash or two."""
    found = None
    for word, value in zip(command, [*command[1:], ""]):
        if re.sub("^--?", "", word) in names and word.startswith("-"):
            found = value
    return found


def has(command: Sequence[str], *names: str) -> bool:
    return option(command, *names) is not None


def kernel(command: Sequence[str]) -> str | None:
    """The file that the machine boots by itself (-kernel, or -machine …,kernel=); None where a firmware looks for one."""
    if not is_system_emulator(command):
        return None
    machine = re.search(r"(?:^|,)kernel=([^,]+)", option(command, "machine", "M") or "")
    return option(command, "kernel") or (machine[1] if machine else None)


def may_move_its_kernel(command: Sequence[str]) -> bool:
    """Whether the kernel that the machine boots may choose its place (KASLR): no ELF file, which has no decompressor, nor
    one that is told not to. Of a disk it is not known."""
    if "nokaslr" in (option(command, "append") or "").split():
        return False
    try:
        with open(kernel(command) or "/dev/null", "rb") as file:
            return file.read(4) != b"\x7fELF"
    except OSError:
        return True


# What a firmware may find a system in, and what puts one into memory. A network card alone is in most machines.
_BOOTABLE = (
    *"hda hdb hdc hdd drive blockdev cdrom fda fdb sd mtdblock pflash bios boot device option-rom".split(),
    *"netdev nic net incoming loadvm readconfig L fw_cfg snapshot".split(),
)


def may_boot(command: Sequence[str]) -> bool:
    """Whether a machine without -kernel may find something to boot: a disk (an image may be named by itself), a network."""
    own = [
        word for word, before in zip(command[1:], command) if not word.startswith("-") and not before.startswith("-")
    ]
    return has(command, *_BOOTABLE) or bool(own)


def stub_address(command: Sequence[str]) -> str | None:
    """Where the stub that the command line asks for listens; None where it asks for none."""
    if has(command, "s"):
        return "localhost:1234"
    device = option(command, "gdb")
    if device is None:
        return None
    kind, _, rest = device.partition(":")
    target = rest.split(",")[0]
    if kind == "unix":
        return os.path.abspath(target)
    host, _, port = target.rpartition(":")
    if kind != "tcp" or not port.isdigit():
        raise UserError(f"-gdb {device}: not understood; use tcp:HOST:PORT or unix:PATH, or leave it out")
    return f"{host or 'localhost'}:{port}"


def stopped(command: Sequence[str]) -> list[str]:
    """The command line with -S: the guest waits for its debugger."""
    return list(command) if has(command, "S") else [*command, "-S"]


def with_private_stub(command: Sequence[str], socket_path: str) -> list[str]:
    return [*stopped(command), "-gdb", f"unix:{socket_path},server=on,wait=off"]


def check_replayable(command: Sequence[str]) -> None:
    """UserError where QEMU could not record and replay this machine."""
    if not is_system_emulator(command):
        raise UserError(f"--replay needs QEMU (qemu-system-…), which can record a boot; {command[0]} cannot")
    processors = re.match(r"(?:cpus=)?(\d+)", option(command, "smp") or "1")
    if processors and int(processors[1]) > 1:
        raise UserError("--replay: QEMU records machines with one processor only; leave out -smp")
    machine = option(command, "machine", "M") or ""
    if has(command, "enable-kvm") or (option(command, "accel") or "").startswith("kvm") or "accel=kvm" in machine:
        raise UserError("--replay: QEMU cannot record under KVM; leave out KVM, so that it emulates the processor")
    if "rr=" in (option(command, "icount") or ""):
        raise UserError("--replay adds rr=record and rr=replay itself; leave rr= out of -icount")


def replay_shift(command: Sequence[str]) -> int:
    """The exponent of the nanoseconds that an instruction takes in a recorded boot."""
    asked = re.search(r"(?:^|shift=)(\d+)", option(command, "icount") or "")
    return int(asked[1]) if asked else REPLAY_SHIFT


def icount_shift(command: Sequence[str]) -> int | None:
    """The same of a command line that is a replay by itself; None where it does not say."""
    asked = re.search(r"(?:^|,)(?:shift=)?(\d+)(?:,|$)", option(command, "icount") or "")
    return int(asked[1]) if asked else None


def jumps_at_stops(command: Sequence[str]) -> bool:
    """Whether the guest's clocks go on to its next timer each time that it is stopped: QEMU takes a stopped processor for one
    that idles (accel/tcg/icount-common.c). Neither a recording nor a replay of QEMU's does."""
    words = (option(command, "icount") or "").split(",")
    return bool({"sleep=off", "sleep=no", "sleep=false"} & set(words)) and not any(
        word.startswith("rr=") for word in words
    )


def recorded(command: Sequence[str], file: str) -> list[str]:
    """The command line of the boot to record."""
    return _with_icount(command, "record", file)


def replayed(command: Sequence[str], file: str) -> list[str]:
    """The command line of the replay: files that the guest writes get another name, so that they can be compared."""
    return [_elsewhere(word) for word in _with_icount(command, "replay", file)]


def written_files(command: Sequence[str]) -> list[str]:
    """The files that a guest's serial lines go to."""
    return [match[2] for word in command if (match := _FILE.match(word))]


# -serial file:X, and -chardev file,id=…,path=X
_FILE = re.compile(r"^(file:|file,(?:.*,)?path=)([^,]+)")


def of_replay(file: str) -> str:
    """Where a replay writes what the boot wrote to a file: beside it, and over nothing that is there."""
    names = itertools.chain([f"{file}.replay"], (f"{file}.replay-{number}" for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def _elsewhere(word: str) -> str:
    return _FILE.sub(lambda match: match[1] + of_replay(match[2]), word)


def _with_icount(command: Sequence[str], mode: str, file: str) -> list[str]:
    words = list(command)
    more = f"rr={mode},rrfile={file.replace(',', ',,')}"
    for index, word in enumerate(words[:-1]):
        if re.sub("^--?", "", word) == "icount" and word.startswith("-"):
            words[index + 1] += f",{more}"
            return words
    return [*words, "-icount", f"shift={REPLAY_SHIFT},{more}"]
