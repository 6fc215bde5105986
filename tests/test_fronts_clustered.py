"""Joint resamples of language models: against the estimates of one model, and against weights family by family."""

from dataclasses import replace

import numpy as np
import pytest

from equiray.metrics.clusters import Resampling, perplexity_change
from equiray.metrics.filler_scores import FillerScores
from equiray.metrics.fronts import replicated_gaps, replicated_perplexity, side_by_side
from equiray.metrics.fronts.resampled import drawn
from equiray.metrics.intrinsic import intrinsic_gaps


def models(count=3, families=6, twins=4, irrelevant=0):
    """Random scores of several models on the same prompts."""
    draw = np.random.default_rng(0)
    prompts = 2 * families * twins
    place = np.arange(prompts)
    first = FillerScores(
        logprobs=draw.normal(size=(prompts, 4 + irrelevant)),
        poor=2,
        rich=2,
        side=np.where(place % 2, "advantaged", "disadvantaged"),
        twin=(place // 2).astype(str),
        family=(place // (2 * twins)).astype(str),
        reversed=place % 3 == 0,
        groups=("a", "b"),
    )
    others = [replace(first, logprobs=draw.normal(size=first.logprobs.shape)) for _ in range(count - 1)]
    return [first, *others]


@pytest.mark.parametrize("irrelevant", [0, 2])
def test_values_and_resamples_are_the_gaps_of_the_prompts_that_were_drawn(irrelevant):
    scores = models(irrelevant=irrelevant)
    found = replicated_gaps(scores, replicates=20, seed=3)
    assert found.units == (6, 6)
    np.testing.assert_allclose(found.values, [intrinsic_gaps(each)[:2] for each in scores])
    for times, figures in zip(np.concatenate(list(drawn(6, 20, 3, "families"))), found.replicates, strict=True):
        weights = times[scores[0].family.astype(int)]
        for (absolute, signed), each in zip(figures, scores, strict=True):
            stereo = np.where(each.side == "disadvantaged", each.par(), 1 - each.par())
            assert absolute == pytest.approx(np.average(np.abs(2 * stereo - 1), weights=weights))
            assert signed == pytest.approx(np.average(2 * stereo - 1, weights=weights))


def test_perplexity_ratios_are_those_of_the_documents_that_were_drawn():
    draw = np.random.default_rng(1)
    tokens = np.array([5, 0, 8, 13, 21])
    base, *nll = draw.random((4, 5)) * tokens
    found = replicated_perplexity(np.array(nll), tokens, base, replicates=20, seed=3)
    assert found.units == (4,) and found.values.shape == (3, 1)
    for place, each in enumerate(nll):
        labels = {"task": "t", "stage": "s", "model": "m", "resampling": Resampling()}
        assert found.values[place, 0] == pytest.approx(perplexity_change(base, each, tokens, **labels)[1].value)
    kept = tokens > 0
    for times, ratios in zip(np.concatenate(list(drawn(4, 20, 3, "documents"))), found.replicates, strict=True):
        perplexity = [np.exp((times @ each[kept]) / (times @ tokens[kept])) for each in (base, *nll)]
        np.testing.assert_allclose(ratios[:, 0], np.array(perplexity[1:]) / perplexity[0])


def test_families_and_documents_stand_side_by_side_and_vary_independently():
    gaps = replicated_gaps(models(families=40), replicates=3000, seed=0)
    nll = np.random.default_rng(2).random((3, 40)) * 100
    ratio = replicated_perplexity(nll, np.full(40, 100), nll[0], replicates=3000, seed=0)
    both = side_by_side([gaps, ratio])
    assert both.units == (40, 40, 40) and both.values[0, 2] == 1.0
    joint = np.corrcoef(both.replicates[:, 1:].reshape(3000, -1).T)
    same = [0, 1, 3, 4], [2, 5]
    assert np.abs(joint[np.ix_(*same)]).max() < 0.07  # four standard errors of a correlation of 0
    assert np.abs(joint[2, 5]) > 0.3  # both are ratios to the same base


def test_other_prompts_cannot_be_resampled_together():
    one, other, _ = models()
    with pytest.raises(ValueError, match="same prompts in the same order"):
        replicated_gaps([one, replace(other, reversed=~other.reversed)], replicates=10, seed=0)
    with pytest.raises(ValueError, match="same prompts in the same order"):
        replicated_gaps([], replicates=10, seed=0)
    with pytest.raises(ValueError, match="two of each are the fewest"):
        replicated_gaps(models(families=1), replicates=10, seed=0)
    with pytest.raises(ValueError, match="one nll sum and one token count"):
        replicated_perplexity(np.ones((2, 3)), np.ones(4), np.ones(4), replicates=10, seed=0)
