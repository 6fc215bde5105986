"""How well a reward model tells biased steps from unbiased ones, in categories that it never saw, names masked.

Notable: the area under the curve stands beside those of two baselines that read no meaning: a bag of words of the
step, and one of the chain's last step, where the answer stands. What is published is the difference to them, paired and
resampled by case, as steps of one case depend on each other. Train on `steps.masked` chains, too: a model that never
met the mask is tested on a word it does not know.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from equiray.errors import BadInput
from equiray.metrics.calibration import ece
from equiray.metrics.clusters import Interval, Resampling, cluster_weights, expanded_interval
from equiray.metrics.counting.scores import bin_of, on_grid
from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.scores import ece_interval
from equiray.metrics.tables import CALIBRATION_BINS, ScoreSums
from equiray.mitigation.reward.agreement import step_clusters, step_groups
from equiray.mitigation.reward.labelled import LabelledChains
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.model import RewardModel
from equiray.mitigation.reward.ranking import Ranking
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import ReasonedCase, masked

MODEL, BAG_OF_WORDS, LAST_STEP = "reward_model", "bag_of_words", "last_step"

_HELD = 4_000_000
_SEED_OF_SOLVER = 0
_WORD = re.compile(r"[^\W\d_]+|\d+|\[\w+\]")  # the mask is a word


class Judged(NamedTuple):
    """Labelled steps with the scores of several models.

    `labels` int64 [S] of 0 and 1, `clusters` int64 [S] the case of each, `groups` their names [S], `scores` float64 [S]
    by model: probabilities that a step is unbiased.
    """

    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    groups: NDArray[np.str_]
    scores: Mapping[str, NDArray[np.float64]]


def held_out(chains: LabelledChains, categories: frozenset[str]) -> tuple[LabelledChains, LabelledChains]:
    """(chains of all other categories, chains of these); labels are those of steps.

    Raises
    ------
    BadInput
        A category has no case, or nothing is left to learn from.
    """
    known = {reasoned.case.category for reasoned in chains.cases}
    if not categories <= known or categories == known:
        raise BadInput(
            f"held-out categories {sorted(categories)}, where chains have {sorted(known)}",
            place="held_out_categories",
            fix="name some of those, not all",
        )
    out = np.array([reasoned.case.category in categories for reasoned in chains.cases])
    steps = out[step_clusters(chains.cases)]
    sides = ((~out, ~steps), (out, steps))
    kept, left = (
        LabelledChains([one for one, mine in zip(chains.cases, of, strict=True) if mine], chains.labels[rows])
        for of, rows in sides
    )
    return kept, left


def evaluate_masked(
    model: RewardModel, train: LabelledChains, held: LabelledChains, *, attribute: str, resampling: Resampling
) -> list[Estimate]:
    """``step_auc`` of the model and both baselines with their paired differences, and ``ece`` of the model by group.

    Parameters
    ----------
    model : RewardModel
        Of steps.
    train : LabelledChains
        What the baselines learn from: the model's training chains.
    held : LabelledChains
        Of other categories. Both are masked here.
    attribute : str
        ``category``, or a sensitive attribute of the cases.
    resampling : Resampling
    """
    judged = judge_masked(model, train, held, attribute=attribute)
    estimates = auc_estimates(judged, resampling)
    return estimates + ece_estimates(judged, MODEL, attribute=attribute, confidence=resampling.confidence)


def judge_masked(model: RewardModel, train: LabelledChains, held: LabelledChains, *, attribute: str) -> Judged:
    """Score the labelled steps of held-out chains, masked."""
    if model.reading == "outcome":
        raise BadInput("an outcome model scores no steps", place="reward_model.reading", fix="evaluate a step model")
    learn, test = (LabelledChains(masked(side.cases), side.labels) for side in (train, held))
    known = test.labels != UNLABELLED
    scores = {MODEL: score_chains(model, test.cases).probabilities}
    for name, texts in ((BAG_OF_WORDS, _own_texts), (LAST_STEP, _last_texts)):
        scores[name] = bag_of_words(texts(learn.cases), learn.labels, texts(test.cases))
    return Judged(
        labels=test.labels[known],
        clusters=step_clusters(test.cases)[known],
        groups=np.array(step_groups(test.cases, attribute))[known],
        scores={name: values[known] for name, values in scores.items()},
    )


def bag_of_words(train: Sequence[str], labels: NDArray[np.int64], test: Sequence[str]) -> NDArray[np.float64]:
    """P(unbiased) of texts by their word counts: class-balanced logistic regression on words and pairs of words."""
    known = np.flatnonzero(labels != UNLABELLED)
    if len(np.unique(labels[known])) < 2:
        raise BadInput("labels of one kind only", place="training chains of a baseline", fix="label both kinds")
    classifier = make_pipeline(
        CountVectorizer(analyzer=_words_and_pairs),  # pyright: ignore[reportArgumentType]  # stubs know names only
        LogisticRegression(class_weight="balanced", max_iter=2000, random_state=_SEED_OF_SOLVER),
    )
    classifier.fit([train[i] for i in known], labels[known])
    return classifier.predict_proba(list(test))[:, 1]


def _words_and_pairs(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words + [" ".join(pair) for pair in pairwise(words)]


def auc_estimates(judged: Judged, resampling: Resampling) -> list[Estimate]:
    """``step_auc`` of every model, and of the first minus each other (stage ``difference``), resampled by case."""
    names = list(judged.scores)
    rankings = [Ranking(scores, judged.labels) for scores in judged.scores.values()]
    values = np.array([ranking.area() for ranking in rankings])
    interval = _resampled(rankings, judged.clusters, resampling)
    pairs = [(values[0] - values[i], len(names) + i - 1, f"{names[0]}-{names[i]}") for i in range(1, len(names))]
    rows = [(value, place, names[place]) for place, value in enumerate(values)] + pairs
    return [
        _area(value, interval, place, "masked" if place < len(names) else "difference", name, judged, resampling)
        for value, place, name in rows
    ]


def _resampled(rankings: Sequence[Ranking], clusters: NDArray[np.int64], resampling: Resampling) -> Interval | None:
    """Limits of each area, then of the first minus each other; None with fewer than two cases."""
    _, codes = np.unique(clusters, return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        return None
    draws = []
    at_a_time = max(1, _HELD // len(codes))
    for weights in cluster_weights(count, resampling):
        for first in range(0, len(weights), at_a_time):
            repeated = weights[first : first + at_a_time][:, codes]
            areas = np.stack([ranking.areas(repeated) for ranking in rankings], axis=1)
            draws.append(np.concatenate([areas, areas[:, :1] - areas[:, 1:]], axis=1))
    return expanded_interval(np.concatenate(draws), count, resampling.confidence)


def _area(
    value: float,
    interval: Interval | None,
    place: int,
    stage: str,
    model: str,
    judged: Judged,
    resampling: Resampling,
) -> Estimate:
    known = bool(np.isfinite(value))
    limited = known and interval is not None and bool(np.isfinite(interval.low[place]))
    low, high = (float(interval.low[place]), float(interval.high[place])) if limited and interval else (None, None)
    return Estimate(
        task="steps",
        stage=stage,
        model=model,
        metric="step_auc",
        attribute=None,
        group=None,
        value=float(value) if known else None,
        low=low,
        high=high,
        confidence=resampling.confidence,
        n=len(judged.labels),
        status="estimated" if limited else "partial" if known else "not_estimable",
        direction="higher",
    )


def ece_estimates(judged: Judged, model: str, *, attribute: str, confidence: float) -> list[Estimate]:
    """``ece`` of a model over all steps and in each group.

    The engine's limits are those of independent rows; here a group's rows count as their effective number, rows over
    the design effect of its cases: the variance of the mean of s - y with cases drawn whole, over that of rows alone.
    """
    scores = judged.scores[model]
    made = []
    for group in [None, *sorted(set(judged.groups.tolist()))]:
        chosen = np.ones(len(scores), dtype=bool) if group is None else judged.groups == group
        sums = _score_sums(scores[chosen], judged.labels[chosen])
        share = effective_share(scores[chosen] - judged.labels[chosen], judged.clusters[chosen])
        low, high = ece_interval(ScoreSums(*(part * share for part in sums)), confidence)
        made.append(
            Estimate(
                task="steps",
                stage="masked",
                model=model,
                metric="ece",
                attribute=attribute,
                group=group,
                value=float(ece(sums)[0]),
                low=float(low[0]),
                high=float(high[0]),
                confidence=confidence,
                n=int(chosen.sum()),
                status="estimated",
                direction="lower",
            )
        )
    return made


def effective_share(errors: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    """Effective rows for each row, at most 1: 1 over the design effect of clusters (Kish 1965)."""
    centred = errors - errors.mean()
    together = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=centred)
    alone, whole = float((centred**2).sum()), float((together**2).sum())
    return min(1.0, alone / whole) if whole > 0 else 1.0


def _score_sums(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> ScoreSums:
    """The calibration engine's sums of one group, each [1, 2, bins]."""
    place = labels * CALIBRATION_BINS + bin_of(on_grid(scores))
    parts = (np.ones_like(scores), scores, scores**2)
    shape = (1, 2, CALIBRATION_BINS)
    sums = [np.bincount(place, weights=part, minlength=2 * CALIBRATION_BINS).reshape(shape) for part in parts]
    return ScoreSums(*(part.astype(np.float64) for part in sums))


def _own_texts(cases: Sequence[ReasonedCase]) -> list[str]:
    return [step for reasoned in cases for chain in reasoned.chains for step in chain.steps]


def _last_texts(cases: Sequence[ReasonedCase]) -> list[str]:
    return [chain.steps[-1] for reasoned in cases for chain in reasoned.chains for _ in chain.steps]
