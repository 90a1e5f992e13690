# SPDX-License-Identifier: MIT
"""Graphviz: from DOT to a drawing."""

import shutil
import subprocess

from clockscope.base.errors import UserError


def svg(drawn: str, seconds: float | None = None) -> str:
    """The SVG of one graph, or several one after the other. UserError where Graphviz is missing, fails or takes longer."""
    program = shutil.which("dot")
    if program is None:
        raise UserError("Graphviz is missing, and it draws the graphs: install its package (apt-get install graphviz)")
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=drawn, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"Graphviz was given up: it had not drawn the graph after {seconds:g} s") from None
    if done.returncode != 0:
        raise UserError(f"dot failed: {(done.stderr.strip().splitlines() or ['no message'])[0]}")
    return done.stdout
