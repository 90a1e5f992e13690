# SPDX-License-Identifier: MIT
"""What a trace is held to: a policy file (schemas/policy.schema.json), and what the baseline says where that is silent."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field

from clockscope.base import toml_file
from clockscope.base.errors import UserError
from clockscope.base.likeness import meant
from clockscope.base.ui import cut, one_line
from clockscope.model.comparison import DEFAULT_PPM

Names = tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """None: as the baseline has it."""

    ppm: float = DEFAULT_PPM
    ppm_of: dict[str, float] = field(default_factory=dict)
    clocks: Names | None = None
    current: Names | None = None
    devices: Names | None = None
    findings: Names | None = None
    functions: Names = ()
    counts_calls: bool = True

    def tolerance(self, clock: str) -> float:
        return self.ppm_of.get(clock, self.ppm)

    def names_function(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.functions)


def load(path: str, rules: Sequence[str]) -> Policy:
    """UserError for a file that is no policy, or allows findings of a diagnosis that there is not."""
    data = toml_file.read(path, "policy.schema.json")
    tolerance, functions = data.get("tolerance", {}), data.get("functions", {})
    policy = Policy(
        ppm=tolerance.get("ppm", DEFAULT_PPM),
        ppm_of=tolerance.get("clocks", {}),
        clocks=_names(data.get("clocks", {}).get("must")),
        current=_names(data.get("clocks", {}).get("current")),
        devices=_names(data.get("devices", {}).get("must")),
        findings=_names(data.get("findings", {}).get("may")),
        functions=_names(functions.get("agree")) or (),
        counts_calls=functions.get("calls", "same") == "same",
    )
    for name in policy.findings or ():
        if name not in rules:
            raise UserError(
                f"{path}: findings.may: there is no diagnosis {cut(one_line(name), 80)}{meant(name, rules)}"
            )
    return policy


def _names(found: list[str] | None) -> Names | None:
    return None if found is None else tuple(dict.fromkeys(found))
