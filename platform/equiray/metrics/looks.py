"""A verdict on a table that has grown since the last verdict is a new test: what that does to its level."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Look:
    """The `number`-th verdict, counted from 1, on one growing table.

    Without `spend` every look is made at the full `alpha`, and a later one says that it is a repeated look. With
    `spend`, to be chosen before the first look, look k is made at alpha / (k (k + 1)). These levels add up to alpha
    over any number of looks (the sum telescopes), so by the union bound all verdicts together are wrong with
    probability alpha at most, whenever one stops; the k-th level falls as 1/k^2, slower than alpha / 2^k.
    """

    alpha: float
    number: int = 1
    spend: bool = False

    @property
    def level(self) -> float:
        """The alpha of this look, over its whole family."""
        return self.alpha / (self.number * (self.number + 1)) if self.spend else self.alpha

    @property
    def remark(self) -> str:
        """What a reader must know about the level, empty for a single look."""
        if self.spend:
            return f"look {self.number}, at {self.level:.4g} of alpha {self.alpha:g}"
        if self.number == 1:
            return ""
        return f"repeated look {self.number}: each at alpha {self.alpha:g}, so all looks together err more often"
