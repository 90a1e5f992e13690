# SPDX-License-Identifier: MIT
"""Expressions and what they come to; setting them."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import gdb

from clockscope.gdbside.memory import MASK64, read_string
from clockscope.gdbside.symbols import symbol_at

Value = int | str | None
"""What a captured expression comes to; None where the guest cannot tell."""

Variable: TypeAlias = "gdb.Value | int | str | None"
"""What a convenience variable may hold; None for nothing."""

Type = gdb.Type

_INTEGERS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_RANGE)


def plain_value(value: gdb.Value) -> Value:
    """A value as the trace keeps it."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_VOID or value.is_optimized_out:
        return None
    if kind.code in _INTEGERS:
        return int(value)
    if kind.code == gdb.TYPE_CODE_PTR:
        return _pointer(int(value), kind.target().strip_typedefs())
    if kind.code == gdb.TYPE_CODE_ARRAY and kind.target().strip_typedefs().sizeof == 1:
        return str(value.string(errors="replace"))
    return str(value.format_string(styling=False))


def _pointer(address: int, target: gdb.Type) -> Value:
    if target.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR) and target.sizeof == 1:
        return read_string(address) if address else None
    if target.code == gdb.TYPE_CODE_FUNC:
        return symbol_at(address) if address else None
    return address & MASK64


@contextmanager
def variables(values: Mapping[str, Variable]) -> Iterator[None]:
    """Convenience variables for the time of a block."""
    for name, value in values.items():
        gdb.set_convenience_variable(name, value)
    try:
        yield
    finally:
        for name in values:
            gdb.set_convenience_variable(name, None)


def type_of(expression: str, size: int) -> gdb.Type | None:
    """The type of an expression that has so many bytes; None where GDB does not know it."""
    try:
        found = gdb.parse_and_eval(expression).type
    except gdb.error:
        return None
    return found if found.sizeof == size else None


def value_of(data: bytes, kind: gdb.Type | None) -> Value:
    """Bytes of the guest as a value of a type, a number without one; a pointer to what has a symbol is that symbol."""
    if not data:
        return None
    plain = int.from_bytes(data, "little") if kind is None else plain_value(gdb.Value(data, kind))
    pointer = kind.strip_typedefs().code == gdb.TYPE_CODE_PTR if kind is not None else len(data) == 8
    # Kernels live in the upper half: what lies in the lower one is a number.
    return symbol_at(plain) if pointer and isinstance(plain, int) and plain >> 63 == 1 else plain


def number_of(expression: str) -> int:
    """What an expression comes to before the guest runs, as 64 bits; Error says why it is no number."""
    value = gdb.parse_and_eval(expression)
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_VOID:
        raise gdb.error(f"{expression} has no value")
    return int(value) & MASK64


_NAMES = re.compile(r"""(?<![\w$.])(?<!->)(?P<name>[A-Za-z_]\w*)|\$(?P<register>\w+)|"[^"]*"|'[^']*'""")
_KEYWORDS = frozenset(
    "char short int long signed unsigned float double void struct union enum const sizeof _Bool".split()
)


def check_assignment(address: int, expression: str, value: str, known: Callable[[str], bool]) -> None:
    """Error where `expression = value` could not be carried out at an address. `known` tells the names of symbols.

    GDB reads all of a kernel's debug information, for half a minute, to learn that it does not know a name.
    """
    local = _names_at(address)
    for match in _NAMES.finditer(f"{expression} {value}"):
        name, register = match["name"], match["register"]
        if name and name not in local and name not in _KEYWORDS and not known(name):
            raise gdb.error(f"there is no variable {name} at {address:#x}, nor a symbol of that name")
        if register and not _is_register(register) and gdb.convenience_variable(register) is None:
            raise gdb.error(f"there is no register ${register}")
    probe = gdb.Breakpoint(f"*{address:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
    try:
        probe.enabled = False
        probe.condition = f"({expression}) = ({value})"  # parsed where it would be evaluated
    finally:
        probe.delete()


def are_known(expression: str, known: Callable[[str], bool]) -> bool:
    """Whether all names in an expression are the kernel's: GDB takes half a minute to learn that it does not know one."""
    names = (match["name"] for match in _NAMES.finditer(expression) if match["name"])
    return all(name in _KEYWORDS or known(name) for name in names)


def _is_register(name: str) -> bool:
    try:
        gdb.newest_frame().read_register(name)
    except ValueError:
        return False
    return True


def _names_at(address: int) -> set[str]:
    """The names of all symbols that can be seen from an address without looking into other units."""
    names: set[str] = set()
    block = gdb.block_for_pc(address)
    while block is not None:
        names.update(symbol.name for symbol in block)
        block = block.superblock
    return names


def assign(expression: str, value: str) -> tuple[str, str]:
    """Set what an expression names, in the innermost frame; what it was and is. Error where that cannot be done."""
    gdb.newest_frame().select()
    before = _shown(gdb.parse_and_eval(expression))
    gdb.parse_and_eval(f"({expression}) = ({value})")
    gdb.newest_frame().select()
    return before, _shown(gdb.parse_and_eval(expression))


def _shown(value: gdb.Value) -> str:
    plain = plain_value(value)
    return "optimized out" if plain is None else str(plain)


def evaluate(expression: str) -> Value:
    """An expression without a frame; None where it cannot be read."""
    try:
        return plain_value(gdb.parse_and_eval(expression))
    except gdb.error:
        return None
