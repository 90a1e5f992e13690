# SPDX-License-Identifier: MIT
"""What the machine that runs the tests can do: hypervisors do not hand on all that a processor has.

Plain GDB is asked, with nothing of clockscope's between, and what it cannot do there no test may expect.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from guest import Guest, Machine

_WATCHED = """
volatile int watched;
int main(void)
{
	watched = 42;
	return 0;
}
"""

_PLAIN = ["gdb", "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set remotetimeout 60"]


def _gdb(*commands: str, file: Path, limit: float) -> str:
    """What plain GDB prints; a GDB that hangs has printed nothing."""
    script = [word for command in commands for word in ("-ex", command)]
    try:
        run = subprocess.run([*_PLAIN, *script, str(file)], capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return run.stdout + run.stderr


def watchpoints_hit(directory: Path) -> bool:
    """Whether a hardware watchpoint under gdbserver stops the program that writes there."""
    source, program = directory / "watched.c", directory / "watched"
    source.write_text(_WATCHED)
    subprocess.run(["gcc", "-g", "-O1", "-no-pie", "-o", program, source], check=True)
    start = ["target remote | gdbserver --once - " + str(program), "break main", "continue"]
    return "New value = 42" in _gdb(*start, "watch watched", "continue", "kill", file=program, limit=60)


# Where KVM is itself virtualised, QEMU may abort on one of the registers that tell of a processor's faults.
KVM_CPU = "host,migratable=off,-arch-capabilities"


@dataclass(frozen=True)
class KvmMachine(Machine):
    """The same guest on KVM, on the smallest of QEMU's machines."""

    options: tuple[str, ...] = ("-M", "microvm", "-cpu", KVM_CPU)

    def environment(self, serial: Path) -> dict[str, str]:
        return {**super().environment(serial), "ACCEL": "kvm"}


def kvm_refuses(machine: Machine, directory: Path) -> str:
    """Why this machine's KVM cannot run tests, empty where it can: its first breakpoint is the kernel's first address."""
    entry = "((long)&pvh_start_xen - 0xffffffff80000000)"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "this machine has no usable /dev/kvm"
    try:
        with Guest(machine, directory) as guest:
            commands = (f"target remote {guest.socket}", f"hbreak *{entry}", "continue", f"print $pc == {entry}")
            text = _gdb(*commands, file=machine.vmlinux, limit=120)
    except RuntimeError as error:
        return f"this machine's KVM does not start a guest: {error}"
    return "" if "$1 = 1" in text else "this machine's KVM delivers no hardware breakpoints to its guests"
