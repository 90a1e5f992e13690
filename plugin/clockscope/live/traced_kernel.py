# SPDX-License-Identifier: MIT
"""What is to be recorded: the symbol file, its profile, the plan made of both, and functions to count."""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from clockscope._core import Xref
from clockscope.base import settings
from clockscope.gdbside import console, symbols
from clockscope.kernel import event_sites, placement
from clockscope.live import watch
from clockscope.kernel.elffile import ElfFile, Symbol
from clockscope.base.errors import UserError
from clockscope.profiles import profile
from clockscope.profiles.profile import Profile
from clockscope.kernel.event_sites import Plan
from clockscope.kernel.placement import Placement
from clockscope.live.watch import Variable


@dataclass(frozen=True)
class Target:
    elf: ElfFile
    place: Placement
    profile: Profile | None
    plan: Plan
    counted: tuple[Symbol, ...]
    watched: tuple[Variable, ...]

    @property
    def offset(self) -> int:
        """Of the guest's addresses from the file's."""
        return self.place.offset

    @property
    def banner(self) -> str:
        """The kernel's own name and version, as the file has it."""
        name = self.profile.banner if self.profile else None
        address = self.elf.find(name) if name else None
        return self.elf.string(address).strip() if address is not None else ""


def prepare(profile_name: str | None, functions: Sequence[str], variables: Sequence[str] = ()) -> Target:
    """Find everything out that can be known before the guest runs; UserError says what is missing."""
    elf = loaded()
    chosen = _choose(elf, profile_name or console.text(settings.PROFILE.full_name), bool(functions or variables))
    place = placement.of_image(elf, offset_of(elf))
    made = event_sites.make_plan(chosen, elf, elf.disassemble, _locate(elf.path)) if chosen else Plan()
    return _warm(Target(elf, place, chosen, made, _find(elf, functions), watch.resolve(elf, variables)))


def _warm(target: Target) -> Target:
    if target.profile is not None:
        sites = map(target.place.run, target.plan.sites())
        symbols.warm_up(sites, target.profile.frames, _variables(target.profile, target.elf))
    return target


def moved(target: Target, offset: int) -> Target:
    """The same kernel where another boot has it; GDB's symbols were moved there."""
    return _warm(replace(target, place=placement.of_image(target.elf, offset)))


def loaded() -> ElfFile:
    """The symbol file; UserError where there is none, or it has no symbols."""
    path = symbols.symbol_file()
    if path is None:
        raise UserError("GDB has no symbols of your guest: load its kernel's debug ELF with `file vmlinux`")
    try:
        status = os.stat(path)
        elf = _opened(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; load the kernel's debug ELF with `file vmlinux`") from None
    if elf.stripped:
        raise UserError(f"{path}: it has no symbols (stripped): load the kernel's debug ELF with `file vmlinux`")
    return elf


@functools.lru_cache(maxsize=1)
def _opened(path: str, *_state: int) -> ElfFile:
    """A kernel's symbols take time to read: they are kept while the file is as it was."""
    return ElfFile(path)


def _locate(path: str) -> event_sites.Locate:
    def copies(names: tuple[str, ...]) -> list[event_sites.Copy]:
        found = Xref(path).inlined(names)
        return [event_sites.Copy(copy["function"], copy["within"], int(copy["address"], 16)) for copy in found]

    return copies


def _choose(elf: ElfFile, name: str, enough: bool) -> Profile | None:
    """The named profile, or the one that fits. Without one, functions to count or variables to watch are `enough`."""
    if name:
        return profile.load(name)
    found = profile.recognise(elf)
    if found is None and not enough:
        known = ", ".join(profile.names())
        raise UserError(
            f"{elf.path}: no profile fits this program (known: {known}); give --profile FILE, --functions to count, or --watch"
        )
    return found


def _variables(chosen: Profile, elf: ElfFile) -> list[str]:
    """The kernel's variables that the profile's expressions name. To look for any other name costs GDB long."""
    captures = (text for rule in chosen.rules for capture in rule.captures for text in capture.expressions)
    conditions = (text for rule in chosen.rules for text in rule.when)
    saved = (text for rule in chosen.rules for _, text in rule.saved)
    words = {word for text in chain(captures, conditions, saved) for word in re.findall(r"[A-Za-z_]\w*", text)}
    return sorted(word for word in words if word in elf)


def _find(elf: ElfFile, patterns: Sequence[str]) -> tuple[Symbol, ...]:
    """The functions that the patterns name; each pattern must name one."""
    found: dict[int, Symbol] = {}
    for pattern in patterns:
        symbols = elf.functions(pattern)
        if not symbols:
            raise UserError(f"--functions: no function in {elf.path} is called, or matches, {pattern}")
        found.update((symbol.address, symbol) for symbol in symbols)
    return tuple(found.values())


def _check_width(elf: ElfFile, address: int, expected: int) -> None:
    """Where GDB read the symbols for an ABI that it lacks, and was told so only then, it keeps half of each address."""
    if address != expected and address == expected & 0xFFFFFFFF:
        again = f"`set osabi none`, `file`, `file {elf.path}`"
        raise UserError(f"GDB has 32-bit addresses for {elf.path}: have it read the file anew ({again}), and try again")


def offset_of(elf: ElfFile) -> int:
    """How far the guest's code lies from where the file says: kernels and programs may be relocated."""
    for symbol in elf.all_functions():
        if symbol.name.isidentifier():
            address = symbols.address_of(symbol.name)
            if address is not None and symbol.address == elf.find(symbol.name):
                _check_width(elf, address, symbol.address)
                return address - symbol.address
    return 0
