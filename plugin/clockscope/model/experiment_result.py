# SPDX-License-Identifier: MIT
"""What an experiment has changed: its trace against a baseline, as schemas/experiment.schema.json describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from clockscope.model import comparison, diagnosing
from clockscope._core import Trace
from clockscope.model.comparison import Progress

Record = dict[str, Any]


def compare(
    files: tuple[str, str], ppm: float = comparison.DEFAULT_PPM, progress: Progress = lambda done, total, what: None
) -> Record:
    """Compare a baseline with an experiment, two trace files."""
    rules = diagnosing.load()
    with Trace(files[0]) as a, Trace(files[1]) as b:
        result = comparison.compare(a, b, ppm, progress)
        timelines = (a.timeline(), b.timeline())
        found = [_names(diagnosing.diagnose(trace, rules)) for trace in (a, b)]
    return {
        "baseline": files[0],
        "experiment": files[1],
        "interventions": result["interventions"]["b"],
        "active": [_active(timeline["clocks"]) for timeline in timelines],
        "diagnoses": {
            "gone": [name for name in found[0] if name not in found[1]],
            "come": [name for name in found[1] if name not in found[0]],
        },
        "diff": result,
    }


def _active(clocks: Sequence[Mapping[str, Any]]) -> Record:
    """The clock of each kind that was in use at the end."""
    return {str(clock["kind"]): str(clock["name"]) for clock in clocks if clock["current"]}


def _names(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(finding["rule"]) for finding in findings]
