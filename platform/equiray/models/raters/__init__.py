"""What rates a text's toxicity or sentiment, each rater in a file behind one small protocol."""

from equiray.models.raters.choosing import RATERS, rater_of
from equiray.models.raters.protocol import Rater

__all__ = ["RATERS", "Rater", "rater_of"]
