# SPDX-License-Identifier: MIT
"""Tables for the terminal: one line a row, whatever the width, so that they can be searched and compared.

A terminal folds a long line better than a table folds its columns. What others import for tables takes longer to start
than most answers here take to be worked out.
"""

from collections.abc import Sequence

from clockscope.base.ui import cut, one_line

_CELL_MAX = 1000
_GAP = "  "
_NARROW = dict.fromkeys(map(ord, "…–µ×±→"), "-")  # what clockscope itself writes beside ASCII
# ECMA-48, "Select graphic rendition".
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Column:
    def __init__(self, header: str, justify: 'Literal["left", "right"]' = "left") -> None:
        self.header = header
        self.justify = justify


class Cell:
    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style


def styled(text: str, style: str, colour: bool) -> str:
    """One piece of text in a style, where there is colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour and style and text else text


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], colour: bool, *, header: bool = True
) -> list[str]:
    """The lines of a table: that of the headers, if wanted, and one for each row."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    if header:
        cells.insert(0, [Cell(column.header, "bold") for column in columns])
    widths = [max((_width(row[place].text) for row in cells), default=0) for place in range(len(columns))]
    return [_line(row, columns, widths, colour) for row in cells]


def _cell(given: Cell | str) -> Cell:
    cell = given if isinstance(given, Cell) else Cell(given)
    return Cell(cut(cell.text if cell.text.isprintable() else one_line(cell.text), _CELL_MAX), cell.style)


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], colour: bool) -> str:
    pieces = []
    for cell, column, width in zip(row, columns, widths):
        padding = " " * (width - _width(cell.text))
        text = styled(cell.text, cell.style, colour)
        pieces.append(padding + text if column.justify == "right" else text + padding)
    return _GAP.join(pieces).rstrip(" ")


def _width(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii() or text.translate(_NARROW).isascii():
        return len(text)
    import unicodedata  # slow to load

    return sum(0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text)
