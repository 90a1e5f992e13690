# SPDX-License-Identifier: MIT
"""What a processor architecture is to the plugin: names of registers by what they are for, and a few forms of code.

c-ext/core/arch has the rest. `amd64.py` fills one; nothing else names a register.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Instructions that load a constant first argument: `pattern` has its four bytes, a signed number, as its group."""

    pattern: re.Pattern[bytes]
    relative: bool  # it counts from the instruction's end
    length: int


@dataclass(frozen=True)
class Processor:
    """Registers by the names that GDB gives them."""

    name: str
    general: tuple[str, ...]  # all that whoever looks at a stop may ask for, PC and flags too
    pc: str
    stack_pointer: str
    flags: str
    result: str  # what a function returns
    arguments: tuple[str, ...]  # of a function, in order; the others are on the stack, eight bytes each
    argument_named: re.Pattern[str]  # in an expression of GDB's
    entry_gap: int  # bytes on the stack below its arguments, once a function is entered
    privilege: str
    privilege_bits: int  # 0 at the highest
    string_pointer: str  # of repeated stores: behind what was written last
    backwards: int  # of the flags: … before it
    repeated: str  # what their text begins with
    loads: tuple[Load, ...]
    call: str  # what the text of calls, of jumps, of what ends straight code begins with
    jump: str
    ends: tuple[str, ...]
    clocks: tuple[str, ...]  # kinds of instructions that touch a clock, that come out one of two ways without a jump,
    choices: tuple[str, ...]
    landmarks: tuple[str, ...]  # … and what else tells a reader where he is
    comparison: re.Pattern[str]  # the text of what sets flags, for traces that do not say
    loans: Mapping[str, bytes]  # what a guest may be made to execute (c-ext/core/arch/arch.h)
    parts: tuple[tuple[int, re.Pattern[str], Mapping[str, str]], ...]

    def whole_register(self, name: str) -> tuple[str, int]:
        """The register that a name in assembly is part of, and the part's bytes (high bytes count as whole)."""
        for size, form, wholes in self.parts:
            if match := form.fullmatch(name):
                return wholes.get(match[1], f"r{match[1]}"), size
        return name, 8
