"""What all YAML documents share: how they are read, and what is wrong with them said in the user's words.

Unknown keys raise; the content hash names a run.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from equiray.errors import BadInput

_T = TypeVar("_T")


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} stands twice")
    return values


def _known(value: float) -> float:
    if math.isnan(value):
        raise ValueError("this is not a number")
    return value


Number = Annotated[float, AfterValidator(_known)]
"""Infinities are numbers: a threshold that nothing reaches."""

Distinct = Annotated[tuple[_T, ...], Field(min_length=1), AfterValidator(_distinct)]


class Document(BaseModel):
    """A part of a YAML document: unknown keys raise, nothing changes after reading; `sha256` is its content hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def sha256(self) -> str:
        """Content hash: equal documents, however written, have equal hashes."""
        canonical = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; `what` it should be is named where it is none.

    Raises
    ------
    BadInput
        The file is absent, not UTF-8, no YAML, or holds something else.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise BadInput(f"cannot read it: {error}", place=str(path), fix="save it as UTF-8") from error
    except OSError as error:
        raise BadInput(f"cannot read it: {error}", place=str(path), fix="name an existing YAML file") from error
    except yaml.YAMLError as error:
        raise BadInput(f"not valid YAML: {error}", place=str(path), fix="mend the syntax at that line") from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise BadInput(f"a {what} is a mapping, this is {kind}", place=str(path), fix="see docs/contracts")
    return document


def as_bad_input(
    error: ValidationError, place: str, what: str, fix: str = "docs/contracts lists every key"
) -> BadInput:
    """The first five complaints about a document, each with the path of its key."""
    lines = []
    for item in _own_errors(error.errors())[:5]:
        keys = (str(part) for part in item["loc"])
        where = ".".join(key for key in keys if not key.startswith("(")) or "document"  # in parentheses: no key, a kind
        whole = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
        shown = "" if whole else f" (got {item['input']!r:.80})"
        said = item["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {said[:1].lower()}{said[1:]}{shown}")
    return BadInput(f"the {what} is not valid: " + "; ".join(lines), place=place, fix=fix)


def _own_errors(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without the lists called too short only because pydantic does not count their wrong entries."""
    places = [error["loc"] for error in errors]

    def has_wrong_entry(place: tuple[int | str, ...]) -> bool:
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    return [error for error in errors if error["type"] != "too_short" or not has_wrong_entry(error["loc"])]
