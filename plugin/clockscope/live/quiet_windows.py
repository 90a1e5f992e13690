# SPDX-License-Identifier: MIT
"""Does a stopped guest stand between two reads of a clock? There the kernel measures how long that takes, and would
measure a borrowed instruction too."""

import functools
from collections.abc import Iterator, Sequence

from clockscope._core import Error
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.hints import Hints


class Windows:
    """The timing windows of a kernel's functions, looked for as they are asked about."""

    def __init__(self, elf: ElfFile, offset: int, hints: Hints) -> None:
        """`offset`: by how much the kernel was relocated."""
        self._elf = elf
        self._offset = offset
        self._hints = hints
        self._is_inside = functools.cache(self._ask)

    def hold(self, here: int, backtrace: Sequence[int]) -> bool:
        """Whether a guest that stands at `here` is in one, or was called from one. `backtrace`: the addresses of the
        frames, innermost first."""
        return any(self._is_inside(place) for place in _places(here, backtrace))

    def _ask(self, address: int) -> bool:
        try:
            place = (address - self._offset) % (1 << 64)
            return self._elf.analyser.in_window(place, **self._hints.known)
        except Error:
            return True  # what cannot be analysed may be one


def _places(here: int, backtrace: Sequence[int]) -> Iterator[int]:
    """The instruction where the guest stands, and the calls that led there."""
    yield here
    for address in backtrace[1:]:
        if address != backtrace[0]:  # inlined functions share it
            yield address - 1
