# SPDX-License-Identifier: MIT
"""Which kernel file a static question is about: the one that was named, or the one that GDB has loaded."""

from clockscope.base.errors import UserError


def chosen(given: str | None) -> str:
    """The path of the kernel's ELF file."""
    if given is not None:
        return given
    try:
        from clockscope.gdbside import symbols
    except ModuleNotFoundError as error:
        if error.name != "gdb":
            raise
        raise UserError("no kernel was named: give its ELF file before the name") from None
    path = symbols.symbol_file()
    if path is None:
        raise UserError("GDB has no symbol file: load the kernel with `file vmlinux`, or name it before the variable")
    return path
