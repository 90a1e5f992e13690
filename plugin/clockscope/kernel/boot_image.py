# SPDX-License-Identifier: MIT
"""What a guest is started with (QEMU's -kernel) against the symbols that were loaded: a bzImage, or an ELF file.

The layout of a bzImage is that of Linux's Documentation/arch/x86/boot.rst: the setup header begins at 0x1f1, "HdrS" stands
at 0x202.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Protocol

from clockscope.base.errors import UserError
from clockscope.kernel.elffile import ElfFile

_MAGIC = 0x202
_BANNER = "linux_banner"
_BANNER_START = "Linux version "
_KERNELS_OWN = "__ksymtab"  # a section that only Linux has
_UNPACKED_MAX = 256 << 20
_READ_MAX = 256 << 20
# A note of type NT_GNU_BUILD_ID with 20 bytes of description.
_NOTE = struct.pack("<III", 4, 20, 3) + b"GNU\0"


class _Unpacker(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        ...


_PACKERS: dict[bytes, Callable[[], _Unpacker]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\0\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
}


def check(path: str, elf: ElfFile) -> None:
    """UserError where a file that a guest is started with is surely another kernel than the symbols'. What it is not
    known of, such as a hypervisor, says nothing."""
    try:
        head = _head(path)
    except UserError:
        return  # QEMU, which has read it, may have had another working directory
    if head[:4] == b"\x7fELF":
        _check_elf(path, elf)
    elif head[_MAGIC : _MAGIC + 4] == b"HdrS":
        _check_image(path, head, elf)


def readable(path: str) -> None:
    """UserError where there is no such file, or it cannot be read."""
    _head(path)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise UserError(f"-kernel {path}: {error.strerror}; name the kernel to boot (bzImage or vmlinux)") from error


def mismatch(guest: str, elf: ElfFile, file: str) -> UserError:
    return UserError(
        f"your guest runs another kernel ({guest}) than {elf.path} ({file}): load its own with `file vmlinux`"
    )


def _check_elf(path: str, elf: ElfFile) -> None:
    try:
        other = ElfFile(path)
    except UserError:
        return  # a 32-bit one, for a multiboot loader
    alike = other.has_section(_KERNELS_OWN) == elf.has_section(_KERNELS_OWN)
    if alike and other.build_id and elf.build_id and other.build_id != elf.build_id:
        raise mismatch(f"{path}, build id {other.build_id[:12]}", elf, f"build id {elf.build_id[:12]}")


def _check_image(path: str, head: bytes, elf: ElfFile) -> None:
    address = elf.find(_BANNER)
    banner = elf.string(address).strip() if address is not None else ""
    version = version_of(head)
    if not banner or not version:
        return
    if not _is_of(version, banner):
        raise mismatch(f"{path}, {_short(version)}", elf, _short(banner.removeprefix(_BANNER_START)))
    if elf.build_id and _holds(path, head, bytes.fromhex(elf.build_id)) is False:
        raise mismatch(f"{path}, {_short(version)}, of another build", elf, f"build id {elf.build_id[:12]}")


def version_of(head: bytes) -> str:
    """A bzImage's own version, "RELEASE (WHO@WHERE) #1 SMP …"; empty where its header has none."""
    (pointer,) = struct.unpack_from("<H", head, 0x20E)
    text = head[0x200 + pointer :].split(b"\0", 1)[0] if pointer else b""
    return text.decode("utf-8", "replace").strip() if len(text) < 1024 else ""


def _short(version: str) -> str:
    """A version without those who made it, and their compiler."""
    release, number = version.partition(" ")[0], version.rfind(" #")
    return release + (version[number:] if number >= 0 else "")


def _is_of(version: str, banner: str) -> bool:
    """Whether a banner, "Linux version RELEASE (WHO@WHERE) (COMPILER) #1 SMP …", is of the same version."""
    start, bracket, rest = version.partition(") ")
    return banner.startswith(_BANNER_START + start + bracket) and banner.endswith(" " + rest)


def _holds(path: str, head: bytes, build_id: bytes) -> bool | None:
    """Whether the kernel in a bzImage has a build id; None where it cannot be unpacked here (LZ4, Zstandard)."""
    if len(build_id) != 20:
        return None
    sectors = head[0x1F1] or 4
    offset, size = struct.unpack_from("<II", head, 0x248)
    with open(path, "rb") as file:
        file.seek((sectors + 1) * 512 + offset)
        packed = file.read(min(size, _READ_MAX))
    make = next((make for magic, make in _PACKERS.items() if packed.startswith(magic)), None)
    if make is None:
        return None
    try:
        unpacked = make().decompress(packed, _UNPACKED_MAX)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):
        return None  # damaged: the guest will say so
    return _NOTE + build_id in unpacked if _NOTE in unpacked else None
