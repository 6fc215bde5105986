"""What a decider is asked and says: plain values, so that who only passes them on loads no model library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Groups = Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request's rows."""

    task: str
    rows: Sequence[Row]
    attributes: Sequence[Groups] | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What one request's rows are decided.

    Attributes
    ----------
    model_version : str
    decisions : list of dict
        As the answer says them, without ids.
    groups : list of dict
        Each row's group of every attribute that is known.
    """

    model_version: str
    decisions: list[dict[str, Any]]
    groups: list[dict[str, str | None]]
