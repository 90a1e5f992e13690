# SPDX-License-Identifier: MIT
"""A boot that hangs where it waits for time: from where the guest stood when its recording ended."""

from pathlib import Path

import pytest
from clockscope._core import Trace, TraceWriter
from clockscope.model import diagnosing

SECOND = 10**9
# The frames of guests that stood so; the first is Linux 6.1 on a microvm without a PIT.
LINUX = "calibrate_delay_converge < calibrate_delay < start_kernel < secondary_startup_64"
PIT = "delay_tsc < timer_irq_works < check_timer < setup_IO_APIC < apic_intr_mode_init < x86_late_time_init"
LAPIC = "calibrate_APIC_clock < setup_boot_APIC_clock < native_smp_prepare_cpus < kernel_init_freeable"
FREEBSD = "getit < DELAY < probe_tsc_freq < init_TSC < cpu_startup < mi_startup"
NETBSD = "gettick < i8254_delay < cpu_get_tsc_freq < cpu_attach < config_attach"
IDLE = "default_idle < do_idle < cpu_startup_entry < rest_init"


def found(path: Path, system: str, stood: str | None, silent_s: float) -> dict[str, str]:
    writer = TraceWriter(str(path))
    writer.meta("guest.os", system)
    writer.event(run_ns=SECOND, cpu=0, what="function.reached", rule="x", function="f")
    if stood is not None:
        writer.meta("stood.in", stood)
        writer.meta("stood.run_ns", str(SECOND + int(silent_s * SECOND)))
    writer.close(False, "stopped")
    with Trace(str(path)) as trace:
        return {
            one["rule"]: f"{one['symptom']} {one['cause']}" for one in diagnosing.diagnose(trace, diagnosing.load())
        }


@pytest.mark.parametrize(
    ("system", "stood", "says"),
    [
        ("linux", LINUX, "no tick comes"),
        ("linux", PIT, "check_timer() waits for the PIT's interrupt"),
        ("linux", LAPIC, "no other event device"),
        ("freebsd", FREEBSD, "the guest has no i8254"),
        ("netbsd", NETBSD, "another reference stands still"),
        ("freebsd", "clockcalib < tsc_calibrate < cpu_initclocks < initclocks", "reads from a counter"),
    ],
)
def test_it_says_where(system: str, stood: str, says: str, tmp_path: Path) -> None:
    said = found(tmp_path / "a.trace", system, stood, 9)
    assert (
        says in said["boot-hangs-waiting-for-time"]
        and "for 9 s nothing happened" in said["boot-hangs-waiting-for-time"]
    )
    assert stood in said["boot-hangs-waiting-for-time"]


@pytest.mark.parametrize(
    ("stood", "silent_s"), [(FREEBSD, 2), (IDLE, 60), (None, 60), ("my_DELAY < f", 60), ("calibrate < f", 60)]
)
def test_who_waits_a_moment_or_idles_does_not_hang(stood: str | None, silent_s: float, tmp_path: Path) -> None:
    assert "boot-hangs-waiting-for-time" not in found(tmp_path / "a.trace", "freebsd", stood, silent_s)
