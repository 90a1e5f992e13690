# SPDX-License-Identifier: MIT
"""Medians of paired runs: A and B in turn, so that a machine that slows down slows both."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Pairs:
    """What each of two ways took, run by run."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """The median of each pair's ratio: robust where both drift."""
        return median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.ours), median(self.theirs)


def paired(count: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Pairs:
    """Run both `count` times; which goes first changes from pair to pair."""
    pairs = Pairs([], [])
    for number in range(count):
        order = [(ours, pairs.ours), (theirs, pairs.theirs)]
        for way, results in order if number % 2 == 0 else reversed(order):
            results.append(way())
    return pairs


def show(what: str, pairs: Pairs, names: tuple[str, str], unit: str, note: str = "") -> None:
    """One line: the two medians and the ratio."""
    ours, theirs = pairs.medians
    print(
        f"{what}: {names[0]} {ours:.4g} {unit}, {names[1]} {theirs:.4g} {unit}, ratio {pairs.ratio:.3f}"
        f" (median of {len(pairs.ours)} pairs{'; ' + note if note else ''})",
        flush=True,
    )
