# SPDX-License-Identifier: MIT
"""The little that recording needs of an ELF file: sections, symbols, build id, bytes. No DWARF.

The layout is that of the System V ABI ("Object Files") and its x86-64 supplement. The file is mapped, not read:
a kernel's debug ELF has hundreds of megabytes, of which only the text is looked at here; symbols are the core's.
"""

import fnmatch
import functools
import mmap
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clockscope._core import Analyser, disassemble
from clockscope.base.errors import UserError

_EM_X86_64 = 62
_ET_REL = 1
_LONGEST = 15  # bytes of an instruction
_SHT_SYMTAB, _SHT_NOTE, _SHT_NOBITS = 2, 7, 8
_SHF_EXECINSTR = 4
_PT_LOAD = 1
_STT_OBJECT, _STT_FUNC = 1, 2
_NT_GNU_BUILD_ID = 3

# What compilers append to a function of which they made a variant; ".cold" is a part, not an entry.
# Linux names the padding before a function (CONFIG_CALL_PADDING) as a function of its own.
_PADDING = "__pfx_"
_VARIANT = re.compile(r"\.(?:isra|constprop|part|llvm)\.\d+")


@dataclass(frozen=True)
class Section:
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int

    @property
    def executable(self) -> bool:
        return bool(self.flags & _SHF_EXECINSTR)


@dataclass(frozen=True)
class Segment:
    offset: int
    address: int
    physical: int
    size: int


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int
    size: int  # 0: not asked for

    @property
    def base_name(self) -> str:
        return base_name(self.name)


def base_name(name: str) -> str:
    """A function's name without the compiler's suffixes for variants and parts."""
    return _VARIANT.sub("", name).removesuffix(".cold") if "." in name else name


def build_id_of(notes: bytes) -> str:
    """The GNU build id in a note section's bytes, as hex; empty where there is none."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12 : at + 12 + name_size]
        start = at + 12 + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and name == b"GNU\0" and start + size <= len(notes):
            return notes[start : start + size].hex()
        at = start + (size + 3 & ~3)
    return ""


class ElfFile:
    """A 64-bit little-endian x86 ELF file, mapped read-only."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as an ELF file: {error}") from error
        self._check_header()
        try:
            self.segments = list(self._read_segments())
            self.sections = list(self._read_sections())
        except (struct.error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: the ELF headers are damaged ({error}); use an intact file") from error

    def _check_header(self) -> None:
        if self.data[:4] != b"\x7fELF" or len(self.data) < 64:
            raise UserError(f"{self.path}: not an ELF file; load your kernel's debug ELF (vmlinux) with `file`")
        kind, machine = struct.unpack_from("<HH", self.data, 16)
        if self.data[4] != 2 or self.data[5] != 1 or machine != _EM_X86_64:
            raise UserError(f"{self.path}: not a 64-bit x86 ELF file (machine {machine}); only x86-64 guests are known")
        if kind == _ET_REL:
            raise UserError(
                f"{self.path}: an object file that is not linked yet, as modules (.ko) are: nothing in it has an address;"
                " load the kernel's own ELF with `file vmlinux`"
            )

    def _read_segments(self) -> Iterator[Segment]:
        start, size, count = struct.unpack_from("<Q", self.data, 32)[0], *struct.unpack_from("<HH", self.data, 54)
        for index in range(count):
            kind, _flags, offset, address, physical, file_size = struct.unpack_from(
                "<IIQQQQ", self.data, start + index * size
            )
            if kind == _PT_LOAD:
                yield Segment(offset, address, physical, file_size)

    def _read_sections(self) -> Iterator[Section]:
        start = struct.unpack_from("<Q", self.data, 40)[0]
        size, count, names_index = struct.unpack_from("<HHH", self.data, 58)
        headers = [struct.unpack_from("<IIQQQQ", self.data, start + index * size) for index in range(count)]
        names = headers[names_index][4] if names_index < count else 0
        for name, kind, flags, address, offset, length in headers:
            yield Section(self._text_at(names + name), kind, flags, address, offset, length)

    def _text_at(self, offset: int) -> str:
        end = self.data.find(b"\0", offset, offset + 4096)
        return self.data[offset:end].decode("utf-8", "replace") if end >= 0 else ""

    def section(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    @functools.cached_property
    def build_id(self) -> str:
        """The GNU build id as hex; empty where the file has none."""
        notes = (section for section in self.sections if section.kind == _SHT_NOTE)
        ids = (build_id_of(self.data[note.offset : note.offset + note.size]) for note in notes)
        return next((found for found in ids if found), "")

    @functools.cached_property
    def build_id_notes(self) -> Section | None:
        """The loaded section that holds the build id: where the guest's own memory has it too."""
        for section in self.sections:
            if section.kind == _SHT_NOTE and section.address:
                if build_id_of(self.data[section.offset : section.offset + section.size]):
                    return section
        return None

    @property
    def stripped(self) -> bool:
        return not any(section.kind == _SHT_SYMTAB for section in self.sections)

    @functools.cached_property
    def analyser(self) -> Analyser:
        return Analyser(self.path)

    def find(self, name: str) -> int | None:
        """The address of the function or variable of this name; of several, the first."""
        return next(iter(self.analyser.find(name)), None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @functools.cached_property
    def _entries(self) -> list[tuple[str, int, int]]:
        return self.analyser.functions()

    @functools.cached_property
    def _variants(self) -> dict[str, list[Symbol]]:
        """What compilers made of functions, by base name; not the parts that they split off as cold."""
        found: dict[str, list[Symbol]] = {}
        for name, address, size in self._entries:
            if "." in name and not name.endswith(".cold"):
                found.setdefault(base_name(name), []).append(Symbol(name, address, size))
        return found

    def all_functions(self) -> Iterator[Symbol]:
        """Every function, by address."""
        return (Symbol(*entry) for entry in self._entries if not entry[0].startswith(_PADDING))

    def names(self, *, functions: bool) -> list[str]:
        """The names of all functions, or of all variables, in order; fast, for one who waits while he types."""
        table, texts = self.section(".symtab"), self.section(".strtab")
        if table is None or texts is None:
            return []
        kind = _STT_FUNC if functions else _STT_OBJECT
        symbols = self.data[table.offset : table.offset + table.size // 24 * 24]
        found = {name for name, info, *_ in struct.iter_unpack("<IBBHQQ", symbols) if info & 15 == kind}
        read = (base_name(self._text_at(texts.offset + name)) for name in found)
        return sorted({name for name in read if not name.startswith(_PADDING)})

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
        variants = self._variants.get(name, [])
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

    def in_window(
        self,
        address: int,
        references: Sequence[int] = (),
        measuring: Sequence[int] = (),
        pointees: Sequence[int] = (),
    ) -> bool:
        """Whether a stop at the instruction that holds an address falls into a timing window of its function."""
        return self.analyser.in_window(address, references, measuring, pointees)

    def function_start(self, address: int) -> int | None:
        """Where the function, or the part of one, begins that holds an address."""
        name = self.analyser.symbol_at(address)
        starts = [start for start in self.analyser.find(name) if start <= address] if name else []
        return max(starts, default=None)

    def read(self, address: int, size: int) -> bytes:
        """File bytes at a virtual address; short or empty where no section holds them."""
        for section in self.sections:
            if section.address and section.kind != _SHT_NOBITS:
                if section.address <= address < section.address + section.size:
                    at = section.offset + address - section.address
                    return self.data[at : at + min(size, section.address + section.size - address)]
        return b""

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
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.physical
        return None
