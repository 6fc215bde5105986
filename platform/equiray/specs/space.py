"""What a setting of a sweep is drawn from: a range of numbers, or choices."""

import math
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from equiray.specs.documents import Document

LEVELS = 3
"""Values of each range on a grid, ends included."""


class RangeSpec(Document):
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = Field(default=False, description="drawn evenly on a logarithmic scale")
    whole: bool = Field(default=False, description="whole numbers only")

    @model_validator(mode="after")
    def _is_a_range(self) -> "RangeSpec":
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("`low` and `high` must be finite")
        if self.low >= self.high:
            raise ValueError(f"an empty range: `low` {self.low:g} is not below `high` {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"`low` {self.low:g} has no logarithm: raise it above 0, or leave `log` out")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"`whole` numbers from {self.low:g} to {self.high:g}: name whole ends")
        return self

    @property
    def tried(self) -> tuple[float, ...]:
        """Values that have to be possible: its ends and, unless it is of whole numbers, one that is none."""
        if self.whole:
            return int(self.low), int(self.high)
        return self.low, self.high, self.low + (self.high - self.low) / math.e


Choices = tuple[Any, ...]
Among = Annotated[
    Annotated[RangeSpec, Tag("(range)")] | Annotated[Choices, Tag("(choices)")],
    Discriminator(lambda among: "(choices)" if isinstance(among, list | tuple) else "(range)"),
]


def levels_of(among: RangeSpec | Choices) -> list[Any]:
    """Values on a grid: every choice, or a range's ends and what lies evenly between."""
    if not isinstance(among, RangeSpec):
        return list(among)
    shares = [place / (LEVELS - 1) for place in range(LEVELS)]
    if among.log:
        found = [among.low ** (1 - share) * among.high**share for share in shares]
    else:
        found = [among.low * (1 - share) + among.high * share for share in shares]
    return sorted({round(value) for value in found}) if among.whole else found
