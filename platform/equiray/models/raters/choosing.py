"""Raters by the names that a spec gives them."""

from collections.abc import Callable, Mapping

from equiray.models.raters.profanity import ProfanityRater
from equiray.models.raters.protocol import Rater
from equiray.models.raters.vader import VaderRater

RATERS: Mapping[str, Callable[[], Rater]] = {"profanity_check": ProfanityRater, "vader": VaderRater}


def rater_of(name: str) -> Rater:
    """Raises BadInput where its package is not installed."""
    return RATERS[name]()
