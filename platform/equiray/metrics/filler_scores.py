"""`FillerScores`: what a model said at [MASK], prompt by prompt, with what is needed to judge it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from equiray.data.templates import Fillers, Prompt

SIDES = ("disadvantaged", "advantaged", "neutral")


@dataclass(frozen=True, kw_only=True)
class FillerScores:
    """Mean log-probabilities of fillers after prompts, pure arrays.

    Attributes
    ----------
    logprobs : float array [P, F]
        Natural logarithms, mean over a filler's tokens. Columns: poor fillers, rich fillers, irrelevant ones (may be
        absent: LMCS and ELS are then not estimable).
    poor, rich : int
        Number of poor and of rich fillers.
    side : str array [P]
        ``disadvantaged``, ``advantaged`` or ``neutral``.
    twin : str array [P]
        Equal for the two prompts that differ in the attribute alone.
    family : str array [P]
        Template family, the unit of every interval.
    reversed : bool array [P]
        The sentence denies what it says.
    groups : (disadvantaged, advantaged)
        The groups' names.
    """

    logprobs: np.ndarray
    poor: int
    rich: int
    side: np.ndarray
    twin: np.ndarray
    family: np.ndarray
    reversed: np.ndarray
    groups: tuple[str, str]

    def __post_init__(self) -> None:
        count, columns = self.logprobs.shape
        for name in ("side", "twin", "family", "reversed"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"`{name}` needs one entry for each of {count} prompts")
        if columns < self.poor + self.rich:
            raise ValueError(f"{columns} columns cannot hold {self.poor} poor and {self.rich} rich fillers")
        if np.isnan(self.logprobs).any():
            raise ValueError(f"the scores of prompt {np.argwhere(np.isnan(self.logprobs))[0][0]} hold a NaN")
        if not np.isfinite(self.logprobs[:, : self.poor + self.rich]).any(axis=1).all():
            raise ValueError("a prompt gives every poor and every rich filler probability 0")
        self.twin_rows()

    @classmethod
    def of(cls, logprobs: np.ndarray, prompts: "Sequence[Prompt]", fillers: "Fillers") -> "FillerScores":
        """Scores [P, F] of prompts about one attribute.

        Columns stand in the order of ``fillers.words``, or of ``fillers.relevant`` (its beginning).
        """
        group_of = {prompt.side: prompt.group for prompt in prompts}
        return cls(
            logprobs=logprobs,
            poor=len(fillers.poor),
            rich=len(fillers.rich),
            side=np.array([prompt.side for prompt in prompts]),
            twin=np.array([prompt.twin for prompt in prompts]),
            family=np.array([prompt.family for prompt in prompts]),
            reversed=np.array([prompt.reversed for prompt in prompts], dtype=bool),
            groups=(group_of["disadvantaged"], group_of["advantaged"]),
        )

    @classmethod
    def concatenate(cls, parts: "Sequence[FillerScores]") -> "FillerScores":
        """Scores of several disjoint sets of prompts as one: the test parts of all folds, for a headline figure.

        Raises
        ------
        ValueError
            The parts differ in fillers or groups, or share a prompt.
        """
        first = parts[0]
        if any(
            (p.poor, p.rich, p.groups, p.logprobs.shape[1])
            != (first.poor, first.rich, first.groups, first.logprobs.shape[1])
            for p in parts
        ):
            raise ValueError("the parts were scored with different fillers or groups")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("logprobs", "side", "twin", "family", "reversed")
        }
        return cls(**joined, poor=first.poor, rich=first.rich, groups=first.groups)

    @property
    def family_count(self) -> int:
        """Number of template families: the effective sample size of every interval."""
        return len(np.unique(self.family))

    def par(self) -> np.ndarray:
        """par(x), float array [P] in 0..1: the share of poor among poor and rich; turned round where `reversed`."""
        poor = _log_sum_exp(self.logprobs[:, : self.poor])
        rich = _log_sum_exp(self.logprobs[:, self.poor : self.poor + self.rich])
        par = _share(poor, rich)
        return np.where(self.reversed, 1 - par, par)

    def lmcs(self) -> np.ndarray:
        """lmcs(x), float array [P] in 0..1; NaN where no irrelevant filler was scored."""
        relevant = self.poor + self.rich
        if self.logprobs.shape[1] == relevant:
            return np.full(len(self.logprobs), np.nan)
        return _share(_log_sum_exp(self.logprobs[:, :relevant]), _log_sum_exp(self.logprobs[:, relevant:]))

    def twin_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of the disadvantaged and of the advantaged prompt of every twin, int arrays [T] each.

        Raises
        ------
        ValueError
            A prompt's twin is missing or stands more than once; on such prompts no gap is balanced.
        """
        rows = []
        for side in SIDES[:2]:
            of_side = np.flatnonzero(self.side == side)
            rows.append(of_side[np.argsort(self.twin[of_side], kind="stable")])
        one, other = (self.twin[part] for part in rows)
        if len(one) != len(other) or (one != other).any() or len(np.unique(one)) != len(one):
            raise ValueError("every prompt about one group needs exactly one twin about the other")
        return rows[0], rows[1]


def same_prompts(one: FillerScores, other: FillerScores) -> bool:
    """Whether two models were scored on the same prompts in the same order."""
    return all(np.array_equal(getattr(one, k), getattr(other, k)) for k in ("side", "twin", "family", "reversed"))


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(values, axis=1)


def _share(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """exp(one) / (exp(one) + exp(other)), without leaving the logarithms."""
    return np.exp(one - np.logaddexp(one, other))
