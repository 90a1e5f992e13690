# SPDX-License-Identifier: MIT
"""What a recording watched: for each thing that is looked for, from when to when, and how often the guest came there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clockscope._core import TraceWriter
from clockscope.kernel.event_sites import Expectation, Plan
from clockscope.profiles.profile import Rule


@dataclass
class Tally:
    """How often the guest came to where rules are judged, and what they then held."""

    reached: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)  # of them, to inlined copies that tell no more
    matched: Counter[str] = field(default_factory=Counter)
    unfinished: Counter[str] = field(default_factory=Counter)  # calls under way

    def came(self, rules: Iterable[Rule]) -> None:
        self.reached.update(rule.rule for rule in rules)

    def wrote(self, rule: Rule) -> None:
        """A variable that is watched was written."""
        self.came([rule])
        self.matched.update([rule.rule])

    def ran_inlined(self, rules: Sequence[Rule]) -> None:
        self.came(rules)
        self.copies.update(rule.rule for rule in rules)


class Coverage:
    """Writes the coverage of one recording: at its beginning, so that a trace that breaks off has it, and at its end."""

    def __init__(self, plan: Plan, tally: Tally, writer: TraceWriter) -> None:
        self._plan = plan
        self._tally = tally
        self._writer = writer
        self._watched = list(plan.expectations)
        self._own: set[str] = set()  # rules that are not the plan's: variables that are watched
        self._partly: set[str] = set()  # of them, those of which not each write is seen
        self._from: int | None = None  # of the plan's probes
        self._own_from: int | None = None

    def add(self, watched: Sequence[Expectation]) -> None:
        """What is watched beside the profile's plan. What a note is of is not seen whenever it happens."""
        self._watched += watched
        self._own.update(one.rule for one in watched)
        self._partly.update(one.rule for one in watched if one.note)

    def refuse(self, refused: Mapping[int, str]) -> None:
        """The guest took no probe at these addresses; a rule that is looked for nowhere else is not looked for."""
        for number, one in enumerate(self._watched):
            places = self._plan.places_of(one.rule) if refused and one.status in ("planted", "inlined") else set()
            if places and places <= refused.keys():
                why = refused[min(places)]
                self._watched[number] = replace(one, status="refused", note=why)

    def begin(self, run_ns: int, *, stands: bool) -> None:
        """The watch begins; the plan's probes may not stand before the guest's kernel does."""
        self._own_from = run_ns if self._own_from is None else self._own_from
        self._from = run_ns if stands else None
        self._write(None)

    def end(self, run_ns: int | None) -> None:
        self._write(run_ns)

    def _write(self, to_ns: int | None) -> None:
        for one in self._watched:
            own = one.rule in self._own
            begun = self._own_from if own else self._from
            stands = begun is not None and one.status in ("planted", "inlined")
            tally = self._tally
            counted = stands and (one.rule not in self._partly or tally.matched[one.rule] > 0)
            lost = tally.copies[one.rule] and not tally.matched[one.rule]
            self._writer.expect(
                one.rule,
                one.what,
                one.function,
                "inlined" if one.status == "planted" and lost else one.status,
                one.note,
                optional=not one.expected,
                within=one.within,
                from_ns=begun if stands else None,
                to_ns=to_ns if stands else None,
                reached=tally.reached[one.rule] if counted else None,
                matched=tally.matched[one.rule] if counted else None,
                unfinished=tally.unfinished[one.rule] if counted else None,
            )
