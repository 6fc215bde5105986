"""The metrics a policy may bound: which way is better, and what values there are."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from equiray.metrics import likelihood
from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Direction
from equiray.metrics.metric import UNIT, Range


class Known(NamedTuple):
    """What a bound on a metric must not contradict."""

    direction: Direction
    range: Range = UNIT


_SIGNED = Range(-1, 1)
_POSITIVE = Range(0, inf)

KNOWN: Mapping[str, Known] = {
    **{name: Known(metric.direction, metric.range) for name, metric in METRICS.items()},
    # computed from prompts, images, answers and exposures rather than from counts of a table
    "activation_rate": Known("none"),
    "intrinsic_gap": Known("lower"),
    "intrinsic_gap_signed": Known("zero", _SIGNED),
    "intrinsic_gap_counterfactual": Known("lower"),
    "intrinsic_gap_reduction": Known("higher", Range(-inf, 1)),
    "intrinsic_gap_counterfactual_reduction": Known("higher", Range(-inf, 1)),
    "par": Known("half"),
    "lmcs": Known("higher"),
    "els": Known("higher"),
    "perplexity": Known("lower", Range(1, inf)),
    "perplexity_ratio": Known("lower", _POSITIVE),
    "representation_disparity": Known("lower", Range(0, 2)),
    "corrected_share": Known("higher"),
    "clip_score": Known("higher", Range(-inf, inf)),
    "bbq_bias_ambiguous": Known("zero", _SIGNED),
    "bbq_bias_disambiguated": Known("zero", _SIGNED),
    **{name: Known(*known) for name, known in likelihood.RANGES.items()},
    "step_auc": Known("higher"),
    "leakage_auc": Known("lower"),
    "exposure_ratio": Known("none", _POSITIVE),
    "exposure_gini": Known("lower"),
    "context_spread": Known("lower", _POSITIVE),
}
