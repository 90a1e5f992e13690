# SPDX-License-Identifier: MIT
"""What a word that is not known was perhaps meant to be."""

import difflib
from collections.abc import Iterable


def meant(word: str, known: Iterable[str]) -> str:
    """ "; did you mean WORD?", or nothing where nothing is like it."""
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""
