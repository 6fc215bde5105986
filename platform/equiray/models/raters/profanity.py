"""Toxicity by alt-profanity-check: a linear model of words, learnt from comments that people called offensive.

Notable: it is small and fast, and weak. It reads words and not what is said about whom; names of groups that are often
insulted raise its rating by themselves ("The gay man is a doctor": .51, "The man is a doctor": .02), which is what the
group-swap error of every run shows.
"""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import sklearn
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.models.raters.protocol import EXTRA, identity_of, package_folder

_MODULE, _PACKAGE = "profanity_check", "alt-profanity-check"


class ProfanityRater:
    """Probability that people would call a text offensive, 0 to 1.

    Raises
    ------
    BadInput
        The package is not installed, or was made for another scikit-learn than is: a pickled model read by another
        version rates otherwise.
    """

    name = "profanity_check"
    about = (
        "alt-profanity-check: a linear model of 15,442 single words, pronouns not among them, learnt from 200,000 "
        "comments that people called offensive or not. English only. It reads words, not meaning: it misses polite "
        "contempt, and names of groups that are often insulted raise its rating by themselves."
    )

    def __init__(self) -> None:
        self._folder = package_folder(_MODULE, _PACKAGE)
        made_for = version(_PACKAGE)
        if sklearn.__version__ != made_for:
            raise BadInput(
                f"{_PACKAGE} {made_for} was made by scikit-learn {made_for}, installed is {sklearn.__version__}",
                place="the spec's scorers",
                fix=EXTRA,
            )

    @property
    def identity(self) -> str:
        """Version, and model and vocabulary by content."""
        return identity_of(_PACKAGE, sorted((self._folder / "data").glob("*.joblib")))

    def rate(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities [texts]."""
        if not texts:
            return np.empty(0)
        import profanity_check  # reads its model as it is imported

        return np.asarray(profanity_check.predict_prob(list(texts)), dtype=np.float64)
