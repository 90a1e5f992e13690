# SPDX-License-Identifier: MIT
"""Results as JSON, for programs. Only ASCII is printed, so no guest's text steers a terminal."""

import json
from typing import Any

from clockscope.base.ui import Ui


def timeline(content: dict[str, Any], ui: Ui, *, backtrace: bool = False) -> str:
    """All that the core says, backtraces included; schemas/timeline.schema.json describes it."""
    return json.dumps(content, indent=2) + "\n"
