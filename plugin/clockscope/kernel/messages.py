# SPDX-License-Identifier: MIT
"""A kernel's own log lines as events: where they are printed, and what they say at that moment.

A line such as "clocksource: Switched to clocksource tsc" is printed from one call of `_printk` with a constant format.
That call is found in the ELF file; a stop there has the format's arguments in the registers, as the System V calling
convention puts them, so the line can be formatted from the guest without waiting for it to print anything.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from clockscope.arch.known import PROCESSOR
from clockscope.kernel.elffile import ElfFile, Section

# Linux marks a line's level by SOH and a digit, or "c" for a continuation (include/linux/kern_levels.h).
_LEVEL = re.compile(rb"\x01[0-7c]")
_CONVERSION = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+|\*))?"
    r"(?P<length>hh|h|ll|l|L|z|t)?(?:(?P<kind>[diouxXcs%])|p(?P<pointer>[A-Za-z]*))"
)
_FORMAT_LIMIT = 1024
_WALK_LIMIT = 96  # instructions between loading the format and the call
_PIECE = 4  # instructions at a time: the call is mostly near, and GDB names each address that it prints
_MASK64 = (1 << 64) - 1

Instruction = tuple[int, int, str]
"""(address, length, text)"""

Disassembler = Callable[[int, int], Sequence[Instruction]]
"""(address, count) -> that many instructions from the ELF file's text."""


@dataclass(frozen=True)
class Call:
    """A call of the printing function with a constant format, or one of several that share the call."""

    address: int
    formats: dict[int, str]  # by their addresses
    tail: bool  # a jump, by which the caller ends: the return address is on the stack already


def find_calls(elf: ElfFile, prefixes: Sequence[str], printers: Iterable[str], disassemble: Disassembler) -> list[Call]:
    """The calls of these functions whose format begins with one of the prefixes, by address."""
    targets = {symbol.address for name in printers for symbol in elf.functions(name)}
    formats = dict(_find_formats(elf, prefixes))
    calls: dict[int, Call] = {}
    for load, format_address in _find_loads(elf, formats):
        end = _follow_to_call(load, targets, disassemble)
        if end is not None:
            address, tail = end
            call = calls.setdefault(address, Call(address, {}, tail))
            call.formats[format_address] = formats[format_address]
    return sorted(calls.values(), key=lambda call: call.address)


def formats(elf: ElfFile, prefixes: Sequence[str]) -> set[str]:
    """The formats that begin with one of the prefixes, whoever prints them."""
    return {text for _, text in _find_formats(elf, prefixes)}


def _find_formats(elf: ElfFile, prefixes: Sequence[str]) -> Iterator[tuple[int, str]]:
    starts = re.compile(_LEVEL.pattern + b"(?:" + b"|".join(re.escape(prefix.encode()) for prefix in prefixes) + b")")
    for section in elf.sections:
        if section.address and section.name.startswith((".rodata", ".init.rodata", ".init.data", ".data")):
            for match in starts.finditer(elf.content(section)):
                address = section.address + match.start()
                yield address, strip_level(elf.string(address, _FORMAT_LIMIT))


def _find_loads(elf: ElfFile, wanted: dict[int, str]) -> Iterator[tuple[int, int]]:
    for section in elf.sections:
        if section.executable and section.address:
            yield from _find_section_loads(elf, section, wanted)


def _find_section_loads(elf: ElfFile, section: Section, wanted: dict[int, str]) -> Iterator[tuple[int, int]]:
    content = elf.content(section)
    for load in PROCESSOR.loads:
        for match in load.pattern.finditer(content):
            address = section.address + match.start()
            operand = struct.unpack("<i", match[1])[0]
            target = (operand + (address + load.length if load.relative else 0)) & _MASK64
            if target in wanted:
                yield address, target


def _follow_to_call(load: int, targets: set[int], disassemble: Disassembler) -> tuple[int, bool] | None:
    """The call of a printer that the load leads to, and whether it is a tail call, along straight path and jumps."""
    address, walked = load, 0
    while walked < _WALK_LIMIT:
        for address, length, text in disassemble(address, _PIECE):
            walked += 1
            mnemonic, _, operand = text.partition(" ")
            if mnemonic.startswith(PROCESSOR.call):
                return (address, False) if _target_of(operand) in targets else None
            if mnemonic.startswith(PROCESSOR.jump):
                target = _target_of(operand)
                if target is None or target in targets:
                    return None if target is None else (address, True)
                address = target
                break
            if mnemonic.startswith(PROCESSOR.ends):
                return None
            address += length
    return None


def _target_of(operand: str) -> int | None:
    match = re.match(r"\s*(0x[0-9a-f]+)", operand)
    return int(match[1], 16) if match else None


def strip_level(text: str) -> str:
    """A format without its level mark and its final line break."""
    return re.sub(r"^\x01[0-7c]", "", text).rstrip("\n")


def sample(format_text: str) -> str:
    """A line that the format could print: what a profile's pattern is tried on before the guest runs."""

    def stand_in(match: re.Match[str]) -> str:
        if match["kind"] == "%":
            return "%"
        return "x" if match["kind"] in ("s", "c") else "0" * (match["kind"] in ("x", "X")) + "1"

    return _CONVERSION.sub(stand_in, format_text)


def groups(match: re.Match[str]) -> dict[str, int | str]:
    """What a line's pattern found: whole numbers (decimal, or hexadecimal with 0x) as such, the rest as text."""
    return {name: _number(text) for name, text in match.groupdict().items() if text is not None}


def _number(text: str) -> int | str:
    if re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    is_number = re.fullmatch(r"-?[0-9]{1,20}", text) and -(1 << 63) <= int(text) <= _MASK64
    return int(text) if is_number else text


class Arguments:
    """The variable arguments of a call, in order. Subclasses read the guest."""

    def next(self) -> int:
        """The next 64-bit argument."""
        raise NotImplementedError

    def string(self, address: int) -> str:
        """The C string at an address of the guest."""
        raise NotImplementedError

    def memory(self, address: int, size: int) -> bytes:
        raise NotImplementedError

    def symbol(self, address: int) -> str:
        """The name of the code or data at an address."""
        raise NotImplementedError


def format_line(format_text: str, arguments: Arguments) -> str:
    """What the kernel's vsnprintf makes of the format (lib/vsprintf.c), for the conversions that log lines use."""
    return _CONVERSION.sub(lambda match: _convert(match, arguments), format_text)


def _convert(match: re.Match[str], arguments: Arguments) -> str:
    if match["kind"] == "%":
        return "%"
    width = _signed(arguments.next(), 32) if match["width"] == "*" else int(match["width"] or 0)
    precision = match["precision"]
    places = _signed(arguments.next(), 32) if precision == "*" else None if precision is None else int(precision)
    value = arguments.next()
    if match["kind"] is None:
        return _pointer(match["pointer"], value, width, arguments)
    return _pad(_plain(match, value, places, arguments), match["flags"], width, match["kind"])


def _plain(match: re.Match[str], value: int, places: int | None, arguments: Arguments) -> str:
    kind, flags = match["kind"], match["flags"]
    if kind == "s":
        return arguments.string(value)[:places]
    if kind == "c":
        return chr(value & 0xFF)
    bits = {"hh": 8, "h": 16, None: 32}.get(match["length"], 64)
    if kind in "di":
        number = _signed(value, bits)
        sign = "-" if number < 0 else "+" if "+" in flags else " " if " " in flags else ""
        return sign + str(abs(number)).rjust(places or 0, "0")
    number = value & (1 << bits) - 1
    digits = format(number, {"u": "d"}.get(kind, kind)).rjust(places or 0, "0")
    prefix = {"x": "0x", "X": "0X", "o": "0"}.get(kind, "") if "#" in flags else ""
    return prefix + digits


def _pad(text: str, flags: str, width: int, kind: str) -> str:
    if "-" in flags or width < 0:
        return text.ljust(abs(width))
    if "0" in flags and kind not in "sc":
        lead = re.match(r"[-+ ]?(?:0[xX])?", text)
        sign = lead[0] if lead else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _pointer(extension: str, value: int, width: int, arguments: Arguments) -> str:
    if extension[:1] in ("s", "S", "f", "F", "B"):
        return arguments.symbol(value)
    if extension == "bl":
        return _bit_list(arguments.memory(value, (max(width, 0) + 63) // 64 * 8), width)
    return f"{value:016x}"


def _bit_list(data: bytes, bits: int) -> str:
    """A bitmap as the kernel's %*pbl prints it: "0-3,7"."""
    number = int.from_bytes(data, "little")
    ranges: list[list[int]] = []
    for bit in (bit for bit in range(bits) if number >> bit & 1):
        if ranges and ranges[-1][1] == bit - 1:
            ranges[-1][1] = bit
        else:
            ranges.append([bit, bit])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
