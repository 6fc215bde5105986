"""Rate limits and quotas of a key: what they are, and the ledger that keeps them."""

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a key may use; None: as much as it likes."""

    requests_per_minute: int | None = None
    rows_per_minute: int | None = None
    tokens_per_day: int | None = None

    def as_row(self) -> dict[str, int | None]:
        """Its columns in the table of keys."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> "Limits":
        """Of a row of the table of keys."""
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})


class Units(NamedTuple):
    """An amount of what limits count."""

    requests: int = 0
    rows: int = 0
    tokens: int = 0
