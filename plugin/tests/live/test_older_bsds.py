# SPDX-License-Identifier: MIT
"""What older BSDs do otherwise than the models, played by a program with their names: no such kernel is at hand."""

from pathlib import Path
from typing import Any

import pytest
from clockscope._core import Trace
from clockscope.model import diagnosing
from clockscope.reports import values
from debuggee import compile_program, start_qemu
from gdbrun import run_gdb

# FreeBSD 10.4: nothing is called lapic_calibrate_timer(), and the timer is measured when it is first started. 11 to 13.0
# keep what they measure in count_freq.
FREEBSD = r"""
#define KERNEL __attribute__((noipa))
struct eventtimer { void *entry; const char *et_name; int et_flags, et_quality, et_active; long et_frequency; };
struct timecounter { void *get, *poll; unsigned mask, pad; long frequency; const char *name; int quality, flags; };
struct timecounter dummy_timecounter = {0, 0, ~0u, 0, 1000000, "dummy", -1000000, 0}, *timecounter = &dummy_timecounter;
char version[] = "FreeBSD 10.4-RELEASE #0 r324420\n";
int cold = 1;
unsigned long lapic_timer_divisor = 2;
#ifdef COUNT
static volatile unsigned long count_freq;
#define KEEP count_freq = et->et_frequency
#else
#define KEEP (void)0
#endif
static struct eventtimer lapic_et = {0, "LAPIC", 0, 600, 0, 0};
KERNEL void mi_startup(void) { __asm__ volatile(""); }
KERNEL void tc_init(struct timecounter *tc) { timecounter = tc; }
KERNEL void et_register(struct eventtimer *et) { __asm__ volatile("" : : "r"(et)); }
KERNEL void DELAY(int us) { __asm__ volatile("" : : "r"(us)); }
KERNEL int lapic_et_start(struct eventtimer *et, long first, long period)
{
	if (et->et_frequency == 0) {
		DELAY(1000000);
		et->et_frequency = COUNTED;
		KEEP;
	}
	__asm__ volatile("" : : "r"(first), "r"(period));
	return 0;
}
KERNEL void panic(const char *format, ...) { __asm__ volatile("" : : "r"(format)); }
KERNEL void configtimer(void) { panic("No usable event timer found!"); }
unsigned long tsc_freq;
int tsc_skip_calibration = SKIP, vm_guest = VM, tsc_is_invariant = 1;
KERNEL void init_TSC(void) { DELAY(1000000); tsc_freq = 2400000000; }
KERNEL void hammer_time(void)
{
	init_TSC();
	et_register(&lapic_et);
	lapic_et_start(&lapic_et, 0, 1);
	lapic_et_start(&lapic_et, 0, 1);
	WORSE;
}
int main(void) { mi_startup(); hammer_time(); return 0; }
"""


# NetBSD 7 has no lapic_broken_periodic, and thinks 250 cycles of drift too many; NetBSD 10 thinks so of 1000.
NETBSD = r"""
#define KERNEL __attribute__((noipa))
struct timecounter { void *get, *poll; unsigned mask, pad; long frequency; const char *name; int quality; };
struct timecounter dummy_timecounter = {0, 0, ~0u, 0, 1000000, "dummy", -1000000}, *timecounter = &dummy_timecounter;
struct timecounter lapic_timecounter = {0, 0, ~0u, 0, 62500000, "lapic", -100};
struct timecounter tsc_timecounter = {0, 0, ~0u, 0, 2400000000, "TSC", -100};
char version[] = "NetBSD 7.1 (GENERIC) #0\n";
int cold = 1;
long tsc_drift_observed = DRIFT;
#ifdef OLD
KERNEL void lapic_initclocks(void) { __asm__ volatile(""); }
#endif
KERNEL void cpu_configure(void) { __asm__ volatile(""); }
KERNEL void initclocks(void) { __asm__ volatile(""); }
KERNEL void tc_init(struct timecounter *tc) { __asm__ volatile("" : : "r"(tc)); }
int main(void) { tc_init(&lapic_timecounter); tc_init(&tsc_timecounter); return 0; }
"""


def record(
    tmp_path: Path, source: str = FREEBSD, system: str = "freebsd", **words: str
) -> tuple[list[dict[str, Any]], dict[str, Any], set[str]]:
    """The events, the clocks and what is found of a run of that program."""
    given = {"COUNTED": "500131000", "WORSE": "(void)0", "SKIP": "0", "VM": "0", **words}
    program = compile_program(source, tmp_path, *(f"-D{name}={value}" for name, value in given.items()))
    peer = start_qemu(program, tmp_path)
    script = [
        f"file {program.path}",
        f"clock attach {peer.address}",
        f"clock record --profile {system} -o {tmp_path}/a",
    ]
    done = run_gdb([*script, "continue"], tmp_path)
    peer.process.wait(20)
    assert done.status == 0, done.text
    with Trace(str(tmp_path / "a")) as trace:
        timeline = trace.timeline()
        found = {one["rule"] for one in diagnosing.diagnose(trace, diagnosing.load())}
    return timeline["events"], {clock["name"]: clock for clock in timeline["clocks"]}, found


@pytest.mark.parametrize("words", [{}, {"COUNT": "1"}], ids=["10.4", "12"])
def test_the_local_apic_is_calibrated_when_it_is_started(words: dict[str, str], tmp_path: Path) -> None:
    events, clocks, _ = record(tmp_path, **words)
    first = next(event for event in events if event["what"] == "device.registered")
    assert "frequency not known yet" in values.describe(first["values"], what=first["what"])
    told = [(event["what"], event["rule"]) for event in events if event["clock"] == "LAPIC"]
    assert told == [
        ("device.registered", "event-timer-registered"),
        ("calibration.started", "lapic-calibration-at-start"),
        ("calibration.finished", "lapic-calibrated-at-start"),
    ]
    assert clocks["LAPIC"]["frequency_hz"] == 500131000
    assert how(events) == "a second of the i8254"
    assert next(event for event in events if event["what"] == "calibration.finished")["values"]["divisor"] == 2


def how(events: list[dict[str, Any]]) -> str:
    """How the TSC's frequency was learnt."""
    return str(next(event for event in events if event["what"] == "frequency.detected")["values"]["method"])


def test_no_usable_event_timer(tmp_path: Path) -> None:
    """A panic is an event; where it is this one, the finding says of what."""
    events, _, found = record(tmp_path, WORSE="configtimer()", VM="4")
    assert how(events) == "VMware"
    (panic,) = (event for event in events if event["what"] == "x-kernel.panic")
    assert panic["values"]["reason"] == "No usable event timer found!"
    assert "no-event-timer" in found and "kernel-panicked" not in found


def test_another_panic(tmp_path: Path) -> None:
    events, _, found = record(tmp_path, WORSE='panic("page fault")', SKIP="1")
    assert how(events) == "CPUID"
    assert "kernel-panicked" in found and "no-event-timer" not in found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"OLD": "1", "DRIFT": "400"}, "tsc-drifts"),
        ({"DRIFT": "400"}, "tsc-not-invariant"),
        ({"DRIFT": "1001"}, "tsc-drifts"),
    ],
)
def test_why_netbsd_lowers_qualities(words: dict[str, str], why: str, tmp_path: Path) -> None:
    events, _, _ = record(tmp_path, NETBSD, "netbsd", **words)
    lowered = [(event["clock"], event["rule"]) for event in events if event["what"] == "quality.changed"]
    assert lowered == [("lapic", "lapic-per-cpu"), ("TSC", why)]
