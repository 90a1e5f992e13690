# SPDX-License-Identifier: MIT
"""Is the kernel in the guest's memory the one whose symbols were loaded?"""

from collections.abc import Callable

from clockscope._core import Error, Relay, build_id_in
from clockscope.kernel import boot_image
from clockscope.kernel.elffile import ElfFile
from clockscope.base.errors import UserError
from clockscope.profiles.profile import Profile


class KernelCheck:
    """Compares the build id, or else the banner, as soon as the guest's memory has them."""

    def __init__(self, elf: ElfFile, offset: int, profile: Profile | None, relay: Relay) -> None:
        self._elf = elf
        self._offset = offset
        self._profile = profile
        self._relay = relay
        self._known = False

    @property
    def early(self) -> int | None:
        """Where to check again, once the guest gets there; None where that is known already, or cannot be."""
        return None if self._known else self.start

    @property
    def start(self) -> int | None:
        """The profile's early function, where a boot of this kernel begins; None where there is none."""
        names = self._profile.early if self._profile else ()
        found = (symbol.address for name in names for symbol in self._elf.functions(name))
        return next(found, None)

    @property
    def known(self) -> bool:
        """Whether the kernel was there once."""
        return self._known

    def now(self) -> None:
        """UserError where the guest's memory holds another kernel.

        Memory that cannot be read says nothing: the kernel has not mapped itself yet. Once it has, what the
        file says of itself must be there.
        """
        if not self._known:
            self._known = self._compare_build_id() or self._compare_banner()

    def _compare_build_id(self) -> bool:
        notes = self._elf.analyser.build_id_notes
        memory = self._read(*notes) if notes is not None else b""
        if not memory:
            return False
        found = build_id_in(memory)
        if found != self._elf.build_id:
            there = f"build id {found[:12]}" if found else "no build id in its place"
            raise self._mismatch(there, f"build id {self._elf.build_id[:12]}")
        return True

    def _compare_banner(self) -> bool:
        name = self._profile.banner if self._profile else None
        address = self._elf.find(name) if name else None
        expected = self._elf.string(address) if address is not None else ""
        memory = self._read(address, len(expected.encode())) if address is not None and expected else b""
        if not memory:
            return False
        found = memory.decode("utf-8", "replace")
        if found != expected:
            there = found.split("\n")[0] if found.isprintable() else "no banner in its place"
            raise self._mismatch(there, expected.strip())
        return True

    def still(self) -> bool | None:
        """Whether the kernel that was there is there still; None where its memory cannot be read now, or never was."""
        if not self._known:
            return None
        said = [self._says(compare) for compare in (self._compare_build_id, self._compare_banner)]
        return True if True in said else False if False in said else None

    def _says(self, compare: Callable[[], bool]) -> bool | None:
        try:
            return compare() or None
        except UserError:
            return False

    def _read(self, address: int, size: int) -> bytes:
        try:
            return self._relay.read_memory(address + self._offset, size)
        except Error:
            return b""

    def _mismatch(self, guest: str, file: str) -> UserError:
        return boot_image.mismatch(guest, self._elf, file)
