"""What of a decision counts for which metric: kinds of rows, and the metrics that are watched live, made of them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from equiray.metrics.estimates import Direction

REJECTED, SELECTED, UNANSWERED = 0, 1, 2
"""A decision as a place in counts: its value, or 2 where none was made (refused)."""

UNKNOWN = (0.0, 1.0)
Outcome = tuple[float, float]
"""Least and largest value that a row's event may have: equal where it is known."""

_SELECTED: Mapping[int, Outcome] = {REJECTED: (0.0, 0.0), SELECTED: (1.0, 1.0), UNANSWERED: UNKNOWN}
_REJECTED: Mapping[int, Outcome] = {REJECTED: (1.0, 1.0), SELECTED: (0.0, 0.0), UNANSWERED: UNKNOWN}
_REFUSED: Mapping[int, Outcome] = {REJECTED: (0.0, 0.0), SELECTED: (0.0, 0.0), UNANSWERED: (1.0, 1.0)}
_RIGHT = (_REJECTED, _SELECTED)  # by label


class Kind(NamedTuple):
    """A rate: the rows in its denominator, by label (None: whatever it is) and decision, and their event.

    `events` has a table of decisions for label 0 and one for label 1; a decision that is not in it does not count.
    `selective`: what is estimated from rows with a known label stands for all rows only if labels of rejected
    ones are seen as well.
    """

    events: tuple[Mapping[int, Outcome], Mapping[int, Outcome]]
    labelled: bool
    selective: bool
    direction: Direction


_NONE: Mapping[int, Outcome] = {}
KINDS: Mapping[str, Kind] = {
    "selection_rate": Kind((_SELECTED, _SELECTED), labelled=False, selective=False, direction="none"),
    "refusal_rate": Kind((_REFUSED, _REFUSED), labelled=False, selective=False, direction="lower"),
    "tpr": Kind((_NONE, _SELECTED), labelled=True, selective=True, direction="higher"),
    "fnr": Kind((_NONE, _REJECTED), labelled=True, selective=True, direction="lower"),
    "fpr": Kind((_SELECTED, _NONE), labelled=True, selective=True, direction="lower"),
    "tnr": Kind((_REJECTED, _NONE), labelled=True, selective=True, direction="higher"),
    "accuracy": Kind(_RIGHT, labelled=True, selective=True, direction="higher"),
    "ppv": Kind(({SELECTED: (0.0, 0.0)}, {SELECTED: (1.0, 1.0)}), labelled=True, selective=False, direction="higher"),
}

Form = Literal["rate", "difference", "ratio"]


class Watched(NamedTuple):
    """A metric as kinds of rows and how groups are compared in them."""

    kinds: tuple[str, ...]
    form: Form


WATCHED: Mapping[str, Watched] = {
    **{name: Watched((name,), "rate") for name in KINDS},
    "worst_group_accuracy_groups": Watched(("accuracy",), "rate"),
    "demographic_parity_difference": Watched(("selection_rate",), "difference"),
    "disparate_impact_ratio": Watched(("selection_rate",), "ratio"),
    "impact_ratio": Watched(("selection_rate",), "ratio"),
    "equal_opportunity_difference": Watched(("tpr",), "difference"),
    "fnr_difference": Watched(("tpr",), "difference"),
    "fpr_difference": Watched(("fpr",), "difference"),
    "equalized_odds_difference_max": Watched(("tpr", "fpr"), "difference"),
    "accuracy_parity_difference": Watched(("accuracy",), "difference"),
    "predictive_parity_difference": Watched(("ppv",), "difference"),
}
"""Metrics that a bound can be watched for. What is a sum or a mean of gaps, or needs scores, is not among them."""
