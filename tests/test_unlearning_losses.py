"""The loss terms against hand-written sums, and the properties that keep training from ruining a model."""

import math

import pytest
import torch

from equiray.mitigation.unlearning.losses import Terms, gap_loss, kl_loss, learn_loss, unlearn_loss


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_bounded_ascent_has_no_gradient_beyond_the_bound():
    logprobs = torch.tensor([[-1.0, -7.9], [-8.1, -30.0]], requires_grad=True)
    loss = unlearn_loss(logprobs, 8.0)
    assert loss.item() == pytest.approx((7 + 0.1 + 0 + 0) / 4, abs=1e-6)
    loss.backward()
    assert logprobs.grad.tolist() == [[0.25, 0.25], [0.0, 0.0]]


def test_learning_raises_what_unlearning_lowers():
    logprobs = torch.tensor([[-2.0, -3.0]], requires_grad=True)
    learn_loss(logprobs).backward()
    assert logprobs.grad.tolist() == [[-0.5, -0.5]]
    assert learn_loss(logprobs).item() == pytest.approx(2.5)


def test_no_sided_prompt_no_loss():
    none = torch.empty(0, 9)
    assert unlearn_loss(none, 8.0).item() == learn_loss(none).item() == 0


def test_gap_is_the_metric():
    stereotype, anti = draw(5, 9) - 6, draw(5, 9, seed=1) - 6
    p = [math.fsum(math.exp(v) for v in row) for row in stereotype.tolist()]
    q = [math.fsum(math.exp(v) for v in row) for row in anti.tolist()]
    expected = [abs(a - b) / (a + b) for a, b in zip(p, q, strict=True)]
    assert gap_loss(stereotype, anti, "absolute").item() == pytest.approx(sum(expected) / 5, abs=1e-6)
    assert gap_loss(anti, stereotype, "absolute").item() == pytest.approx(sum(expected) / 5, abs=1e-6)
    odds = [abs(math.log(a / b)) for a, b in zip(p, q, strict=True)]
    assert gap_loss(stereotype, anti, "log_odds").item() == pytest.approx(sum(odds) / 5, abs=1e-6)


def test_log_odds_keep_a_gradient_where_the_metric_has_none():
    for form, at_least, at_most in (("log_odds", 0.99, 1.01), ("absolute", 0.0, 1e-6)):
        stereotype = torch.tensor([[0.0]], requires_grad=True)
        gap_loss(stereotype, torch.tensor([[-20.0]]), form).backward()
        assert at_least <= stereotype.grad.item() <= at_most, form


def test_kl_is_the_divergence_and_not_the_cross_entropy():
    original, logits = draw(7, 50), draw(7, 50, seed=1)
    p0, p = original.double().softmax(-1), logits.double().softmax(-1)
    expected = sum((a * (a / b).log()).sum().item() for a, b in zip(p0, p, strict=True)) / 7
    assert kl_loss(original, logits).item() == pytest.approx(expected, abs=1e-5)
    assert kl_loss(original, original).item() == pytest.approx(0, abs=1e-6)
    same = original.clone().requires_grad_()
    kl_loss(original, same).backward()
    assert same.grad.abs().max() < 1e-6


def test_weighted_sum():
    terms = Terms(*torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert terms.weighted({"kl": 1000.0, "unlearn": 1.0, "learn": 10.0, "gap": 100.0}).item() == 1 + 20 + 300 + 4000
