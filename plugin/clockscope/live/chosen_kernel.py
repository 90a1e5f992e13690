# SPDX-License-Identifier: MIT
"""Which kernel file a static question is about: the one that was named, or the one that GDB has loaded."""

from clockscope.base.errors import UserError


_MAGIC = b"\x7fELF"


def chosen(given: str | None, kind: str, name: str) -> str:
    """The path of the kernel's ELF file. `name`: what is asked about, a variable or a function as `kind` says."""
    if given is not None:
        return given
    if _is_elf(name):
        raise UserError(f"no {kind} was named: give its name after {name}")
    try:
        from clockscope.gdbside import symbols
    except ModuleNotFoundError as error:
        if error.name != "gdb":
            raise
        raise UserError("no kernel was named: give its ELF file before the name") from None
    path = symbols.symbol_file()
    if path is None:
        raise UserError(f"GDB has no symbol file: load the kernel with `file vmlinux`, or name it before the {kind}")
    return path


def _is_elf(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False
