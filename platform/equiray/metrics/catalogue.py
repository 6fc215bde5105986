"""Every metric computed from counts: id, formula, range, direction, what 0 means, and the interval it needs.

Notable: `METRICS` is what says which way is better; a test holds each entry against the docstring of its formula and
against random tables. Of `Metric.rates` and `Metric.interval`, the limits of a metric are made.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from equiray.metrics import calibration, disparities, individual, ranking, rates, regression, thresholds
from equiray.metrics.disparities import Disparity
from equiray.metrics.estimates import Direction
from equiray.metrics.metric import UNIT, IntervalKind, Metric, Range, Reads, Scope
from equiray.metrics.rates import SELECTION_RATE, Rate

_ERROR = Range(0, inf)


def _rate(name: str, rate: Rate, formula: str, direction: Direction, zero: str, *, binary: bool = True) -> Metric:
    return _metric(name, rate.of, formula, direction, zero, reads="mass", interval="rate", rates=(rate,), binary=binary)


def _disparity(
    name: str, of: Disparity, formula: str, zero: str, *, bounds: Range = UNIT, binary: bool = True
) -> Metric:
    return _metric(
        name,
        of.of,
        formula,
        "higher" if of.combined in ("ratio", "minimum") else "lower",
        zero,
        reads="mass",
        scope="attribute",
        interval=of.combined,
        bounds=bounds,
        rates=of.rates,
        binary=binary,
    )


def _metric(
    name: str,
    function: Callable[..., Any],
    formula: str,
    direction: Direction,
    zero: str,
    *,
    reads: Reads,
    scope: Scope = "group",
    interval: IntervalKind = "smooth",
    bounds: Range = UNIT,
    rates: tuple[Rate, ...] = (),
    binary: bool = False,
) -> Metric:
    return Metric(
        id=name,
        formula=formula,
        range=bounds,
        direction=direction,
        zero=zero,
        scope=scope,
        reads=reads,
        function=function,
        interval=interval,
        rates=rates,
        binary=binary,
    )


# fmt: off
METRICS: Mapping[str, Metric] = {
    # of each group
    "selection_rate": _rate("selection_rate", SELECTION_RATE,
        "P(ŷ=1 | g)", "none", "nobody in the group is selected"),
    "tpr": _rate("tpr", rates.TPR,
        "P(ŷ=1 | y=1, g)", "higher", "no positive row is found"),
    "fpr": _rate("fpr", rates.FPR,
        "P(ŷ=1 | y=0, g)", "lower", "no negative row is selected"),
    "tnr": _rate("tnr", rates.TNR,
        "P(ŷ=0 | y=0, g)", "higher", "every negative row is selected"),
    "fnr": _rate("fnr", rates.FNR,
        "P(ŷ=0 | y=1, g)", "lower", "every positive row is found"),
    "ppv": _rate("ppv", rates.PPV,
        "P(y=1 | ŷ=1, g)", "higher", "every selected row is a negative one"),
    "accuracy": _rate("accuracy", rates.ACCURACY,
        "P(ŷ=y | g)", "higher", "every decision is wrong", binary=False),
    "refusal_rate": _rate("refusal_rate", rates.REFUSAL_RATE,
        "P(refused | g)", "lower", "no row is refused", binary=False),
    "parse_failure_rate": _rate("parse_failure_rate", rates.PARSE_FAILURE_RATE,
        "P(unparsed | g)", "lower", "every answer is understood", binary=False),
    "auc": _metric("auc", ranking.auc,
        "P(s of a positive > s of a negative) + P(equal)/2 in g", "higher", "all ranked wrongly", reads="scores"),
    "brier": _metric("brier", calibration.brier,
        "mean (s - y)² in g", "lower", "every score is its label", reads="score_sums"),
    "ece": _metric("ece", calibration.ece,
        "sum_b n_b/n |mean score - share of positives| in g", "lower", "calibrated in every bin",
        reads="score_sums", interval="bins"),
    "mean_score": _metric("mean_score", regression.mean_score,
        "mean s in g", "none", "every score is 0", reads="score_sums"),
    "mae": _metric("mae", regression.mae,
        "mean |f - y| in g", "lower", "every prediction is exact", reads="targets", bounds=_ERROR),
    "rmse": _metric("rmse", regression.rmse,
        "sqrt(mean (f - y)²) in g", "lower", "every prediction is exact", reads="targets", bounds=_ERROR),
    "mean_prediction": _metric("mean_prediction", regression.mean_prediction,
        "mean f in g", "none", "predictions average 0", reads="targets", bounds=Range(-inf, inf)),

    # of each group against the others
    "impact_ratio": _metric("impact_ratio", disparities.impact_ratio,
        "P(ŷ=1 | g) / max_g' P(ŷ=1 | g')", "higher", "nobody of the group is selected",
        reads="mass", scope="relative", interval="ratio", rates=(SELECTION_RATE,), binary=True),
    "scoring_rate": _metric("scoring_rate", thresholds.scoring_rate,
        "P(s > median of all rows | g)", "none", "nobody in the group scores above the median",
        reads="scores", scope="relative", interval="rate", rates=(SELECTION_RATE,)),
    "scoring_impact_ratio": _metric("scoring_impact_ratio", thresholds.scoring_impact_ratio,
        "Scoring rate of g / max_g' scoring rate of g'", "higher", "none scores above the median",
        reads="scores", scope="relative", interval="ratio", rates=(SELECTION_RATE,)),

    # of the attribute
    "demographic_parity_difference": _disparity(
        "demographic_parity_difference", disparities.DEMOGRAPHIC_PARITY_DIFFERENCE,
        "max_g P(ŷ=1 | g) - min_g P(ŷ=1 | g)", "all groups are selected equally often"),
    "disparate_impact_ratio": _disparity(
        "disparate_impact_ratio", disparities.DISPARATE_IMPACT_RATIO,
        "min_g P(ŷ=1 | g) / max_g P(ŷ=1 | g)", "nobody of some group is selected"),
    "equalized_odds_difference_max": _disparity(
        "equalized_odds_difference_max", disparities.EQUALIZED_ODDS_DIFFERENCE_MAX,
        "max(max_g TPR - min_g TPR, max_g FPR - min_g FPR)", "equal TPR and equal FPR"),
    "equalized_odds_difference_mean": _disparity(
        "equalized_odds_difference_mean", disparities.EQUALIZED_ODDS_DIFFERENCE_MEAN,
        "((max_g TPR - min_g TPR) + (max_g FPR - min_g FPR)) / 2", "equal TPR and equal FPR"),
    "equalized_odds_difference_sum": _disparity(
        "equalized_odds_difference_sum", disparities.EQUALIZED_ODDS_DIFFERENCE_SUM,
        "(max_g TPR - min_g TPR) + (max_g FPR - min_g FPR)", "equal TPR and equal FPR", bounds=Range(0, 2)),
    "equal_opportunity_difference": _disparity(
        "equal_opportunity_difference", disparities.EQUAL_OPPORTUNITY_DIFFERENCE,
        "max_g TPR - min_g TPR", "positive rows are found equally often"),
    "accuracy_parity_difference": _disparity(
        "accuracy_parity_difference", disparities.ACCURACY_PARITY_DIFFERENCE,
        "max_g accuracy - min_g accuracy", "equal accuracy", binary=False),
    "predictive_parity_difference": _disparity(
        "predictive_parity_difference", disparities.PREDICTIVE_PARITY_DIFFERENCE,
        "max_g PPV - min_g PPV", "a selection is right equally often"),
    "fpr_difference": _disparity(
        "fpr_difference", disparities.FPR_DIFFERENCE,
        "max_g FPR - min_g FPR", "negative rows are selected equally often"),
    "fnr_difference": _disparity(
        "fnr_difference", disparities.FNR_DIFFERENCE,
        "max_g FNR - min_g FNR", "positive rows are missed equally often"),
    "worst_group_accuracy_cells": _disparity(
        "worst_group_accuracy_cells", disparities.WORST_GROUP_ACCURACY_CELLS,
        "min over (label, group) of P(ŷ=y | y, g)", "every decision in some cell is wrong", binary=False),
    "worst_group_accuracy_groups": _disparity(
        "worst_group_accuracy_groups", disparities.WORST_GROUP_ACCURACY_GROUPS,
        "min_g P(ŷ=y | g)", "every decision in some group is wrong", binary=False),
    "mean_score_difference": _metric(
        "mean_score_difference", regression.mean_score_difference,
        "max_g mean s - min_g mean s", "lower", "equal mean scores",
        reads="score_sums", scope="attribute", interval="max_difference"),
    "mean_prediction_difference": _metric(
        "mean_prediction_difference", regression.mean_prediction_difference,
        "max_g mean f - min_g mean f", "lower", "equal mean predictions",
        reads="targets", scope="attribute", interval="max_difference", bounds=_ERROR),

    # of rows and their twins or neighbours
    "counterfactual_flip_rate": _metric(
        "counterfactual_flip_rate", individual.counterfactual_flip_rate,
        "P(ŷ(twin) ≠ ŷ(row))", "lower", "no decision changes with the sensitive attribute",
        reads="twin_decisions", scope="attribute", interval="rate"),
    "counterfactual_score_shift": _metric(
        "counterfactual_score_shift", individual.counterfactual_score_shift,
        "mean (s(twin) - s(row))", "zero", "scores do not move, or moves cancel",
        reads="twin_scores", scope="attribute", bounds=Range(-1, 1)),
    "counterfactual_score_shift_absolute": _metric(
        "counterfactual_score_shift_absolute", individual.counterfactual_score_shift_absolute,
        "mean |s(twin) - s(row)|", "lower", "no score moves with the sensitive attribute",
        reads="twin_scores", scope="attribute"),
    "consistency": _metric(
        "consistency", individual.consistency,
        "1 - mean |ŷ - mean ŷ of the k nearest neighbours|", "higher", "all differ from all theirs",
        reads="neighbourhood", scope="attribute", interval="none"),
}
