# SPDX-License-Identifier: MIT
"""Results as JSON, for programs. Only ASCII is printed, so no guest's text steers a terminal."""

import json
from typing import Any


def timeline(content: dict[str, Any]) -> str:
    """All that the core says, backtraces included; schemas/timeline.schema.json describes it."""
    return json.dumps(content, indent=2) + "\n"
