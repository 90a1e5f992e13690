# SPDX-License-Identifier: MIT
"""Guests of a few instructions: what a test writes in assembly, run in long mode with its first 2 MiB mapped as they lie."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_HEAD = """
        .code32
        .section .head, "ax"
        .align 4
        .long 0x1badb002, 0, -0x1badb002
        .globl start
start:  movl $tables + 0x1003, tables
        movl $tables + 0x2003, tables + 0x1000
        movl $0x83, tables + 0x2000
        movl $tables, %eax
        movl %eax, %cr3
        movl $0x220, %eax
        movl %eax, %cr4
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax
        wrmsr
        movl $0x80000001, %eax
        movl %eax, %cr0
        lgdt descriptor
        movl $tables, %esp
        ljmp $8, $body
        .data
        .align 8
gdt:    .quad 0, 0xaf9b000000ffff
descriptor: .word 15
        .long gdt
nowhere: .quad 0, 0
        .bss
        .skip 4096
        .align 4096
tables: .skip 0x3000
        .text
        .code64
"""

END = """
        lidt nowhere(%rip)
        int3
"""
"""Instructions that end the guest."""


@dataclass(frozen=True)
class Bare:
    """A guest of one's own."""

    vmlinux: Path
    multiboot: Path

    def command(self) -> str:
        return f"qemu-system-x86_64 -nodefaults -display none -no-reboot -m 16 -kernel {self.multiboot}"


def function(name: str, body: str) -> str:
    """Assembly of a function."""
    return (
        f"\n        .globl {name}\n        .type {name}, @function\n{name}:\n{body}\n        .size {name}, . - {name}\n"
    )


def build(directory: Path, text: str) -> Bare:
    """`text` is assembly with a function named `body`, where the guest begins."""
    (directory / "bare.S").write_text(_HEAD + text)
    steps = (
        "gcc -c bare.S",
        "ld --no-warn-rwx-segments -N -Ttext=0x101000 --section-start=.head=0x100000 -e start -o bare.elf bare.o",
        "objcopy -O elf32-i386 bare.elf bare.multiboot",
    )
    for step in steps:
        subprocess.run(step.split(), cwd=directory, check=True)
    return Bare(directory / "bare.elf", directory / "bare.multiboot")
