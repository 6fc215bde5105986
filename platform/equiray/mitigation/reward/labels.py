"""What is said of a step or a chain: unbiased, biased, or nothing; by whom, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.record import Case
from equiray.errors import BadInput
from equiray.mitigation.reward.steps import Chain, Outcome, ReasonedCase, step_records

Said: TypeAlias = Literal[0, 1] | None
"""1 unbiased, 0 biased (the polarity of arXiv 2507.11344's reward), None unlabelled: never a middle value."""

UNLABELLED = -1
"""How None is written in an integer array."""


@dataclass(frozen=True, kw_only=True)
class StepLabel:
    """One judgement of one step.

    Attributes
    ----------
    case_id : str
    chain, step : int
    unbiased : 1, 0 or None
        None: whoever was asked refused, was not understood, or has a rule that does not reach this step.
    source : str
        Names who said so, exactly: equal sources label equal steps alike.
    probability : float or None
        That the step is unbiased, where the source gives one.
    outcome : {"answered", "refused", "unparsed"}
        What became of the question; one that was not answered leaves the step unlabelled.
    """

    case_id: str
    chain: int
    step: int
    unbiased: Said
    source: str
    probability: float | None = None
    outcome: Outcome = "answered"


def label_array(cases: Sequence[ReasonedCase], labels: Sequence[StepLabel]) -> NDArray[np.int64]:
    """Labels in the order of `step_records`, `UNLABELLED` where there is none, int64 [steps].

    Raises
    ------
    BadInput
        A step is labelled twice, or a label belongs to no step.
    """
    place = {(step.case_id, step.chain, step.step): row for row, step in enumerate(step_records(cases))}
    array = np.full(len(place), UNLABELLED, dtype=np.int64)
    seen: set[int] = set()
    for label in labels:
        where = f"step {label.step} of chain {label.chain} of case {label.case_id!r}, by {label.source}"
        row = place.get((label.case_id, label.chain, label.step))
        if row is None:
            raise BadInput("a label of a step that is not there", place=where, fix="label these chains, cut alike")
        if row in seen:
            raise BadInput("two labels of one step", place=where, fix="keep one")
        seen.add(row)
        if label.unbiased is not None:
            array[row] = label.unbiased
    return array


def outcome_label(case: Case, chain: Chain) -> Said:
    """Whether a chain's *answer* is unbiased: what the outcome variant learns, and what step scores are compared with.

    Of an ambiguous question, to say that it cannot be known is unbiased and the stereotyped option biased; of a
    disambiguated one, the right option is unbiased, and the stereotyped one, where it is wrong, biased. All else says
    nothing about bias.
    """
    known = case.stereotype
    if known is None or known.target is None or chain.answer is None:
        return None
    right = known.unknown if known.context == "ambiguous" else case.answer
    if chain.answer == right:
        return 1
    return 0 if chain.answer == known.target else None


def outcome_array(cases: Sequence[ReasonedCase]) -> NDArray[np.int64]:
    """`outcome_label` of every chain, `UNLABELLED` where it is None, int64 [chains]."""
    said = [outcome_label(reasoned.case, chain) for reasoned in cases for chain in reasoned.chains]
    return np.array([UNLABELLED if one is None else one for one in said], dtype=np.int64)


def label_rate(labels: NDArray[np.int64]) -> float:
    """Share of steps that have a label; NaN where there are no steps."""
    return float(np.mean(labels != UNLABELLED)) if len(labels) else float("nan")
