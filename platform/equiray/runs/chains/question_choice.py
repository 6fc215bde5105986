"""The temperature and number of chains that answer questions: chosen on validation ones, by bias and accuracy.

Notable: which of the two bias scores counts is a setting, for they say different things: that of ambiguous questions is
about guessing without evidence, that of disambiguated ones about which evidence is believed. A limit that holds in the
sample, but not over the whole of its interval, makes the choice inconclusive, as of people (`voting.choosing`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of
from equiray.data.cases.record import Case
from equiray.metrics.clusters import Resampling, cluster_interval, cluster_sums
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.votes import Votes
from equiray.runs.chains.people import plain
from equiray.runs.chains.questions import POOLED, counts_of, figures
from equiray.specs.chains import ChainsSpec, DecisionSpec

SCORES = ("bbq_bias_ambiguous", "bbq_bias_disambiguated")
"""In the order of `figures`."""

_ROUNDING = 1e-12
_SHOWN = 5


def choose(grid: Mapping[str, Any], cases: Sequence[Case], votes: Votes, spec: ChainsSpec) -> dict[str, Any]:
    """The point of a grid with the least bias that costs little, or the most accurate one with little bias.

    Without `decision.max_bias`: the least absolute bias of what costs at most `decision.max_accuracy_loss` of
    ``share_right`` against the majority of as many chains. With it: the most rightly answered of what keeps it. Ties go
    to fewer chains, then to the higher temperature. As of people, the record says what was looked at.

    Parameters
    ----------
    grid : mapping
        Of `questions.grid_of`, validation questions; its last temperature is infinite.
    cases : sequence of Case
    votes : Votes
        What the grid is made of.
    spec : ChainsSpec
    """
    decision = spec.decision
    taus = [float(tau) for tau in grid["temperatures"]]
    bias = np.abs([_values(grid, SCORES[one]) for one in _scores(decision)]).max(0)  # NaN where one is
    right = _values(grid, "share_right")
    lost = right[-1] - right
    if decision.max_bias is None:
        part, kept, best = f"accuracy loss at most {decision.max_accuracy_loss:g}", lost <= _least(decision), bias
    else:
        part, kept, best = f"bias at most {decision.max_bias:g}", bias <= decision.max_bias + _ROUNDING, -right
    feasible = kept & ~np.isnan(bias)
    places = [(int(row), int(column)) for row, column in np.argwhere(feasible)]
    ranked = sorted(places, key=lambda at: (round(best[at], 12), at[1], -taus[at[0]]))

    def candidate(at: tuple[int, int]) -> dict[str, Any]:
        figures_ = {name: of[at[0]][at[1]] for name, of in grid["figures"].items()}
        return {"tau": plain(taus[at[0]]), "chains": grid["chains"][at[1]], "figures": figures_}

    chosen = candidate(ranked[0]) if ranked else None
    checks = [] if chosen is None else _checks(chosen, cases, votes, spec)
    status, reason = _judged(chosen, checks, bias, decision)
    return {
        "status": status,
        "attribute": POOLED,
        "chosen": chosen,
        "majority": candidate((len(taus) - 1, ranked[0][1] if ranked else bias.shape[1] - 1)),
        "next_best": [candidate(at) for at in ranked[1 : _SHOWN + 1]],
        "candidates": int(bias.size),
        "feasible": len(ranked),
        "excluded": {part: int((~kept).sum())},
        "checks": checks,
        "reason": reason,
    }


def _scores(decision: DecisionSpec) -> tuple[int, ...]:
    """Places of the bias scores that count."""
    return {"ambiguous": (0,), "disambiguated": (1,), "larger": (0, 1)}[decision.bias]


def _least(decision: DecisionSpec) -> float:
    return decision.max_accuracy_loss + _ROUNDING


def _values(grid: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    return np.array([[np.nan if v is None else v for v in row] for row in grid["figures"][name]], dtype=np.float64)


def _checks(chosen: Mapping[str, Any], cases: Sequence[Case], votes: Votes, spec: ChainsSpec) -> list[dict[str, Any]]:
    """Whether the limits of bias hold over their intervals, all of them together."""
    bound, which = spec.decision.max_bias, _scores(spec.decision)
    if bound is None:
        return []
    answer = decide(votes, float(chosen["tau"]), chosen["chains"]).answer
    sums = cluster_sums(counts_of(cases, answer), np.array([family_of(case) for case in cases], dtype=np.str_))
    alone = 1 - (1 - spec.confidence) / len(which)
    interval = cluster_interval(sums, figures, Resampling(confidence=alone, replicates=spec.replicates, seed=spec.seed))
    found = []
    for one in which:
        low, high = (None, None) if interval is None else (plain(interval.low[one]), plain(interval.high[one]))
        for side, limit in (("least", -bound), ("most", bound)):
            value = chosen["figures"][SCORES[one]]
            found.append(
                {"metric": SCORES[one], "side": side, "bound": limit, "value": value, "low": low, "high": high}
            )
    return found


def _holds(check: Mapping[str, Any]) -> bool:
    if check["low"] is None or check["high"] is None:
        return False
    over = check["low"] - check["bound"] if check["side"] == "least" else check["bound"] - check["high"]
    return over >= -_ROUNDING


def _judged(
    chosen: Mapping[str, Any] | None,
    checks: Sequence[Mapping[str, Any]],
    bias: NDArray[np.float64],
    decision: DecisionSpec,
) -> tuple[str, str]:
    named = {
        "ambiguous": "bias on ambiguous questions",
        "disambiguated": "bias on disambiguated questions",
        "larger": "bias, the larger of both contexts,",
    }[decision.bias]
    if chosen is None and np.isnan(bias).all():
        contexts = (
            "validation question of either context"
            if decision.bias == "larger"
            else (f"{decision.bias} validation question")
        )
        return "inconclusive", f"no {contexts} with one stereotyped person is answered"
    if chosen is None:
        least = np.nanmin(bias)
        return "infeasible", f"no temperature and number of chains has a {named} of at most {decision.max_bias:g}: " + (
            f"the least is {least:.3f}"
        )
    if decision.max_bias is None:
        return "chosen", f"the least {named} of what keeps the accuracy"
    why = f"the most right answers of what keeps the {named} to {decision.max_bias:g}"
    if all(map(_holds, checks)):
        return "chosen", why
    return "inconclusive", f"{why} in the sample, but the questions do not bear it out"
