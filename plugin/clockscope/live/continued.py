# SPDX-License-Identifier: MIT
"""What a kernel says of an event in the lines after it: values of that event, as in the import of a log."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from clockscope._core import TraceWriter
from clockscope.importing import skew
from clockscope.profiles.profile import Rule

Value = int | str | None
Values = Sequence[tuple[str, Value]]


@dataclass
class _Begun:
    """An event that lines may follow."""

    seq: int
    clock: str | None
    values: dict[str, Value]


@dataclass
class Continued:
    """The events of one trace that lines may say more of, and how fast the clocks are that such lines count by."""

    writer: TraceWriter
    _last: dict[str, _Begun] = field(default_factory=dict)  # by rule
    _frequencies: dict[str, float] = field(default_factory=dict)

    def take(self, rule: Rule, clock: str | None, values: Values, seq: int) -> None:
        """An event was written, as number `seq`."""
        known = dict(values)
        frequency = known.get("frequency_hz")
        if rule.what == "clock.registered" and clock and isinstance(frequency, int):
            self._frequencies[clock] = frequency
        self._last[rule.rule] = _Begun(seq, clock, known)

    def add(self, rule: Rule, values: Values) -> None:
        """A line says more of the last event that it can be about; what the event has already, it keeps."""
        owners = [self._last[name] for name in rule.adds_to if name in self._last]
        if not owners:
            return
        owner = max(owners, key=lambda one: one.seq)
        self._keep(owner, {name: value for name, value in values if name != "message"})
        self._keep(owner, skew.sizes(owner.values, owner.clock, self._frequencies))

    def _keep(self, owner: _Begun, values: dict[str, Value]) -> None:
        for name, value in values.items():
            if name not in owner.values:
                self.writer.add_value(owner.seq, name, value)
                owner.values[name] = value
