# SPDX-License-Identifier: MIT
"""What `objdump -d` says of a kernel's memory accesses and branches: the independent truth for static questions.

Nothing here knows an opcode: an access is told by the mnemonic and by which operand is in memory.
"""

import mmap
import re
import struct
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PREFIXES = {"lock", "rep", "repz", "repnz", "cs", "ds", "es", "ss", "gs", "fs", "data16", "addr32", "notrack", "bnd",
             "rex.W", "rex"}  # fmt: skip
_READ_ONLY = re.compile(
    r"cmp(?!xchg)|test|bt[lqw]?$|push|call|jmp|ljmp|lcall|mul|imul|div|idiv|f(ld|ild|add|mul|div|sub|com)"
    r"|l[gil]dt|ldmxcsr|fx?rstor|xrstor|verw|verr|ltr|lldt|lmsw|cmov|inv(?!lpg)|vmptrld|vmclear"
)
_WRITE_ONLY = re.compile(
    r"v?mov(?!s[bwl]|z)|set|pop|sidt|sgdt|sldt|str|smsw|fx?save|xsave|fn?st|fist|stmxcsr|vmptrst|vmread"
)
_NEITHER = re.compile(r"nop|prefetch|clflush|clwb|invlpg")

_RIP = re.compile(r"# ([0-9a-f]+)")
_ABSOLUTE = re.compile(r"(?<![\w$])(-?0x[0-9a-f]+)(?=[(,\s]|$)")
_GS = re.compile(r"%gs:(0x[0-9a-f]+)")
_IMMEDIATE = re.compile(r"\$(-?0x[0-9a-f]+)")
_LINE = re.compile(r"^([0-9a-f]+):\s+(.*)$")
_LABEL = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_BRANCH = re.compile(r"^([0-9a-f]+):\s+(?:\S+ )*?(call|callw|j[a-z]+)\s+([0-9a-f]+) <")
_SHT_RELA, _SHF_ALLOC = 4, 2
_ABSOLUTE_RELOCATIONS = {1, 10, 11}  # R_X86_64_64, _32, _32S
_KERNEL = 0xFFFFFFFF_80000000


def _operands(text: str) -> list[str]:
    """Cuts at the commas outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def access_of(text: str) -> str:
    """ "r", "w", "rw", "a" (its address is computed) or "" for an instruction that has a memory operand."""
    words = text.split("#")[0].split("<")[0].split()
    while words and words[0] in _PREFIXES:
        words.pop(0)
    mnemonic, operands = words[0], _operands(" ".join(words[1:]))
    if _NEITHER.match(mnemonic):
        return ""
    if mnemonic.startswith("lea"):
        return "a"
    if mnemonic.startswith("xchg"):
        return "rw"
    last = operands[-1]
    in_memory = "(" in last or "%gs:" in last or "%fs:" in last or not last.startswith(("%", "$"))
    if not in_memory or _READ_ONLY.match(mnemonic):
        return "r"
    return "w" if _WRITE_ONLY.match(mnemonic) else "rw"


@dataclass(frozen=True)
class Access:
    address: int
    kind: str  # "r", "w", "rw", "a"
    target: int
    text: str


@dataclass
class Findings:
    """By asked address."""

    accesses: dict[int, list[Access]] = field(default_factory=lambda: defaultdict(list))
    branches: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """Where a call or jump stands, and the label that it stands under."""


def relocations(vmlinux: Path) -> set[int]:
    """Where the linker put absolute addresses into code and data: a number there is an address, whatever its size."""
    with vmlinux.open("rb") as file:
        image = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    table, count = struct.unpack_from("<Q", image, 0x28)[0], struct.unpack_from("<H", image, 0x3C)[0]
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, table + 64 * number) for number in range(count)]
    found: set[int] = set()
    for _, kind, _, _, offset, size, _, target, _, _ in headers:
        if kind == _SHT_RELA and headers[target][2] & _SHF_ALLOC:
            entries = struct.iter_unpack("<QQq", image[offset : offset + size])
            found |= {place for place, info, _ in entries if info % 2**32 in _ABSOLUTE_RELOCATIONS}
    return found


class Ranges:
    """Disjoint or nested [start, end) ranges; which of them hold an address."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = sorted(ranges)
        self._starts = [start for start, _ in self._ranges]
        self._longest = max((end - start for start, end in self._ranges), default=0)

    def over(self, address: int) -> Iterator[int]:
        at = bisect_right(self._starts, address)
        while at and address - self._starts[at - 1] < self._longest:
            at -= 1
            if address < self._ranges[at][1]:
                yield self._starts[at]


def _signed(text: str) -> int:
    return int(text, 16) % 2**64


def _targets(text: str) -> Iterator[int]:
    """The addresses that an instruction's memory operand names; a small one only with %gs before it."""
    if "#" in text:
        yield from (int(found, 16) for found in _RIP.findall(text))
    elif "%gs:" in text:
        yield from (_signed(found) for found in _GS.findall(text))
    else:
        yield from (value for value in map(_signed, _ABSOLUTE.findall(text)) if value >= _KERNEL)


def _may_matter(line: str) -> bool:
    return "#" in line or "%gs:0x" in line or "0xffffffff" in line or "-0x7" in line


def listen(vmlinux: Path, variables: Ranges, functions: set[int]) -> Findings:
    """Reads a whole disassembly, line by line, and keeps what touches the variables or leads to the functions."""
    findings = Findings()
    command = ["objdump", "-d", "--no-show-raw-insn", str(vmlinux)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1 << 20) as objdump:
        assert objdump.stdout is not None
        label = ""
        for line in objdump.stdout:
            if line.endswith(">:\n") and (start := _LABEL.match(line)):
                label = start[1]
            if _may_matter(line):
                _note_access(line, variables, findings)
            if "<" in line and (branch := _BRANCH.match(line)) and int(branch[3], 16) in functions:
                findings.branches[int(branch[3], 16)].append((int(branch[1], 16), label))
    assert objdump.returncode == 0
    return findings


def _note_access(line: str, variables: Ranges, findings: Findings) -> None:
    found = _LINE.match(line)
    if not found:
        return
    address, text = int(found[1], 16), found[2]
    for target in _targets(text):
        for variable in variables.over(target):
            if kind := access_of(text):
                findings.accesses[variable].append(Access(address, kind, target, text))
    for value in map(_signed, _IMMEDIATE.findall(text)):
        for variable in variables.over(value) if value >= _KERNEL else ():
            findings.accesses[variable].append(Access(address, "a", value, text))
