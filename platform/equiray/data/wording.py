"""The three ways to write a row: sentences, a list, or JSON. One value, one item, one row at a time."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Template = Literal["text", "list", "json"]
Value = str | int | float | None

_SEPARATOR: Mapping[Template, str] = {"text": " ", "list": "\n", "json": ", "}


def row_text(template: Template, items: Sequence[str]) -> str:
    """A row from its items, in their order."""
    joined = _SEPARATOR[template].join(items)
    return f"{{{joined}}}" if template == "json" else joined


def item_in_row(template: Template, item: str) -> str:
    """An item with the characters beside it that tokenizers merge with its own: what it adds to a row's tokens."""
    return f" {item}," if template == "json" else _SEPARATOR[template] + item


def item_text(template: Template, label: str, value: Value) -> str:
    """One feature with its value: ``The age is 39.``, ``- age: 39`` or ``"age": 39``."""
    if template == "json":
        return f"{json.dumps(label, ensure_ascii=False)}: {_json(value)}"
    return f"- {label}: {plain(value)}" if template == "list" else f"The {label} is {plain(value)}."


def plain(value: Value) -> str:
    """A value as a person writes it: 39 for 39.0, 0.5, never 1e-07; ``unknown`` where it is missing or blank.

    White space within a value becomes single spaces, so that no value breaks its line.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    if isinstance(value, str):
        return " ".join(value.split()) or "unknown"
    return str(value) if isinstance(value, int) else np.format_float_positional(value, trim="-")


def _json(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return plain(value) if value is not None and math.isfinite(value) else "null"
