# SPDX-License-Identifier: MIT
"""A guest on /dev/kvm, whatever KVM that is: recorded by the processor's own breakpoints, as examples/linux/GUESTS.md says."""

from collections.abc import Callable
from pathlib import Path

from gdbrun import Transcript
from guest import ROOT
from host import KvmMachine
from model import model

from clockscope.arch import cpuid_leaves
from clockscope.model import told
from clockscope._core import Trace

KVM = "KVMKVMKVM"


def test_the_bring_up_of_kvm_clock(kvm: KvmMachine, gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    transcript = gdb([
        "set remotetimeout 60", "set clockscope request-timeout 60", "set clockscope breakpoints hardware",
        f"file {kvm.vmlinux}", kvm.launch(tmp_path / "serial.log"),
        f"clock record -o {tmp_path}/boot.trace --profile {ROOT}/examples/linux/kvm.toml"
        " --until clock.registered:kvm-clock",
        "kill",
    ], limit=400)  # fmt: skip
    assert "complete: reached clock.registered:kvm-clock" in transcript.text, transcript.text
    with Trace(str(tmp_path / "boot.trace")) as trace:
        timeline, found, meta = trace.timeline(), told.of_trace(trace, told.BEGIN), trace.meta()
    frequency = next(event["values"]["frequency_khz"] for event in timeline["events"] if event["rule"] == "tsc-by-kvm")
    # What kvm-clock's page tells is what CPUID tells, but for rounding.
    assert abs(found.leaves.get((cpuid_leaves.VMWARE_TIMING, 0), (frequency,))[0] - frequency) <= 1 < frequency
    (clock,) = [clock for clock in timeline["clocks"] if clock["name"] == "kvm-clock"]
    assert clock["rating"] in (299, 400) and clock["frequency_hz"] == 1_000_000_000
    # A KVM whose breakpoints are not told as such, or are missed, lends no instructions, and the trace says why.
    if not found.refused:
        # The hypervisor shows itself, and its clock's rating is what an invariant TSC makes of it.
        assert cpuid_leaves.hypervisor(found.leaves) == KVM and found.leaves[0x40000001, 0][0] & 9
        invariant = (0x80000007, 0) in found.leaves and bool(found.leaves[0x80000007, 0][3] >> 8 & 1)
        assert clock["rating"] == (299 if invariant else 400)
    if "stub.borrowing" in meta:
        assert "Your guest lends no instructions any more" in transcript.text
    # Where the TSC runs on while the guest stands, no event keeps it.
    assert "stub.tsc_while_stopped" in meta or found.refused
    assert meta.get("stub.tsc_while_stopped", "runs on") == "runs on"
    assert not any(event["tsc"] for event in timeline["events"])


def test_where_breakpoints_may_go(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    """A mistake is said before anything is recorded; where breakpoints are virtual, hardware ones are not few."""
    guest = model("netbsd")

    def record(where: str) -> str:
        return gdb([
            f"file {guest.vmlinux}", guest.launch(tmp_path / "serial.log"), f"set clockscope breakpoints {where}",
            f"clock record -o {tmp_path}/boot.trace --until exit",
        ]).text  # fmt: skip

    assert "set clockscope breakpoints: auto or hardware is expected, not 'memory'" in record("memory")
    assert not (tmp_path / "boot.trace").exists()
    record("hardware")
    with Trace(str(tmp_path / "boot.trace")) as trace:
        assert trace.complete() and trace.rows("SELECT count(*) AS n FROM decision")[0]["n"]
