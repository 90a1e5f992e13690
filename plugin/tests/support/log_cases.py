# SPDX-License-Identifier: MIT
"""Small logs of all kinds (cases/), and what is right for each: what was lost, what is found, and what it must say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).resolve().parents[1] / "importing" / "cases"


@dataclass(frozen=True)
class Right:
    lost: str | None = None  # the clock, if any
    values: dict[str, Any] = field(default_factory=dict)  # of the event that lost it, or of `event`
    event: str | None = None  # the rule of an event that there must be
    findings: tuple[str, ...] = ()
    says: tuple[str, ...] = ()  # in the diagnosis, its lines joined
    not_said: tuple[str, ...] = ()  # neither there nor in the timeline
    events: int | None = None
    note: str = ""  # said at the import


_LOST, _EARLY = ("tsc-lost-to-watchdog",), ("tsc-early-lost-to-watchdog",)

RIGHT: dict[str, Right] = {
    "msg-3.x-tsc-unstable": Right("tsc", {"skew_ns": -120000111}, findings=_LOST, says=("120.000 ms behind", "tsc=reliable")),
    "sibling-3.x-acpi_pm-unstable": Right("tsc", {"skew_ns": 62501034}, findings=_LOST, says=("62.501 ms ahead", "likely acpi_pm")),
    "msg-4.1-skew": Right("tsc", {"watchdog": "xen", "interval_ns": 8589891327}, findings=_LOST, says=("it went back by",)),
    "sibling-4.4-skew-hpet": Right("tsc", {"watchdog": "hpet"}, findings=_LOST, says=("136.358 ms behind in 675.091 ms",)),
    "msg-5.10-skew": Right("tsc", {"watchdog": "acpi_pm", "cpu": 2}, findings=_LOST, says=("2379.907 ms ahead", "CPU 2")),
    "sibling-5.4-skew-early": Right("tsc-early", {"watchdog": "acpi_pm"}, findings=_EARLY, says=("85.454 ms ahead",)),
    "msg-6.1-skew": Right(
        "tsc", {"watchdog": "hpet", "skew_ns": 8000000, "interval_ns": 503304960, "clock_ns": 511304960, "cpu": 1,
        "current": "tsc"}, findings=_LOST, says=("watchdog hpet: it was 8.000 ms ahead in 503.305 ms",),
    ),
    "sibling-6.1-skew-clocksource-word": Right(
        "tsc", {"watchdog": "kvm-clock", "skew_ns": -10000750, "current": "kvm-clock"}, findings=_LOST,
        says=("10.001 ms behind",), not_said=("boot with tsc=nowatchdog", "boot with tsc=reliable"),
    ),
    "msg-5.14-hpet-readback": Right("tsc", {"watchdog": "hpet", "delay_ns": 52520, "attempts": 4}, findings=_LOST),
    "read-slow-6.1": Right(
        "tsc", {"watchdog": "hpet", "delay_ns": 151111}, findings=_LOST, says=("says nothing against the clock", "hpet=disable")
    ),
    "sibling-5.15-acpi_pm-readback": Right(
        "tsc-early", {"watchdog": "acpi_pm", "checked_to": "1-3", "check_max_ns": 44301}, findings=_EARLY, not_said=(" of 0.0 us",)
    ),
    "msg-5.17-wd-tsc-wd": Right("tsc", {"delay_ns": 1000111, "attempts": 3}, findings=_LOST),
    "sibling-6.2-wd-kvm": Right("tsc-early", {"delay_ns": 251200}, findings=_EARLY),
    "msg-6.3-excessive": Right("tsc", {"limit_ns": 125000, "watchdog_delay_ns": 11111}, findings=_LOST, says=("something came between",)),
    "read-slow-6.8": Right("tsc", {"delay_ns": 151111}, findings=_LOST, says=("likely hpet", "151.1 us, of 125.0 us allowed")),
    "sibling-6.12-excessive-wd-slow": Right("tsc", findings=_LOST, says=("likely acpi_pm", "reading the watchdog is slow")),
    "sibling-7.2-frequency-skew": Right(
        "tsc", {"watchdog": "kvm-clock", "skew_ns": 1390666756, "reason": "frequency skew"}, findings=_LOST
    ),
    "sibling-7.2-inter-cpu-skew": Right(
        "tsc", {"cpu_behind": 3, "cpu_ahead": 0}, findings=("tsc-out-of-step", *_LOST),
        says=("CPU 3 read less than CPU 0", "AMD EPYC 7763", "processors: 4"),
    ),
    "sibling-tsc-warp": Right(
        "tsc", findings=("tsc-out-of-step",), says=("1845392 cycles", "E5-2670", "processors: 16")
    ),
    "sibling-tscs-unsynchronized": Right(
        "tsc", findings=("tsc-out-of-step",), says=("promises no constant TSC (constant_tsc)", "AMD QEMU", "processors: 2")
    ),
    "msg-mp-bios": Right(findings=("timer-interrupt-missing", "kernel-panicked"), says=("all other ways failed",)),
    "sibling-mp-bios-works": Right(findings=("timer-interrupt-missing",), says=("one of the other ways worked",)),
    "msg-recalib": Right(
        findings=("tsc-told-frequency-wrong",), says=("told 2500.000 MHz, measured 2399.990 MHz",), not_said=("to see what",)
    ),
    "sibling-recalib-6.12": Right(
        findings=("tsc-told-frequency-wrong",), says=("told 1900.000 MHz, measured 2112.004 MHz",), not_said=("Boot with tsc=rec",)
    ),
    "msg-hyperv-unstable": Right("tsc"),
    "sibling-hyperv-6.1": Right("tsc"),
    "msg-lapic-pm": Right(event="lapic-by-pm-timer", values={"method": "PM timer", "counts": 6250012, "before": 8200000}),
    "sibling-lapic-pm-late": Right(event="lapic-by-pm-timer", values={"method": "PM timer", "counts": 625001}, note="no banner"),
    "msg-vmware-old": Right(event="tsc-by-vmware", values={"method": "VMware", "mhz": "2400.461"}),
    "sibling-vmware-5.4": Right(event="tsc-by-vmware", values={"method": "VMware", "mhz": "2294.609"}),
    "msg-long-readout": Right(event="watchdog-skipped", values={"clock_ns": 1024000000}, says=("Too little was seen",)),
    "sibling-long-readout-twice": Right(event="watchdog-skipped", events=4, says=("Nothing wrong found",)),
    "told-reliable": Right(
        "tsc-early", {"watchdog": "refined-jiffies"}, findings=(*_EARLY, "poor-clock"),
        says=("It was booted with tsc=reliable", "does NOT have it"), not_said=("tsc=reliable if", "oot with tsc=reliable"),
    ),
    "sibling-told-nowatchdog": Right(
        "tsc-early", findings=_EARLY, says=("It was booted with tsc=nowatchdog",), not_said=("oot with tsc=reliable",)
    ),
    "late-4.4": Right(not_said=("tsc-early",)),
    "sibling-late-3.16": Right(not_said=("tsc-early", "never"), says=("Nothing wrong found",)),
    "kernel-3.10": Right(events=6, not_said=("never",)),
    "sibling-3.10-acpi": Right(findings=("tsc-not-seen-registered",), says=("This kernel prints no registrations",)),
    "sibling-seed": Right(findings=("tsc-not-seen-registered",), says=("available_clocksource",), note="no banner"),
    "freebsd-panic-tsc": Right(findings=("tsc-frequency-unknown",), says=("0.00-MHz",)),
    "sibling-freebsd-no-event-timer": Right(findings=("no-event-timer",), says=("tells of none at all",)),
    "sibling-freebsd-dummy": Right(findings=("calibration-against-dummy", "poor-clock"), says=("how often it is read",)),
    "sibling-freebsd-hangs": Right(findings=("boot-hangs-waiting-for-time",), says=("i8254",)),
    "sibling-linux-hangs": Right(findings=("boot-hangs-waiting-for-time",), says=("no tick comes",)),
    "freebsd-linux-commit": Right(
        findings=("clock-frequency-off", "lapic-not-calibrated"), not_said=("Linux 6.3", " lapic  ", "of lapic")
    ),
    "sibling-freebsd-pieces": Right(findings=("tsc-out-of-step",), events=7),
    "netbsd-7.1-banner": Right(events=6),
    "sibling-netbsd-pieces": Right(events=5, findings=("lapic-frequency-wrapped",), says=("4294.662 MHz",), note="2 boots"),
}  # fmt: skip
