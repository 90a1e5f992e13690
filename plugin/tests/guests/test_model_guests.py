# SPDX-License-Identifier: MIT
"""The model guests: each variant boots, prints what it should, and ends by itself; what it prints is true."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gdbrun import run_gdb
from guest import ROOT, Guest, read_serial
from host import KVM_CPU
from model import EXACT, MODELS, Boot, Model, boot_model, model, parse_clocks

FLAVOURS = ["netbsd", "freebsd"]

# How near a calibration comes to the truth where the virtual clock counts instructions: TSC and LAPIC run at 1 GHz.
GIGAHERTZ = pytest.approx(1_000_000_000, rel=1e-3)

# (flavour, variant): timecounters as (name, quality) in the order of registration; those selected, in order; the last.
EXPECTED: dict[tuple[str, str], tuple[list[tuple[str, int]], list[str], str]] = {
    ("netbsd", "healthy"): (
        [("i8254", 100), ("lapic", -100), ("clockinterrupt", 0), ("TSC", 3000)],
        ["i8254", "TSC"],
        "TSC",
    ),
    ("netbsd", "not-invariant"): (
        [("i8254", 100), ("lapic", -100), ("clockinterrupt", 0), ("TSC", -100)],
        ["i8254"],
        "i8254",
    ),
    ("netbsd", "no-pit"): ([("clockinterrupt", 0)], ["clockinterrupt"], "clockinterrupt"),
    ("netbsd", "lapic-stopped"): (
        [("i8254", 100), ("clockinterrupt", 0), ("TSC", 3000)],
        ["i8254", "TSC"],
        "TSC",
    ),
    ("netbsd", "kvm"): (
        [("i8254", 100), ("lapic", -100), ("clockinterrupt", 0), ("TSC", 3000)],
        ["i8254", "TSC"],
        "TSC",
    ),
    ("netbsd", "told"): (
        [("i8254", 100), ("lapic", -100), ("clockinterrupt", 0), ("TSC", -100)],
        ["i8254"],
        "i8254",
    ),
    ("netbsd", "dummy"): ([("clockinterrupt", 0)], ["clockinterrupt"], "clockinterrupt"),
    ("netbsd", "smp"): (
        [("i8254", 100), ("lapic", -100), ("clockinterrupt", 0), ("TSC", 3000)],
        ["i8254", "TSC"],
        "TSC",
    ),
    ("freebsd", "healthy"): (
        [("HPET", 950), ("ACPI-fast", 900), ("i8254", 0), ("TSC", 1000)],
        ["HPET", "TSC"],
        "TSC",
    ),
    ("freebsd", "not-invariant"): (
        [("HPET", 950), ("ACPI-fast", 900), ("i8254", 0), ("TSC", 800)],
        ["HPET"],
        "HPET",
    ),
    ("freebsd", "no-pit"): ([("HPET", 950), ("ACPI-fast", 900)], ["HPET"], "HPET"),
    ("freebsd", "lapic-stopped"): (
        [("HPET", 950), ("ACPI-fast", 900), ("i8254", 0), ("TSC", 1000)],
        ["HPET", "TSC"],
        "TSC",
    ),
    ("freebsd", "told"): (
        [("HPET", 950), ("ACPI-fast", 900), ("i8254", 0), ("TSC", 800)],
        ["HPET"],
        "HPET",
    ),
    ("freebsd", "dummy"): ([], [], "dummy"),
    ("freebsd", "smp"): (
        [("HPET", 950), ("ACPI-fast", 900), ("i8254", 0), ("TSC", 1000)],
        ["HPET", "TSC"],
        "TSC",
    ),
}

# What else a variant must say.
SAYS: dict[tuple[str, str], list[str]] = {
    ("netbsd", "not-invariant"): ["TSC not known invariant on this CPU"],
    ("netbsd", "no-pit"): ["clock: no i8254 answers", "cpu0: TSC freq unknown"],
    ("netbsd", "lapic-stopped"): ["cpu0: local timer: first pass, against the i8254: 0 Hz"],
    ("netbsd", "kvm"): ["cpu0: applying KVM timer workaround"],
    ("netbsd", "told"): ["cpu0: local timer: not calibrated, told by CPUID: 1000000000 Hz"],
    ("netbsd", "smp"): ["cpu1: started", "cpu1: running"],
    ("freebsd", "no-pit"): ["attimer0: no counter answers"],
    ("freebsd", "lapic-stopped"): [
        "Statistical lapic calibration failed!  Clocks might be ticking at variable rates.",
        'model: event timer is "i8254"',
    ],
    ("freebsd", "told"): ["Early TSC frequency 1000000000 Hz derived from CPUID"],
    ("freebsd", "dummy"): [
        "Statistical lapic calibration failed!  Clocks might be ticking at variable rates.",
        'model: event timer is "LAPIC"',
    ],
    ("freebsd", "smp"): ["SMP: AP CPU #1 Launched!"],
}


def check_ended_by_itself(boot: Boot) -> None:
    assert boot.status == 0
    assert "not that kernel" in boot.log
    assert "panic" not in boot.log
    assert boot.log.endswith("model: done\n")


@pytest.mark.parametrize(("flavour", "variant"), EXPECTED)
def test_variant(flavour: str, variant: str, tmp_path: Path) -> None:
    boot = boot_model(model(flavour, variant), tmp_path)
    check_ended_by_itself(boot)
    clocks = parse_clocks(boot.log)
    registered, selected, final = EXPECTED[flavour, variant]
    assert [(name, quality) for name, _, quality in clocks.registered] == registered
    assert clocks.selected == selected
    assert clocks.final == final
    for line in SAYS.get((flavour, variant), ()):
        assert boot.has(line), line


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_numbers_are_true(flavour: str, compiler: str, tmp_path: Path) -> None:
    clocks = parse_clocks(boot_model(model(flavour, compiler=compiler), tmp_path).log)
    frequencies = {name: hertz for name, hertz, _ in clocks.registered}
    assert frequencies["TSC"] == GIGAHERTZ
    assert frequencies["i8254"] == 1_193_182
    if flavour == "netbsd":
        assert frequencies["lapic"] == GIGAHERTZ
        assert [how.partition(",")[0] for how, _ in clocks.calibrated] == ["first pass", "second pass"]
    else:
        assert frequencies["HPET"] == 100_000_000 and frequencies["ACPI-fast"] == 3_579_545
        assert dict(clocks.calibrated)["Divisor 2"] * 2 == GIGAHERTZ
    assert all(hertz in (GIGAHERTZ, 500_000_000) or hertz * 2 == GIGAHERTZ for _, hertz in clocks.calibrated)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_boots_are_repeatable(flavour: str, tmp_path: Path) -> None:
    machine = model(flavour, options=(*EXACT[:1], f"{EXACT[1]},sleep=off", "-seed", "1"))
    assert boot_model(machine, tmp_path).log == boot_model(machine, tmp_path).log


# Without ACPI the guest cannot switch itself off: a triple fault ends it.
@pytest.mark.parametrize("machine", ["pc", "q35", "microvm", "microvm,acpi=off"])
def test_machines(machine: str, tmp_path: Path) -> None:
    boot = boot_model(model(options=(*EXACT, "-M", machine)), tmp_path)
    check_ended_by_itself(boot)
    assert parse_clocks(boot.log).final == "TSC"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_under_kvm_even_a_weak_one(flavour: str, kvm: None, tmp_path: Path) -> None:
    machine = model(flavour, "smp", "workload=all", options=("-M", "microvm", "-cpu", KVM_CPU))
    command = machine.command(tmp_path / "serial.log")
    command[command.index("tcg")] = "kvm"
    run = subprocess.run(["timeout", "120", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    boot = Boot(read_serial(tmp_path / "serial.log"), run.returncode)
    if run.returncode and run.stderr and not boot.log:
        pytest.skip(f"this machine's KVM does not start a guest: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    check_ended_by_itself(boot)
    # Beyond 2^31 Hz FreeBSD calls it TSC-low.
    assert {name.removesuffix("-low") for name, _, _ in parse_clocks(boot.log).registered} >= {"i8254", "TSC"}
    assert all(boot.has(line) for line in workload_lines())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_multiboot_image_is_the_same_kernel(flavour: str, tmp_path: Path) -> None:
    machine = model(flavour, "healthy", "workload=recurse")
    command = machine.command(tmp_path / "serial.log")
    command[command.index(str(machine.vmlinux))] = str(machine.vmlinux.with_suffix(".multiboot"))
    subprocess.run(["timeout", "60", *command], stdin=subprocess.DEVNULL, check=True, capture_output=True)
    log = read_serial(tmp_path / "serial.log")
    assert "workload recurse: 13" in log  # the command line came through
    assert parse_clocks(log).final == "TSC"


def test_a_counter_that_wraps_too_fast_is_degraded(tmp_path: Path) -> None:
    clocks = parse_clocks(boot_model(model("freebsd", "healthy", "hz=10"), tmp_path).log)
    assert ("i8254", 1_193_182, -2000) in clocks.registered


def test_drift_lowers_the_quality(tmp_path: Path) -> None:
    boot = boot_model(model("netbsd", "smp", "tsc_drift=3000"), tmp_path)
    assert boot.has("ERROR: 3000 cycle TSC drift observed")
    assert parse_clocks(boot.log).registered[-1][2] == -100


def test_assertion_of_a_debug_kernel(tmp_path: Path) -> None:
    boot = boot_model(model("freebsd", "dummy", "invariants"), tmp_path)
    assert boot.has("panic: TSC not initialized")
    assert boot.status == 0


# ---------------------------------------------------------------- workloads


def loop(rows: int, columns: int) -> int:
    total = 0
    for row in range(rows):
        for column in range(columns):
            if (row + column) % 3 == 0:
                total += row * column
            elif column > row + 8:
                break
        if total > 100000:
            return total
    return total


def switch(operation: int, value: int) -> int:
    results: list[Callable[[int], int]] = [
        lambda x: x + 3,
        lambda x: x * 5,
        lambda x: x ^ 0x55,
        lambda x: x << 2,
        lambda x: x // 7,
        lambda x: x - 40 if x > 40 else 40 - x,
        lambda x: ~x & 0xFF,
        lambda x: x % 9,
    ]
    return results[operation](value) if operation < len(results) else 0


def tail(value: int) -> int:
    return value if value > 100 else switch(value & 7, value)


def rare(value: int) -> int:
    return value // 2 if value % 16 == 13 else value + 1


def parallel(cpu: int) -> int:
    value = cpu
    for _ in range(40):
        value = value * 3 + 1 if value & 1 else value // 2 + cpu
    return value


def workload_lines() -> list[str]:
    switched = sum(switch(i, 50) + tail(i * 15) + rare(i) for i in range(10)) + rare(29)
    sleepers = [4 + sum(100 * turn for turn in range(4) if turn & 1 == thread) for thread in range(2)]
    migrant = sum(turn + (10 if turn % 3 == 0 else 0) for turn in range(6))
    return [
        f"workload loop: 5x3 gives {loop(5, 3)}, 20x50 gives {loop(20, 50)}",
        "workload switch: rare value 29",
        f"workload switch: {switched}",
        f"workload choice: {min(3, 7)}, then {10 + (7 > 7)}, then {10 + (9 > 7)}",
        f"workload patch: {21 + 1}, then {21 * 2}, then {21 + 1}",
        "workload recurse: 13",
        "workload reenter: 30",
        f"workload threads: {sleepers[0]} and {sleepers[1]}",
        *(f"workload smp: cpu {cpu} gives {parallel(cpu)}" for cpu in range(2)),
        f"workload migrate: {migrant}",
    ]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_workloads(flavour: str, compiler: str, tmp_path: Path) -> None:
    boot = boot_model(model(flavour, "smp", "workload=all", compiler=compiler), tmp_path)
    check_ended_by_itself(boot)
    assert [line for line in boot.log.splitlines() if line.startswith("workload")] == workload_lines()


def test_workloads_really_run_in_parallel(tmp_path: Path) -> None:
    """Not only with the one thread for all processors that -icount brings."""
    boot = boot_model(model("netbsd", "smp", "workload=smp,migrate", options=("-accel", "tcg,thread=multi")), tmp_path)
    check_ended_by_itself(boot)
    assert boot.has(workload_lines()[-1])


def test_a_single_workload_is_chosen(tmp_path: Path) -> None:
    log = boot_model(model("netbsd", "healthy", "workload=recurse"), tmp_path).log
    assert re.findall("^workload .*", log, re.MULTILINE) == ["workload recurse: 13"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_workloads_have_what_is_to_be_traced(compiler: str) -> None:
    kernel = model(compiler=compiler).vmlinux
    text = subprocess.run(["objdump", "-d", kernel], check=True, capture_output=True, text=True).stdout
    bodies = dict(re.findall(r"^[0-9a-f]+ <([\w.]+)>:\n((?:.+\n)+)", text, re.MULTILINE))
    assert re.search(r"jmp +\*", bodies["work_switch"]), "a jump table"
    assert re.search(r"jmp +[0-9a-f]+ <work_switch", bodies["work_tail"]), "a tail call"
    assert "nopl   0x0(%rax,%rax,1)" in bodies["work_patched"], "a place to patch"
    assert re.search(r"call +[0-9a-f]+ <work_recurse>", bodies["work_recurse"]), "recursion"
    assert compiler == "clang" or "work_rare.cold" in bodies, "a cold part"


# ---------------------------------------------------------------- what a debugger sees


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Callable[[Model], Guest]]:
    """waiting(machine): a QEMU that waits for a debugger."""
    guests: list[Guest] = []

    def start(machine: Model) -> Guest:
        guests.append(Guest(machine, tmp_path, limit=120))
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


def attach(guest: Guest) -> list[str]:
    """GDB has no NetBSD or FreeBSD: `set osabi none` must come before the file is read."""
    return ["set osabi none", f"file {guest.machine.vmlinux}", f"target remote {guest.socket}"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_gdb_reads_what_the_guest_printed(flavour: str, waiting: Callable[[Model], Guest], tmp_path: Path) -> None:
    guest = waiting(model(flavour))
    variables = {"netbsd": ["tsc_freq", "lapic_per_second"], "freebsd": ["tsc_freq", "count_freq"]}[flavour]
    script = [*attach(guest), "hbreak machine_exit", "continue"]
    script += ["output timecounter->tc_name", *(f'printf "\\n{name} %lu\\n", (long){name}' for name in variables)]
    script += [
        'printf "offsets %d %d %d %d\\n", '
        + ", ".join(
            f"(int)&((struct timecounter *)0)->{member}"
            for member in ("tc_counter_mask", "tc_frequency", "tc_name", "tc_quality")
        ),
        "monitor info lapic",
        "kill",
    ]
    text = run_gdb(script, tmp_path, plugin=False).text
    clocks = parse_clocks(guest.log())
    read = dict(re.findall(r"^(\w+) (\d+)$", text, re.MULTILINE))
    assert int(read["tsc_freq"]) == next(hertz for name, hertz, _ in clocks.registered if name == "TSC")
    assert int(read[variables[1]]) == clocks.calibrated[-1][1]
    assert f'"{clocks.selected[-1]}"' in text
    assert "offsets 16 24 32 40" in text
    check_lapic(text, ticks=int(read[variables[1]]) // 100)


def check_lapic(text: str, ticks: int) -> None:
    """QEMU's own view of the timer: periodic, and as many counts to a tick as was calibrated."""
    timer = re.search(r"^LVTT\s+0x\w+ .*periodic", text, re.MULTILINE)
    initial = re.search(r"initial_count = (\d+)", text)
    assert timer and initial, text
    assert abs(int(initial[1]) - ticks) <= 1


SEED_BACKTRACES = [
    ("i8254", ["tc_init", "startrtclock", "cpu_configure", "configure", "main"]),
    ("lapic", ["tc_init", "lapic_initclock", "initclocks", "configure2", "main"]),
    ("clockinterrupt", ["tc_init", "initclocks", "configure2", "main"]),
    ("TSC", ["tc_init", "tsc_tc_init", "cpu_boot_secondary_processors", "configure2", "main"]),
]


def test_backtraces_are_those_of_netbsd(waiting: Callable[[Model], Guest], tmp_path: Path) -> None:
    """The four that "NetBSD microvm Clocks" shows, function by function."""
    script = [*attach(waiting(model(options=(*EXACT, "-M", "microvm")))), "hbreak tc_init"]
    for _ in SEED_BACKTRACES:
        script += ["continue", 'printf "clock %s\\n", tc->tc_name', "bt"]
    text = run_gdb([*script, "kill"], tmp_path, plugin=False).text
    found = [
        (part.split("\n", 1)[0], re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+) \(", part, re.MULTILINE))
        for part in text.split("\nclock ")[1:]
    ]
    assert found == SEED_BACKTRACES


@pytest.mark.parametrize(("flavour", "name"), [("netbsd", "NetBSD"), ("freebsd", "FreeBSD")])
def test_gdb_stumbles_as_over_the_real_kernel(
    flavour: str, name: str, waiting: Callable[[Model], Guest], tmp_path: Path
) -> None:
    """What the plugin must see to; if a GDB comes that does not stumble, this says so."""
    guest = waiting(model(flavour))
    script = [f"file {guest.machine.vmlinux}", f"target remote {guest.socket}"]
    text = run_gdb(script, tmp_path, plugin=False).text
    assert f'A handler for the OS ABI "{name}" is not built into this configuration' in text
    assert "Architecture rejected target-supplied description" in text


# ---------------------------------------------------------------- building and starting


def test_both_compilers_build_without_a_warning(tmp_path: Path) -> None:
    make = [
        "make",
        "--no-print-directory",
        "-f",
        "examples/model/model.mk",
        f"BUILD={tmp_path}",
        "models",
        "models-clang",
    ]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    built = {path.relative_to(tmp_path / "guests/model").as_posix() for path in tmp_path.rglob("*.elf")}
    assert built == {f"{place}{flavour}.elf" for place in ("", "clang/") for flavour in FLAVOURS}


def test_qemu_command_explains_itself(tmp_path: Path) -> None:
    script = ROOT / "examples/model/qemu-command"
    wrong = subprocess.run([script, "netbsd", "sick"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "sick" in wrong.stderr
    missing = subprocess.run(
        [script], env={"PATH": "/usr/bin:/bin", "MODELS": str(tmp_path)}, capture_output=True, text=True
    )
    assert missing.returncode == 2 and "make -f setup.mk models" in missing.stderr
    words = shlex.split(
        subprocess.run(
            [script, "freebsd", "smp", "a=b c", "--", "-S"], check=True, capture_output=True, text=True
        ).stdout
    )
    assert words[words.index("-append") + 1] == "a=b c" and words[-1] == "-S"
    assert str(MODELS / "freebsd.elf") in words
