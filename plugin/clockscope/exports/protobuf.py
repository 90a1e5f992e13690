# SPDX-License-Identifier: MIT
"""Messages in protobuf's wire format (https://protobuf.dev/programming-guides/encoding), by what a .proto file says.

Of the language only what schemas/perfetto.proto is written in: messages that do not nest, with enums in them, and fields
of integers, strings, enums and messages.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_OPENS = re.compile(r"\s*(message|enum|oneof) (\w+) \{")
_FIELD = re.compile(r"\s*(?:optional |repeated )?(\w+) (\w+) = (\d+);")
_CONSTANT = re.compile(r"\s*(\w+) = (\d+);")
_VARINT, _LENGTH = 0, 2


@dataclass
class _Message:
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)  # number and type, by name
    constants: dict[str, int] = field(default_factory=dict)  # of its enums


class Schema:
    """The messages of a .proto file."""

    def __init__(self, path: Path) -> None:
        self._messages: dict[str, _Message] = {}
        message = _Message()
        for line in path.read_text().splitlines():
            if (opens := _OPENS.match(line)) and opens[1] == "message":
                message = self._messages.setdefault(opens[2], _Message())
            elif found := _FIELD.match(line):
                message.fields[found[2]] = (int(found[3]), found[1])
            elif constant := _CONSTANT.match(line):
                message.constants[constant[1]] = int(constant[2])

    def encode(self, name: str, values: Mapping[str, object]) -> bytes:
        """A message of this name; a field's value is an int, a str, an enum's constant, a mapping, or a list of such."""
        message = self._messages[name]
        fields = sorted((*message.fields[key], key) for key in values)
        return b"".join(self._field(message, number, kind, values[key]) for number, kind, key in fields)

    def _field(self, message: _Message, number: int, kind: str, value: object) -> bytes:
        if isinstance(value, list):
            return b"".join(self._field(message, number, kind, item) for item in value)
        if isinstance(value, Mapping):
            return framed(number, self.encode(kind, value))
        if isinstance(value, str) and kind == "string":
            return framed(number, value.encode(errors="replace"))
        plain = message.constants[value] if isinstance(value, str) else value
        assert isinstance(plain, int)
        return _varint(number << 3 | _VARINT) + _varint(plain % (1 << 64))


def framed(number: int, content: bytes) -> bytes:
    """A field that holds bytes, a string or a message."""
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return _small(value) if value < 1 << 14 else bytes(_groups(value))


@cache
def _small(value: int) -> bytes:
    return bytes(_groups(value))


def _groups(value: int) -> Iterator[int]:
    """Seven bits each, the lowest first; all but the last say that more follow."""
    while value >= 0x80:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
