# SPDX-License-Identifier: MIT
"""A kernel's ELF file as recording looks at it. The core reads it, and maps it: a kernel's debug ELF has hundreds of
megabytes, of which only the text is looked at here. No DWARF.
"""

import fnmatch
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from clockscope._core import Analyser, Error, base_name, disassemble
from clockscope.base.errors import UserError

_LONGEST = 15  # bytes of an instruction

# Linux names the padding before a function (CONFIG_CALL_PADDING) as a function of its own.
_PADDING = "__pfx_"


@dataclass(frozen=True)
class Section:
    """One that is loaded."""

    name: str
    address: int
    size: int
    executable: bool


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int
    size: int  # 0: not asked for

    @property
    def base_name(self) -> str:
        return base_name(self.name)


class ElfFile:
    """A kernel's, or a program's, ELF file: 64-bit, x86."""

    def __init__(self, path: str) -> None:
        """UserError: what the file is instead."""
        self.path = path
        try:
            self.analyser = Analyser(path)
        except Error as error:
            raise UserError(str(error)) from error

    @functools.cached_property
    def sections(self) -> list[Section]:
        """Those that are loaded, by address."""
        return [Section(*section) for section in self.analyser.sections]

    def section(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def has_section(self, name: str) -> bool:
        """Whether there is one of that name, loaded or not."""
        return self.analyser.has_section(name)

    def content(self, section: Section) -> bytes:
        """A section's bytes; empty where it has none in the file."""
        return self.read(section.address, section.size)

    @property
    def build_id(self) -> str:
        """The GNU build id as hex; empty where the file has none."""
        return self.analyser.build_id

    @property
    def stripped(self) -> bool:
        return self.analyser.stripped

    def find(self, name: str) -> int | None:
        """The address of the function or variable of this name; of several, the first."""
        return next(iter(self.analyser.find(name)), None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @functools.cached_property
    def _entries(self) -> list[tuple[str, int, int]]:
        return self.analyser.functions()

    def all_functions(self) -> Iterator[Symbol]:
        """Every function, by address."""
        return (Symbol(*entry) for entry in self._entries if not entry[0].startswith(_PADDING))

    def names(self, *, functions: bool) -> list[str]:
        """The names of all functions, or of all variables, in order; fast, for one who waits while he types."""
        return sorted(name for name in self.analyser.names(functions) if not name.startswith(_PADDING))

    def functions(self, pattern: str, *, parts: bool = False) -> list[Symbol]:
        """Functions of this name, or whose names the shell pattern matches; each address once.

        A `.part` is a piece of its function and counts only where the function itself is not to be found, unless the
        `parts` are wanted too.
        """
        if any(letter in pattern for letter in "*?["):
            every = {base_name(symbol.name) for symbol in self.all_functions()}
            names = sorted(name for name in every if fnmatch.fnmatchcase(name, pattern))
        else:
            names = [pattern]
        return [symbol for name in names for symbol in self._named(name, parts)]

    def _named(self, name: str, parts: bool) -> list[Symbol]:
        found = {address: Symbol(name, address, 0) for address in self.analyser.find(name)}
        variants = [Symbol(*variant) for variant in self.analyser.variants(name)]
        whole = [symbol for symbol in variants if ".part." not in symbol.name]
        for symbol in variants if parts else whole or ([] if found else variants):
            found.setdefault(symbol.address, symbol)
        return list(found.values())

    def function_at(self, address: int) -> str:
        """The base name of the function that holds an address, `.cold` part or not; empty where there is none."""
        return base_name(self.analyser.symbol_at(address))

    def in_cold_part(self, address: int) -> bool:
        """Whether an address lies in what the compiler moved out of its function, as seldom needed."""
        return ".cold" in self.analyser.symbol_at(address)

    def function_start(self, address: int) -> int | None:
        """Where the function, or the part of one, begins that holds an address."""
        return self.analyser.start_of(address)

    def read(self, address: int, size: int) -> bytes:
        """File bytes at a virtual address; short or empty where no section holds them."""
        return self.analyser.read(address, size)

    def disassemble(self, address: int, count: int) -> list[tuple[int, int, str]]:
        """Instructions of the file's text, as (address, length, text): fewer where it ends, or holds none. GDB would read
        them where the kernel runs."""
        return disassemble(self.read(address, count * _LONGEST), address)[:count]

    def instruction_before(self, address: int) -> int | None:
        """Where the instruction begins that ends at an address, as the function is decoded from its start."""
        start = self.function_start(address - 1)
        found = disassemble(self.read(start, address - start), start) if start is not None else []
        return found[-1][0] if found and found[-1][0] + found[-1][1] == address else None

    def string(self, address: int, limit: int = 1024) -> str:
        """The C string at a virtual address; bytes that are no UTF-8 become replacement characters."""
        return self.read(address, limit).split(b"\0", 1)[0].decode("utf-8", "replace")

    def physical(self, address: int) -> int | None:
        """Where the loader puts a virtual address in physical memory."""
        return self.analyser.physical(address)
