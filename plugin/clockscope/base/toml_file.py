# SPDX-License-Identifier: MIT
"""TOML files that users write, checked against a schema in schemas/: a mistake is one line, with what was perhaps meant."""

import json
import os
import tomllib
from typing import Any

import jsonschema

from clockscope.base import places
from clockscope.base.errors import UserError
from clockscope.base.likeness import meant
from clockscope.base.ui import cut, one_line

_SIZE_MAX = 1 << 20
_SAID_MAX = 200


def read(path: str, schema: str) -> dict[str, Any]:
    """What a file holds; `schema` names one of schemas/. UserError where it cannot be read, or is not as that says."""
    try:
        with open(path, "rb") as file:
            content = file.read(_SIZE_MAX + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _SIZE_MAX:
        raise UserError(f"{path}: is larger than {_SIZE_MAX >> 20} MB, which such a file never is")
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {cut(one_line(str(error)), _SAID_MAX)}") from error
    _check(data, path, schema)
    return data


def _check(data: dict[str, Any], path: str, name: str) -> None:
    with open(os.path.join(places.ROOT, "schemas", name), encoding="utf-8") as file:
        schema = json.load(file)
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(data))
    if error is None:
        return
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in error.absolute_path)
    raise UserError(f"{path}: {one_line(where) + ': ' if where else ''}{_said(error)}")


def _said(error: Any) -> str:
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next((key for key in error.instance if key not in known), "")
        word = cut(one_line(unknown), _SAID_MAX)
        return f"{word} is not known here" + (meant(unknown, known) or f"; known are {', '.join(sorted(known))}")
    expected = error.schema.get("description") if isinstance(error.schema, dict) else None
    hint = f"; expected: {expected}" if expected else ""
    return cut(one_line(error.message), _SAID_MAX) + hint
