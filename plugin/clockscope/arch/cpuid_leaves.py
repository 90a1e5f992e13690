# SPDX-License-Identifier: MIT
"""What CPUID leaves and MSRs say about clocks, in the manuals' names.

Sources: Intel SDM vol. 2 "CPUID" and vol. 4 (MSRs); AMD APM vol. 3, appendix E; the KVM documentation's
virt/kvm/x86/cpuid.rst; Xen's public/arch-x86/cpuid.h; Microsoft's Hypervisor Top Level Functional Specification,
section 2.4; VMware's leaf 0x40000010, which KVM and bhyve give too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Registers = tuple[int, int, int, int]
"""EAX, EBX, ECX, EDX"""

Leaves = Mapping[tuple[int, int], Registers]
"""by leaf and subleaf"""

HYPERVISOR = 0x40000000
VMWARE_TIMING = 0x40000010

# What is read: leaf and subleaf. A leaf beyond the highest that the guest is told of is left out.
LEAVES: Sequence[tuple[int, int]] = (
    (0x0, 0), (0x1, 0), (0x6, 0), (0x7, 0), (0x15, 0), (0x16, 0),
    *((leaf, 0) for leaf in range(HYPERVISOR, VMWARE_TIMING + 1)), (0x40000003, 1), (0x40000003, 2),
    (0x80000000, 0), (0x80000001, 0), (0x80000007, 0),
)  # fmt: skip

_REGISTERS = ("EAX", "EBX", "ECX", "EDX")
REGISTERS = ("eax", "ebx", "ecx", "edx")
"""As traces and answers name them."""


def of_row(row: Mapping[str, int]) -> Registers:
    return row["eax"], row["ebx"], row["ecx"], row["edx"]


@dataclass(frozen=True)
class Field:
    """Some bits of one register."""

    register: str
    low: int
    width: int
    name: str
    unit: str = ""

    def value(self, registers: Registers) -> int:
        return registers[_REGISTERS.index(self.register)] >> self.low & (1 << self.width) - 1

    @property
    def place(self) -> str:
        """ "EDX[8]", "EBX[31:24]", "ECX": as the manuals write it."""
        if self.width == 32:
            return self.register
        return (
            f"{self.register}[{self.low}]"
            if self.width == 1
            else f"{self.register}[{self.low + self.width - 1}:{self.low}]"
        )


def _bit(register: str, bit: int, name: str) -> Field:
    return Field(register, bit, 1, name)


def _all(register: str, name: str, unit: str = "") -> Field:
    return Field(register, 0, 32, name, unit)


_FIELDS: dict[tuple[int, int], tuple[Field, ...]] = {
    (0x0, 0): (_all("EAX", "highest basic leaf"),),
    (0x1, 0): (
        Field("EAX", 0, 4, "stepping"),
        Field("EAX", 4, 4, "model"),
        Field("EAX", 8, 4, "family"),
        Field("EAX", 16, 4, "extended model"),
        Field("EAX", 20, 8, "extended family"),
        Field("EBX", 24, 8, "initial APIC ID"),
        _bit("EDX", 4, "TSC"),
        _bit("EDX", 9, "APIC on-chip"),
        _bit("ECX", 21, "x2APIC"),
        _bit("ECX", 24, "TSC-Deadline"),
        _bit("ECX", 31, "hypervisor present"),
    ),
    (0x6, 0): (_bit("EAX", 2, "APIC timer always running (ARAT)"),),
    (0x7, 0): (_bit("EBX", 1, "IA32_TSC_ADJUST"),),
    (0x15, 0): (
        _all("EAX", "denominator of the TSC/core crystal clock ratio"),
        _all("EBX", "numerator of the TSC/core crystal clock ratio"),
        _all("ECX", "nominal frequency of the core crystal clock", "Hz"),
    ),
    (0x16, 0): (
        Field("EAX", 0, 16, "processor base frequency", "MHz"),
        Field("EBX", 0, 16, "maximum frequency", "MHz"),
        Field("ECX", 0, 16, "bus (reference) frequency", "MHz"),
    ),
    (HYPERVISOR, 0): (_all("EAX", "highest hypervisor leaf"),),
    (VMWARE_TIMING, 0): (_all("EAX", "TSC frequency", "kHz"), _all("EBX", "APIC timer (bus) frequency", "kHz")),
    (0x80000000, 0): (_all("EAX", "highest extended leaf"),),
    (0x80000001, 0): (_bit("EDX", 27, "RDTSCP"),),
    (0x80000007, 0): (_bit("EDX", 8, "invariant TSC"),),
}

# These leaves mean what the hypervisor of leaf 0x40000000 says.
_OF_HYPERVISOR: dict[str, dict[tuple[int, int], tuple[Field, ...]]] = {
    "KVMKVMKVM": {
        (0x40000001, 0): (
            _bit("EAX", 0, "KVM_FEATURE_CLOCKSOURCE"),
            _bit("EAX", 3, "KVM_FEATURE_CLOCKSOURCE2"),
            _bit("EAX", 5, "KVM_FEATURE_STEAL_TIME"),
            _bit("EAX", 24, "KVM_FEATURE_CLOCKSOURCE_STABLE_BIT"),
        ),
    },
    "XenVMMXenVMM": {
        (0x40000001, 0): (Field("EAX", 16, 16, "Xen version, major"), Field("EAX", 0, 16, "Xen version, minor")),
        (0x40000003, 0): (
            _bit("EAX", 0, "TSC emulated (vtsc)"),
            _bit("EAX", 1, "host TSC reliable"),
            _bit("EAX", 2, "RDTSCP for the guest"),
            _all("EBX", "tsc_mode"),
            _all("ECX", "guest TSC frequency", "kHz"),
            _all("EDX", "TSC incarnation"),
        ),
        (0x40000003, 1): (_all("ECX", "TSC to ns: multiplier"), Field("EDX", 0, 8, "TSC to ns: shift")),
        (0x40000003, 2): (_all("EAX", "host TSC frequency", "kHz"),),
    },
    "Microsoft Hv": {
        (0x40000003, 0): (
            _bit("EAX", 1, "partition reference counter"),
            _bit("EAX", 3, "synthetic timers"),
            _bit("EAX", 9, "partition reference TSC page"),
            _bit("EAX", 11, "frequency MSRs accessible"),
            _bit("EAX", 15, "TSC invariant control"),
            _bit("EDX", 8, "frequency MSRs available"),
        ),
    },
}

_NAMES = {
    0x0: "vendor",
    0x1: "version and feature information",
    0x6: "thermal and power management",
    0x7: "structured extended feature flags",
    0x15: "time stamp counter and nominal core crystal clock",
    0x16: "processor frequency information",
    HYPERVISOR: "hypervisor vendor",
    0x40000001: "hypervisor interface",
    0x40000003: "hypervisor features",
    VMWARE_TIMING: "hypervisor timing",
    0x80000000: "extended leaves",
    0x80000001: "extended features",
    0x80000007: "advanced power management",
}

MSRS: Mapping[int, str] = {0x1B: "IA32_APIC_BASE", 0x3B: "IA32_TSC_ADJUST", 0x6E0: "IA32_TSC_DEADLINE"}
_MSR_BITS = {0x1B: ((8, "BSP flag"), (10, "enable x2APIC mode"), (11, "APIC global enable"))}

# These change by themselves from moment to moment.
VOLATILE_MSRS = frozenset({0x6E0})


def leaf_name(leaf: int) -> str:
    return _NAMES.get(leaf, "")


def hypervisor(leaves: Leaves) -> str:
    """The hypervisor's signature, such as "KVMKVMKVM"; empty where there is none."""
    registers = leaves.get((HYPERVISOR, 0))
    return _letters(registers[1], registers[2], registers[3]) if registers else ""


def vendor(leaves: Leaves) -> str:
    """ "GenuineIntel", "AuthenticAMD", …"""
    registers = leaves.get((0, 0))
    return _letters(registers[1], registers[3], registers[2]) if registers else ""


def _letters(*words: int) -> str:
    data = b"".join(word.to_bytes(4, "little") for word in words)
    return data.rstrip(b"\0").decode("latin-1")


def fields(leaf: int, subleaf: int, leaves: Leaves) -> tuple[Field, ...]:
    """What the registers of a leaf mean, as far as clocks go."""
    own = _OF_HYPERVISOR.get(hypervisor(leaves), {})
    return own.get((leaf, subleaf), _FIELDS.get((leaf, subleaf), ()))


def describe(leaf: int, subleaf: int, leaves: Leaves) -> Iterator[tuple[str, str, str]]:
    """(place, name, value) of each field, and of what follows from several."""
    registers = leaves[leaf, subleaf]
    if (leaf, subleaf) in ((0, 0), (HYPERVISOR, 0)):
        yield "EBX, ECX, EDX", _NAMES[leaf], vendor(leaves) if leaf == 0 else hypervisor(leaves)
    for field in fields(leaf, subleaf, leaves):
        yield field.place, field.name, _shown(field, registers)
    frequency = tsc_hz(leaf, registers)
    if frequency:
        yield "", "TSC frequency by this leaf", f"{frequency / 1e6:.6f} MHz"


def _shown(field: Field, registers: Registers) -> str:
    value = field.value(registers)
    if field.width == 1:
        return "yes" if value else "no"
    if field.unit:
        return f"{value} {field.unit}" if value else "not told"
    return f"{value:#x}" if field.width == 32 else str(value)


def tsc_hz(leaf: int, registers: Registers) -> int:
    """The TSC's frequency where one leaf alone tells it (0x15: crystal × EBX / EAX); 0 where not."""
    eax, ebx, ecx, _ = registers
    if leaf == 0x15 and eax and ebx and ecx:
        return ecx * ebx // eax
    return 0


def describe_msr(number: int, value: int) -> Iterator[tuple[str, str, str]]:
    """(bits, name, value), as describe() does."""
    for bit, name in _MSR_BITS.get(number, ()):
        yield f"[{bit}]", name, "yes" if value >> bit & 1 else "no"
    if number == 0x1B:
        yield "[51:12]", "APIC base", f"{value & 0xFFFFFFFFFF000:#x}"


def highest(leaf: int, leaves: Leaves) -> int:
    """The highest leaf of a leaf's range that the guest is told of: 0x0, 0x40000000 and 0x80000000 say so."""
    first = leaf & 0xC0000000
    registers = leaves.get((first, 0))
    return registers[0] if registers and registers[0] >= first else first
