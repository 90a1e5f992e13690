# SPDX-License-Identifier: MIT
"""Tables for the terminal: one line a row where there is room, or where nobody looks at a terminal.

What others import for tables takes longer to start
than most answers here take to be worked out.
"""

from collections.abc import Iterator, Sequence

from clockscope.base.ui import Ui, cut, one_line

_CELL_MAX = 1000
_WHOLE_MAX = 10_000  # longer than any kernel's text, but not than a hostile one's
_PADDED_MAX = 1000  # no row is made longer for the sake of another that is
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


def file_line(file: str, ui: Ui) -> str:
    """What a report begins with: which trace it is of."""
    return styled(one_line(file), "bold", ui.colour)


def styled(text: str, style: str, colour: bool) -> str:
    """One piece of text in a style, where there is colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour and style and text else text


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    colour: bool,
    *,
    header: bool = True,
    whole: bool = False,
) -> list[str]:
    """The lines of a table: that of the headers, if wanted, and one for each row. `whole`: no kernel's text is cut."""
    cells = [[_cell(cell, whole) for cell in row] for row in rows]
    if header:
        cells.insert(0, [Cell(column.header, "bold") for column in columns])
    widths = [
        max((min(_width(row[place].text), _PADDED_MAX) for row in cells), default=0) for place in range(len(columns))
    ]
    return [_line(row, columns, widths, colour) for row in cells]


def fold(lines: Sequence[str], width: int, hang: int) -> list[str]:
    """Lines that are no longer than `width` columns, 0 for any: folded between words, what goes on indented by `hang`."""
    return [piece for line in lines for piece in _folded(line, width, hang)] if width else list(lines)


def fitted(lines: Sequence[str], ui: Ui) -> list[str]:
    """A report's lines, folded where the terminal is narrower; what goes on stands behind what it belongs to."""
    return [piece for line in lines for piece in fold([line], ui.width, _indent(line) + 4)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _folded(line: str, width: int, hang: int) -> Iterator[str]:
    if length(line) <= width:
        yield line
        return
    import re  # slow to load

    piece = ""
    for word in re.findall(r" +|\[ {0,16}[^\s\]]{1,20}\][^ ]*|[^ ]+", line):  # a time in its brackets is one word
        if word.strip() and piece.strip() and length(piece + word) > width:
            yield piece.rstrip()
            piece = " " * min(hang, width // 2)
        piece += "" if piece and not piece.strip() and word.isspace() else word
    yield piece.rstrip()


def length(text: str) -> int:
    """How many columns of a terminal a text takes, its styles aside."""
    if "\x1b" in text:
        for style in _STYLES.values():
            text = text.replace(f"\x1b[{style}m", "")
        text = text.replace("\x1b[0m", "")
    return _width(text)


def _cell(given: Cell | str, whole: bool) -> Cell:
    cell = given if isinstance(given, Cell) else Cell(given)
    text = cell.text if cell.text.isprintable() else one_line(cell.text)
    return Cell(cut(text, _WHOLE_MAX if whole else _CELL_MAX), cell.style)


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
