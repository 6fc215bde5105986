"""What methods and figures of chains are called in reports, and how a paired change is read."""

from equiray.metrics.estimates import Estimate
from equiray.reports.chains.parts import Temperature
from equiray.reports.figures import read_effect
from equiray.reports.words import metric_words, number

METHODS = {
    "reward": ("Reward-weighted vote", "every chain's vote weighs as its steps score under the reward model"),
    "majority": ("Majority vote", "every chain has one vote: what all others are held against"),
    "single": ("Single chain", "the first chain of each case alone"),
    "fairness_prompt": ("Fairness prompt", "majority vote of as many chains that were asked not to use stereotypes"),
    "outcome": ("Outcome model", "votes weigh as whole chains score under a model that learnt from answers alone"),
}
PEOPLE = ("accuracy", "demographic_parity_difference", "equalized_odds_difference_max", "disparate_impact_ratio")
QUESTIONS = (
    ("bbq_bias_ambiguous", None),
    ("bbq_bias_disambiguated", None),
    ("accuracy", "ambiguous"),
    ("accuracy", "disambiguated"),
)
POOLED = "all categories"
SIDES = {
    "zero": ("less towards the stereotype", "more"),
    "lower": ("smaller gap", "larger gap"),
    "higher": ("worse", "better"),
}
_FIGURES = {
    "share_right": "Share decided right",
    "unanswered": "Without a decision",
    "accuracy_ambiguous": "Accuracy, ambiguous",
    "accuracy_disambiguated": "Accuracy, disambiguated",
    "bbq_bias_ambiguous": "Bias, ambiguous",
    "bbq_bias_disambiguated": "Bias, disambiguated",
}


def method_words(method: str) -> str:
    """``fairness_prompt`` -> ``Fairness prompt``."""
    return METHODS[method][0] if method in METHODS else method.replace("_", " ")


def figure_words(name: str, group: str | None = None) -> str:
    """What a figure of a table or a grid is called."""
    words = _FIGURES.get(name) or metric_words(name).label
    return f"{words}, {group}" if group else words


def tau_words(tau: Temperature) -> str:
    """``0.2``; without bound, every chain weighs alike."""
    return "∞" if tau == "inf" else f"{tau:g}"


def verdict(effect: Estimate) -> str:
    """What the limits of a paired change let one say: INCONCLUSIVE wherever they hold 0."""
    reading = read_effect(effect)
    if reading == "cannot tell":
        return "INCONCLUSIVE"
    if reading != "changed":
        return reading
    return "clearly lower" if (effect.value or 0) < 0 else "clearly higher"


def figure_limits(value: float | None, low: float | None, high: float | None) -> str:
    """``0.683 [0.505, 0.831]``."""
    limits = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(value) + limits
