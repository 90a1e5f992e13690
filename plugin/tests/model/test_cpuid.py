# SPDX-License-Identifier: MIT
"""What guests are told: leaves decoded by the manuals, read from guests that stand, kept in traces."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from gdbrun import Transcript
from guest import ROOT
from model import model

from clockscope.arch import cpuid_leaves
from clockscope.model import told
from clockscope._core import RefusedError, Trace, TraceWriter
from clockscope.kernel.elffile import ElfFile
from clockscope.reports import cpuid as report
from clockscope.model.told import Told

Program = Callable[..., subprocess.CompletedProcess[str]]

SCHEMA = json.loads((ROOT / "schemas/cpuid.schema.json").read_text())


def _words(signature: str) -> tuple[int, ...]:
    data = signature.encode().ljust(12, b"\0")
    return tuple(int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))


def hypervisor(signature: str, highest: int = 0x40000010) -> cpuid_leaves.Registers:
    ebx, ecx, edx = _words(signature)
    return highest, ebx, ecx, edx


def described(leaf: int, subleaf: int, leaves: cpuid_leaves.Leaves) -> dict[str, str]:
    return {name: value for _, name, value in cpuid_leaves.describe(leaf, subleaf, leaves)}


def test_vendor() -> None:
    ebx, edx, ecx = _words("GenuineIntel")
    leaves = {(0, 0): (0x16, ebx, ecx, edx)}
    assert described(0, 0, leaves) == {"vendor": "GenuineIntel", "highest basic leaf": "0x16"}


def test_crystal_clock() -> None:
    """Intel SDM vol. 3, 19.7.3: crystal frequency × EBX / EAX; here a Skylake's 24 MHz × 176 / 2."""
    leaves = {(0x15, 0): (2, 176, 24_000_000, 0), (0x16, 0): (2100, 3700, 100, 0)}
    assert described(0x15, 0, leaves)["TSC frequency by this leaf"] == "2112.000000 MHz"
    assert described(0x16, 0, leaves)["bus (reference) frequency"] == "100 MHz"
    assert described(0x15, 0, {(0x15, 0): (2, 176, 0, 0)})["nominal frequency of the core crystal clock"] == "not told"


@pytest.mark.parametrize(
    "signature, leaf, registers, name, value",
    [
        ("KVMKVMKVM", 0x40000001, (1 << 24 | 9, 0, 0, 0), "KVM_FEATURE_CLOCKSOURCE2", "yes"),
        ("KVMKVMKVM", 0x40000001, (1 << 24 | 9, 0, 0, 0), "KVM_FEATURE_CLOCKSOURCE_STABLE_BIT", "yes"),
        ("KVMKVMKVM", 0x40000010, (2100000, 1000000, 0, 0), "TSC frequency", "2100000 kHz"),
        ("XenVMMXenVMM", 0x40000001, (4 << 16 | 17, 0, 0, 0), "Xen version, minor", "17"),
        ("XenVMMXenVMM", 0x40000003, (2, 1, 2400000, 0), "guest TSC frequency", "2400000 kHz"),
        ("XenVMMXenVMM", 0x40000003, (2, 1, 2400000, 0), "host TSC reliable", "yes"),
        ("Microsoft Hv", 0x40000003, (1 << 9, 0, 0, 0), "partition reference TSC page", "yes"),
    ],
)
def test_hypervisors(signature: str, leaf: int, registers: cpuid_leaves.Registers, name: str, value: str) -> None:
    leaves = {(cpuid_leaves.HYPERVISOR, 0): hypervisor(signature), (leaf, 0): registers}
    assert described(leaf, 0, leaves)[name] == value
    assert cpuid_leaves.hypervisor(leaves) == signature


def test_msr() -> None:
    found = {name: value for _, name, value in cpuid_leaves.describe_msr(0x1B, 0xFEE00D00)}
    assert found == {"BSP flag": "yes", "enable x2APIC mode": "yes", "APIC global enable": "yes",
                     "APIC base": "0xfee00000"}  # fmt: skip


class Processor:
    """A guest that answers, at some places only."""

    def __init__(self, leaves: cpuid_leaves.Leaves, msrs: dict[int, int], good: int = 0x1000) -> None:
        self.leaves = leaves
        self.msrs = msrs
        self.good = good
        self.asked: list[tuple[str, int, int, int]] = []

    def borrow(self, instruction: str, address: int, eax: int, ecx: int) -> cpuid_leaves.Registers:
        self.asked.append((instruction, address, eax, ecx))
        if address != self.good:
            raise RefusedError(f"the guest's memory at {address:#x} holds another instruction")
        if instruction == "cpuid":
            return self.leaves.get((eax, ecx), (0, 0, 0, 0))
        value = self.msrs[ecx] if instruction == "rdmsr" else 0x123456789
        return value & 0xFFFFFFFF, 0, 0, value >> 32


FEATURES = {(0, 0): (0x16, 0, 0, 0), (1, 0): (0, 0, 1 << 31 | 1 << 24, 1 << 9), (7, 0): (0, 2, 0, 0),
            (0x40000000, 0): hypervisor("KVMKVMKVM", 0x40000001), (0x80000000, 0): (0x80000004, 0, 0, 0)}  # fmt: skip
PLACES = told.Places(cpuid=(0xF00, 0x1000), rdtsc=(0x1000,), rdmsr=(0x1000,))


def test_reads_what_there_is() -> None:
    processor = Processor(FEATURES, {0x1B: 0xFEE00900, 0x3B: 2**64 - 5, 0x6E0: 7})
    found = told.read(told.Borrower(processor.borrow, PLACES))
    leaves = [leaf for leaf, _ in found.leaves]
    assert 0x15 in leaves and 0x40000001 in leaves
    assert 0x40000002 not in leaves and 0x80000007 not in leaves  # beyond the highest
    assert found.msrs == processor.msrs and not found.refused
    assert told.Borrower(processor.borrow, PLACES)("rdtsc", 0, 0) == (0x23456789, 0, 0, 1)


def test_asks_only_for_msrs_that_the_processor_has() -> None:
    """Reading another would raise an exception in the guest."""
    processor = Processor({(0, 0): (7, 0, 0, 0), (1, 0): (0, 0, 0, 1 << 9)}, {0x1B: 0})
    assert told.read(told.Borrower(processor.borrow, PLACES)).msrs == {0x1B: 0}
    assert [ecx for name, _, _, ecx in processor.asked if name == "rdmsr"] == [0x1B]


def test_tries_another_place_and_keeps_to_it() -> None:
    processor = Processor(FEATURES, {0x1B: 0, 0x3B: 0, 0x6E0: 0}, good=0x1010)
    told.read(told.Borrower(processor.borrow, PLACES, offset=0x10))
    assert [address for name, address, *_ in processor.asked if name == "cpuid"].count(0xF10) == 1


def test_refusal_is_kept() -> None:
    found = told.read(told.Borrower(Processor(FEATURES, {}, good=0).borrow, PLACES))
    assert not found.leaves and "holds another instruction" in found.refused[0]
    assert "no cpuid to borrow" in told.read(told.Borrower(Processor(FEATURES, {}).borrow, told.Places())).refused[0]


def test_kept_in_a_trace(tmp_path: Path, program: Program) -> None:
    path = tmp_path / "a.trace"
    writer = TraceWriter(str(path))
    reading = told.read(told.Borrower(Processor(FEATURES, {0x1B: 1, 0x3B: 2**64 - 5, 0x6E0: 7}).borrow, PLACES))
    told.write(writer, told.BEGIN, reading)
    told.write(writer, told.END, Told(refused=["the guest\x1b was gone"]))
    writer.close(True, "")
    with Trace(str(path)) as trace:
        assert told.of_trace(trace, told.BEGIN) == reading
        assert told.of_trace(trace, told.END).refused == ["the guest\x1b was gone"]
    run = program("cpuid", path)
    assert "MSR 0x3b  IA32_TSC_ADJUST  0xfffffffffffffffb" in run.stdout and run.returncode == 0
    run = program("cpuid", path, "--end")
    assert "the guest\\x1b was gone" in run.stderr and run.returncode == 2


def test_json(tmp_path: Path) -> None:
    reading = told.read(told.Borrower(Processor(FEATURES, {0x1B: 1, 0x3B: 2, 0x6E0: 7}).borrow, PLACES))
    content = json.loads(json.dumps(report.content(reading, None)))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    assert content["hypervisor"] == "KVMKVMKVM" and len(content["msrs"]) == 3
    assert [item["leaf"] for item in report.content(reading, 0x15)["leaves"]] == ["0x15"]


def test_troubles_are_one_line(program: Program, tmp_path: Path) -> None:
    TraceWriter(str(tmp_path / "empty")).close(True, "")
    healthy = ROOT / "traces/linux-healthy.trace"
    mistakes: list[tuple[list[str | Path], str]] = [
        ([tmp_path / "empty"], "holds no CPUID leaves"),
        (["live"], "no guest outside GDB"),
        ([healthy, "0x15"], "leaf 0x15 was not read"),
        ([healthy, "many"], "a CPUID leaf such as 0x15 is expected"),
    ]
    for arguments, said in mistakes:
        run = program("cpuid", *arguments)
        assert run.returncode == 2 and said in run.stderr and run.stderr.count("\n") == 1


def test_places_in_a_kernel() -> None:
    """The bytes are there, in text that stays mapped."""
    elf = ElfFile(str(model("netbsd").vmlinux))
    places = told.find(elf)
    for name, pattern in (("cpuid", b"\x0f\xa2"), ("rdtsc", b"\x0f\x31"), ("rdmsr", b"\x0f\x32")):
        addresses = getattr(places, name)
        assert addresses, name
        for address in addresses:
            assert elf.read(address, 2) == pattern


def test_live_in_gdb(gdb: Callable[..., Transcript], tmp_path: Path) -> None:
    """Equal to what the emulator gives, and the guest's registers are as they were."""
    machine = model("freebsd", "not-invariant")
    transcript = gdb([
        f"file {machine.vmlinux}", machine.launch(tmp_path / "serial.log"), "hbreak initclocks", "continue",
        "info registers", "clock cpuid live 0x40000000", "clock cpuid live", "info registers",
    ])  # fmt: skip
    assert transcript.status == 0, transcript.text
    assert "TCGTCGTCGTCG" in transcript.text and "IA32_APIC_BASE" in transcript.text
    registers = re.findall(r"^(?:r|e)[a-z0-9]+ +0x[0-9a-f]+", transcript.text, re.MULTILINE)
    half = len(registers) // 2
    assert half >= 17 and registers[:half] == registers[half:]
