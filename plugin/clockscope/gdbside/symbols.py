# SPDX-License-Identifier: MIT
"""What GDB knows of a symbol file: names, lines, source, instructions."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import os
import re
import shlex
from collections.abc import Iterable, Iterator

import gdb

from clockscope.gdbside.console import ask, setting
from clockscope.gdbside.memory import MASK64


_moved: dict[str, int] = {}  # how far symbol files' code lies from where they say


def symbol_at(address: int) -> str:
    """The symbol that holds an address, as the kernel's %pS prints it."""
    text = gdb.execute(f"info symbol {address:#x}", to_string=True).split()
    if text[:2] == ["No", "symbol"] or not text:
        return f"{address:#x}"
    return f"{text[0]}+{int(text[2]):#x}" if text[1:2] == ["+"] else text[0]


def statements(file: str, line: int) -> list[int]:
    """Where the code of a source line begins, in whatever function; empty where the line has none."""
    try:
        positions = gdb.decode_line(f"'{file}':{line}")[1]
    except gdb.error:
        return []
    return [position.pc for position in positions or () if position.line == line]


def symbol_file() -> str | None:
    """The file whose symbols GDB has, the program's or the kernel's; not one that it reads through the stub."""
    files = [file.filename for file in gdb.objfiles() if file.filename and os.path.isfile(file.filename)]
    path: str | None = gdb.current_progspace().filename
    if path is None or path.startswith("target:"):
        return files[0] if files else None
    return path


def read_symbols_again(path: str) -> None:
    """Forget all that was read of a symbol file, and read it anew; the user's breakpoints stay."""
    enabled = [breakpoint for breakpoint in gdb.breakpoints() if breakpoint.enabled]
    ask("file")  # GDB keeps what it read of a file for as long as anything uses it
    ask(f"file {shlex.quote(path)}")
    for breakpoint in enabled:
        breakpoint.enabled = True  # without symbols GDB disabled those that it could not place


def move_symbols(path: str, offset: int) -> None:
    """Have GDB take a symbol file's code and data to lie so much further than the file says; the user's breakpoints move
    too. GDB reads the file anew."""
    enabled = [breakpoint for breakpoint in gdb.breakpoints() if breakpoint.enabled]
    with setting("confirm", "off"):
        ask(f"symbol-file {shlex.quote(path)} -o {offset:#x}")
    _moved[path] = offset
    for breakpoint in enabled:
        breakpoint.enabled = True


def inlined_copies(name: str) -> list[int]:
    """Where a function's inlined copies begin; empty where GDB knows none."""
    try:
        positions = gdb.decode_line(name)[1]
    except gdb.error:
        return []
    return [position.pc for position in positions or ()]


def warm_up(addresses: Iterable[int], functions: Iterable[str], variables: Iterable[str]) -> None:
    """Have GDB read the debug information of what will be asked for, so that no stop waits for it."""
    for address in addresses:
        gdb.block_for_pc(address)
        gdb.find_pc_line(address)
    for text in functions:
        inlined_copies(text)
    for text in variables:
        try:
            gdb.parse_and_eval(f"&{text}")
        except gdb.error:  # no such variable in the debug information
            continue


def address_of(symbol: str) -> int | None:
    """Where GDB takes a function or variable to be."""
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&'{symbol}'")) & MASK64
    except gdb.error:
        return None


def source_file(file: str, address: int) -> str | None:
    """The file on this machine that a line table calls `file`, by GDB's own search (`set substitute-path`).

    `address`: one that the line table places in it, the symbol file's own. Of an address between functions that were
    inlined into each other GDB may name another file than libdw does; the text of that file's line would be another's.
    """
    address += _moved.get(symbol_file() or "", 0)
    found = (symtab for symtab in _symtabs(file, address) if _same_file(symtab.filename, file))
    path = next((symtab.fullname() for symtab in found), "")
    return path if path and os.path.exists(path) else None


def _symtabs(file: str, address: int) -> Iterator[gdb.Symtab]:
    """What may be that file: the address's own, those of the functions inlined into each other there, and all so named."""
    here = gdb.find_pc_line(address).symtab
    if here is not None:
        yield here
    block = gdb.block_for_pc(address)
    while block is not None:
        if block.function is not None:
            yield block.function.symtab
        block = block.superblock
    if not re.fullmatch(r"[\w./+,~-]+", file):
        return  # an ELF's names are not trusted, and this one would be read as something else
    try:
        places = gdb.decode_line(f"{file}:1")[1] or ()
    except gdb.error:
        return
    yield from (place.symtab for place in places if place.symtab is not None)


def _same_file(one: str, other: str) -> bool:
    """Whether two names, each as some reader of DWARF puts folder and file together, are of one file."""
    a, b = sorted((os.path.normpath(one), os.path.normpath(other)), key=len)
    return a == b or b.endswith(f"/{a}")
