# SPDX-License-Identifier: MIT
"""x86-64. Sources: the System V ABI's x86-64 supplement; Intel SDM vol. 1, 3.4 (registers), vol. 2 (instructions)."""

import re

from clockscope.arch.processor import Load, Processor

_LEGACY = {"a": "rax", "b": "rbx", "c": "rcx", "d": "rdx", "si": "rsi", "di": "rdi", "bp": "rbp", "sp": "rsp"}
_CLOCKS = ("rdtsc", "rdpmc", "in", "out")

AMD64 = Processor(
    name="x86-64",
    general=(*"rip rsp rbp rax rbx rcx rdx rsi rdi eflags".split(), *(f"r{number}" for number in range(8, 16))),
    pc="rip",
    stack_pointer="rsp",
    flags="eflags",
    result="rax",
    arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
    argument_named=re.compile(r"\$(?:r?di|r?si|r?dx|r?cx|r8|r9|e[ds]i|e[dc]x)\b"),
    entry_gap=8,  # the return address
    privilege="cs",
    privilege_bits=3,
    string_pointer="rdi",
    backwards=0x400,  # DF
    repeated="rep",
    # mov $imm32,%rdi (sign-extended), and lea disp32(%rip),%rdi
    loads=(
        Load(re.compile(rb"\x48\xc7\xc7(....)", re.DOTALL), False, 7),
        Load(re.compile(rb"\x48\x8d\x3d(....)", re.DOTALL), True, 7),
    ),
    call="call",
    jump="jmp",
    ends=("ret", "int3", "ud2"),
    clocks=_CLOCKS,
    choices=("cmov", "setcc"),
    landmarks=("rdmsr", "wrmsr", "cpuid"),
    comparison=re.compile(r"^(?:lock )?(?:cmp|test|bt|sub|and|or|xor|add|dec|inc|u?comis)"),
    loans={"cpuid": b"\x0f\xa2", "rdtsc": b"\x0f\x31", "rdmsr": b"\x0f\x32"},
    # %ecx, %cx and %cl are parts of rcx.
    parts=(
        (8, re.compile(r"r(\d+)"), {}),
        (4, re.compile(r"r(\d+)d"), {}),
        (2, re.compile(r"r(\d+)w"), {}),
        (1, re.compile(r"r(\d+)b"), {}),
        (8, re.compile(r"r([abcd])x"), _LEGACY),
        (4, re.compile(r"e([abcd])x"), _LEGACY),
        (2, re.compile(r"([abcd])x"), _LEGACY),
        (1, re.compile(r"([abcd])l"), _LEGACY),
        (8, re.compile(r"r([sd]i|[bs]p)"), _LEGACY),
        (4, re.compile(r"e([sd]i|[bs]p)"), _LEGACY),
        (1, re.compile(r"([sd]i|[bs]p)l"), _LEGACY),
        (2, re.compile(r"([sd]i|[bs]p)"), _LEGACY),
    ),
)
