# SPDX-License-Identifier: MIT
"""What a guest is started with against the symbols that are loaded, before anything starts."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from clockscope.base.errors import UserError
from clockscope.kernel import boot_image
from clockscope.kernel.elffile import ElfFile

VERSION = "6.1.0-x (who@where) #1 SMP Debian (2026-11-16)"
BANNER = "Linux version 6.1.0-x (who@where) (gcc (Debian) 12, GNU ld 2.40) #1 SMP Debian (2026-11-16)\\n"
SOURCE = """
.section .rodata, "a"
.globl linux_banner
.type linux_banner, @object
linux_banner: .asciz "%s"
.size linux_banner, . - linux_banner
.section __ksymtab, "a"
.long 0
"""


def make_elf(directory: Path, banner: str = BANNER, build: str = "11" * 20) -> ElfFile:
    source, program = directory / f"{build}.s", directory / f"{build}.elf"
    source.write_text(SOURCE % banner)
    flags = ["-nostdlib", "-static", f"-Wl,--build-id=0x{build}", "-Wl,-e,0"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True, capture_output=True)
    return ElfFile(str(program))


def make_image(directory: Path, version: str = VERSION, payload: bytes = b"") -> str:
    """A bzImage as far as its setup header."""
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x20E, 0x100 if version else 0)
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    head[0x300 : 0x300 + len(version)] = version.encode()
    path = directory / "bzImage"
    path.write_bytes(bytes(head) + bytes(16) + payload)
    return str(path)


def note(build: str) -> bytes:
    return b"text" + struct.pack("<III", 4, 20, 3) + b"GNU\0" + bytes.fromhex(build) + b"more"


def test_its_own_image(tmp_path: Path) -> None:
    elf = make_elf(tmp_path)
    boot_image.check(make_image(tmp_path), elf)
    boot_image.check(make_image(tmp_path, ""), elf)
    boot_image.check(elf.path, elf)


@pytest.mark.parametrize(
    "version",
    [
        VERSION.replace("6.1.0-x", "6.1.0-y"),
        VERSION.replace("6.1.0-x", "6.1.0-x-rt"),
        VERSION.replace("#1", "#11"),
        VERSION.replace("who", "me"),
    ],
)
def test_the_image_of_another_kernel(tmp_path: Path, version: str) -> None:
    with pytest.raises(UserError, match=r"your guest runs another kernel \(.*bzImage, 6\.1\.0-\S+ #\d+ SMP Debian"):
        boot_image.check(make_image(tmp_path, version), make_elf(tmp_path))


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)],
    ids=["gzip", "bzip2", "xz", "lzma"],
)
def test_another_build_of_the_same_version(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    elf = make_elf(tmp_path)
    boot_image.check(make_image(tmp_path, payload=pack(note("22" * 20) + note("11" * 20))), elf)
    with pytest.raises(UserError, match="of another build"):
        boot_image.check(make_image(tmp_path, payload=pack(note("22" * 20))), elf)


@pytest.mark.parametrize("payload", [b"\x02\x21\x4c\x18 lz4", b"\x1f\x8bnothing", gzip.compress(b"x" * 99)[:-20]])
def test_what_cannot_be_unpacked_says_nothing(tmp_path: Path, payload: bytes) -> None:
    boot_image.check(make_image(tmp_path, payload=payload), make_elf(tmp_path))


def test_files_that_are_no_kernels_say_nothing(tmp_path: Path) -> None:
    elf = make_elf(tmp_path)
    for content in (b"", b"MZ", b"\x7fELF", bytes(0x206), b"x" * 4096):
        (tmp_path / "file").write_bytes(content)
        boot_image.check(str(tmp_path / "file"), elf)
    boot_image.check(str(tmp_path / "none"), elf)


def test_elf_files(tmp_path: Path) -> None:
    elf, other = make_elf(tmp_path), make_elf(tmp_path, build="33" * 20)
    with pytest.raises(UserError, match="another kernel .* build id 333333333333"):
        boot_image.check(other.path, elf)
    hypervisor = tmp_path / "xen"
    subprocess.run(["objcopy", "--remove-section=__ksymtab", other.path, hypervisor], check=True)
    boot_image.check(str(hypervisor), elf)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match=f"-kernel {path}: "):
            boot_image.readable(str(path))


def test_objects_that_are_not_linked(tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text("nop")
    subprocess.run(["gcc", "-c", "-o", tmp_path / "a.ko", tmp_path / "a.s"], check=True)
    with pytest.raises(UserError, match="not linked yet, as modules"):
        ElfFile(str(tmp_path / "a.ko"))
