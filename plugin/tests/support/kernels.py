# SPDX-License-Identifier: MIT
"""What the profile finds in each kernel that is here: which of its lines are printed where, without a boot.

As a program, which is `make -f setup.mk kernels`' table: rules by kernels, and where each line is printed.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from clockscope.kernel import event_sites, messages
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from clockscope.profiles.profile import Profile, Rule
from guest import GUESTS

VERSIONS = ("5.10", "6.1", "6.12", "7.2")

HAVE = "found"
LACK = "-"
UNPLACED = "NOT FOUND"  # the kernel has the line, and the call that prints it was not found


@dataclass(frozen=True)
class Placed:
    """The lines of one kernel's clocks: by rule, in which functions they are printed."""

    version: str
    plan: event_sites.Plan
    lines: dict[str, list[str]]
    in_file: set[str]  # the rules whose line is in the file at all
    registered_apart: bool  # a registration's line is printed in a cold part

    def state(self, rule: str) -> str:
        if rule in self.lines:
            return HAVE
        return UNPLACED if rule in self.in_file else LACK


def present() -> list[str]:
    """The kernels that were fetched: `test` has 6.1 and 6.12, `make -f setup.mk kernels` all of them."""
    return [version for version in VERSIONS if (GUESTS / f"linux-{version}" / "vmlinux").is_file()]


@functools.cache
def linux() -> Profile:
    return profile.load("linux")


def with_lines() -> Iterable[str]:
    """The rules that a line of the kernel's makes an event of, in the profile's order."""
    return (rule.rule for rule in linux().rules if rule.message is not None)


def _name(rule: Rule) -> str:
    return rule.rule


@functools.cache
def placed(version: str) -> Placed:
    elf = ElfFile(str(GUESTS / f"linux-{version}" / "vmlinux"))
    plan = event_sites.make_plan(linux(), elf, elf.disassemble, lambda _: [])
    lines: dict[str, list[str]] = {}
    for address, site in plan.messages.items():
        for rule in site.rules:
            lines.setdefault(rule.rule, []).append(elf.function_at(address))
    samples = [messages.sample(text) for text in messages.formats(elf, linux().prefixes)]
    said = {rule.rule for rule in linux().rules if rule.message and any(map(rule.message.search, samples))}
    apart = any(
        "clock-registered" in map(_name, site.rules) and elf.in_cold_part(at) for at, site in plan.messages.items()
    )
    return Placed(version, plan, lines, said, apart)


def table() -> str:
    kernels = [placed(version) for version in present()]
    width = max(map(len, with_lines()))
    rows = [" ".join(("rule".ljust(width), *(kernel.version.ljust(9) for kernel in kernels), "printed in"))]
    for rule in with_lines():
        where = dict.fromkeys(name for kernel in kernels for name in kernel.lines.get(rule, ()))
        rows.append(" ".join((rule.ljust(width), *(one.state(rule).ljust(9) for one in kernels), ", ".join(where))))
    return "\n".join(row.rstrip() for row in rows)


if __name__ == "__main__":
    print(table())
