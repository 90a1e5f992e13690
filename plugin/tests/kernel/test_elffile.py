# SPDX-License-Identifier: MIT
"""The kernel's ELF file as recording looks at it: what the core reads of it, and what is said of one that it cannot."""

from pathlib import Path

import pytest
from clockscope._core import base_name, build_id_in
from clockscope.base.errors import UserError
from clockscope.kernel.elffile import ElfFile
from guest import Machine

TRUE = Path("/bin/true")


@pytest.fixture(scope="module")
def kernel() -> ElfFile:
    return ElfFile(str(Machine().vmlinux))


def test_symbols(kernel: ElfFile) -> None:
    address = kernel.find("tsc_init")
    assert address is not None and "tsc_init" in kernel and "no_such_function" not in kernel
    assert kernel.function_start(address + 3) == address and kernel.function_at(address + 3) == "tsc_init"
    assert kernel.function_start(0xDEAD << 40) is None and kernel.function_at(0xDEAD << 40) == ""
    assert [symbol.address for symbol in kernel.functions("tsc_in[i]t")] == [address]


def test_names(kernel: ElfFile) -> None:
    functions, variables = kernel.names(functions=True), kernel.names(functions=False)
    assert functions == sorted(set(functions)) and not [name for name in functions if name.endswith(".cold")]
    assert "tsc_refine_calibration_work" in functions and "tsc_khz" not in functions
    assert "tsc_khz" in variables and "tsc_init" not in variables


def test_variants(kernel: ElfFile) -> None:
    """What compilers made of a function is found by its name; a part that they split off as cold is no entry."""
    names = {symbol.name for symbol in kernel.functions("*", parts=True) if "." in symbol.name}
    assert any(".isra." in name or ".constprop." in name for name in names)
    assert not [name for name in names if ".cold" in name]
    assert base_name("f.isra.0.cold") == "f" and base_name("f.c") == "f.c"


def test_sections_and_bytes(kernel: ElfFile) -> None:
    text = kernel.section(".text")
    assert text is not None and text.executable and len(kernel.content(text)) == text.size
    assert kernel.section(".debug_info") is None and kernel.has_section(".debug_info")
    assert len(kernel.read(text.address + text.size - 1, 16)) == 1
    assert kernel.read(0xDEAD << 40, 16) == b""
    assert kernel.physical(text.address) == text.address & 0x3FFFFFFF and kernel.physical(0xDEAD << 40) is None


def test_build_id(kernel: ElfFile) -> None:
    notes = kernel.analyser.build_id_notes
    assert notes is not None and len(kernel.build_id) == 40
    assert build_id_in(kernel.read(*notes)) == kernel.build_id
    assert build_id_in(b"") == build_id_in(b"\xff" * 40) == ""


def test_stripped(kernel: ElfFile) -> None:
    assert ElfFile(str(TRUE)).stripped and not kernel.stripped


DAMAGE = [
    (4, b"\x01", "a 32-bit ELF file"),
    (18, b"\xb7\x00", "built for aarch64"),
    (40, b"\xff" * 8, "section headers lie beyond the end"),
    (40, bytes(8), "has no section headers"),
    (60, b"\xff\xff", "section headers lie beyond the end"),
]


@pytest.mark.parametrize(("offset", "value", "said"), DAMAGE)
def test_damaged(tmp_path: Path, offset: int, value: bytes, said: str) -> None:
    data = bytearray(TRUE.read_bytes())
    data[offset : offset + len(value)] = value
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(UserError, match=said) as raised:
        ElfFile(str(path))
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_damaged_segments(tmp_path: Path) -> None:
    """Where program headers lie beyond the end there are none."""
    data = bytearray(TRUE.read_bytes())
    data[32:40] = b"\xff" * 8
    path = tmp_path / "damaged"
    path.write_bytes(data)
    assert ElfFile(str(path)).physical(0) is None


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: cannot be opened"):
        ElfFile(str(tmp_path / "nowhere"))
