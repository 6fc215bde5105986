"""Real chains for a reader, step by step with their scores: those that score lowest and highest, of unlike cases."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.mitigation.reward.steps import ReasonedCase

SHOWN = 8
_FEWEST_STEPS = 2


def shown_chains(
    cases: Sequence[ReasonedCase],
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64] | None = None,
    *,
    count: int = SHOWN,
) -> list[dict[str, Any]]:
    """Half of them with the lowest step of all, half with the highest lowest step; one a case, two steps or more.

    Parameters
    ----------
    cases : sequence of ReasonedCase
    probabilities : float64 [steps]
        That a step is unbiased, in the order of `step_records`.
    labels : int64 [steps], optional
        1 unbiased, 0 biased, else unlabelled.
    """
    lowest: dict[str, tuple[float, dict[str, Any]]] = {}
    highest: dict[str, tuple[float, dict[str, Any]]] = {}
    first = 0
    for one in cases:
        for chain in one.chains:
            part = slice(first, first := first + len(chain.steps))
            if len(chain.steps) < _FEWEST_STEPS or chain.answer is None:
                continue
            scores = probabilities[part]
            said = None if labels is None else [None if n < 0 else int(n) for n in labels[part]]
            shown = _shown(one, chain.index, scores, said)
            worst, name = float(scores.min()), one.case.case_id
            if name not in lowest or worst < lowest[name][0]:
                lowest[name] = (worst, shown)
            if name not in highest or worst > highest[name][0]:
                highest[name] = (worst, shown)
    low = sorted(lowest.values(), key=lambda pair: pair[0])[: count // 2]
    taken = {shown["case_id"] for _, shown in low}
    rest = [pair for pair in highest.values() if pair[1]["case_id"] not in taken]
    high = sorted(rest, key=lambda pair: -pair[0])[: count - len(low)]
    return [shown for _, shown in (*low, *high)]


def _shown(
    one: ReasonedCase, index: int, scores: NDArray[np.float64], labels: list[int | None] | None
) -> dict[str, Any]:
    chain = next(chain for chain in one.chains if chain.index == index)
    assert chain.answer is not None, "only answered chains are shown"
    case = one.case
    return {
        "case_id": case.case_id,
        "category": case.category,
        "context": None if case.stereotype is None else case.stereotype.context,
        "text": case.text,
        "options": list(case.options),
        "right": case.answer,
        "stereotyped": None if case.stereotype is None else case.stereotype.target,
        "chain": chain.index,
        "answer": chain.answer,
        "steps": [
            {
                "text": text,
                "unbiased": round(float(score), 6),
                "label": None if labels is None else labels[place],
            }
            for place, (text, score) in enumerate(zip(chain.steps, scores, strict=True))
        ],
    }
