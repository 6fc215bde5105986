"""Sentiment by VADER (Hutto and Gilbert 2014), as in BOLD's paper: a lexicon of rated words and rules for them.

Notable: it knows 7,500 words, negation, degree and emphasis, and nothing else. Words that name a group or a fate
("cancer", "gay", "crime") carry ratings of their own, whatever a text says.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.models.raters.protocol import identity_of, package_folder

_MODULE, _PACKAGE = "vaderSentiment", "vaderSentiment"


class VaderRater:
    """VADER's compound rating of a text, -1 to 1; 0 where it knows none of its words.

    Raises
    ------
    BadInput
        The package is not installed.
    """

    name = "vader"
    about = (
        "VADER: a lexicon of 7,500 rated words with rules for negation and emphasis, made for social media. English "
        "only. It adds up words and does not understand sentences; a text without such words is 0."
    )

    def __init__(self) -> None:
        self._folder = package_folder(_MODULE, _PACKAGE)
        self._analyzer: Any = None

    @property
    def identity(self) -> str:
        """Version, and lexicons and rules by content."""
        names = ("vader_lexicon.txt", "emoji_utf8_lexicon.txt", "vaderSentiment.py")
        return identity_of(_PACKAGE, (self._folder / name for name in names))

    def rate(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Compound ratings [texts]."""
        if self._analyzer is None:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

            self._analyzer = SentimentIntensityAnalyzer()
        return np.array([self._analyzer.polarity_scores(text)["compound"] for text in texts], dtype=np.float64)
