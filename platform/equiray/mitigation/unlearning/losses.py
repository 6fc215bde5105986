"""The four terms of the unlearning loss of arXiv 2509.16462, as functions of tensors.

    L = lambda_unlearn L_unlearn + lambda_learn L_learn + lambda_gap L_gap + lambda_kl L_kl

The paper names the four terms and what each is for; their algebra is chosen here (methods: section 1.2). The answers
to a prompt are all its fillers, 9 that state the stereotype and 9 that state its opposite, so the gap term is the
metric `intrinsic_gap` itself. Answers come as `stereotype[P, A]` and `anti[P, A]`: the mean log-probability of
each answer's tokens after each of P prompts, in nats per token; minus that is the answer's cross-entropy (CE).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch.nn.functional import relu

GapForm = Literal["absolute", "log_odds"]


class Terms(NamedTuple):
    """The four terms, unweighted scalars; the fields name them in curve.jsonl and in the weights ``lambda_*``."""

    unlearn: torch.Tensor
    learn: torch.Tensor
    gap: torch.Tensor
    kl: torch.Tensor

    def weighted(self, weights: Mapping[str, float]) -> torch.Tensor:
        """Their weighted sum, `weights` by field name."""
        return torch.stack([weights[name] * term for name, term in self._asdict().items()]).sum()


def unlearn_loss(stereotype: torch.Tensor, bound: float) -> torch.Tensor:
    """Gradient ascent on the stereotyped answers, bounded: mean relu(bound - CE), in nats.

    Up to a constant this is - mean CE, but an answer whose CE has passed `bound` adds nothing, neither value nor
    gradient: unbounded ascent makes any loss as small as it likes by ruining the model.

    Parameters
    ----------
    stereotype : float [P, A]
        Mean log-probabilities; P may be 0, the loss is then 0.
    bound : float
        Nats per token.
    """
    return _mean(relu(bound + stereotype))


def learn_loss(anti: torch.Tensor) -> torch.Tensor:
    """Gradient descent on the answers that state the opposite: mean CE of `anti` [P, A], in nats; 0 if P is 0."""
    return _mean(-anti)


def gap_loss(stereotype: torch.Tensor, anti: torch.Tensor, form: GapForm) -> torch.Tensor:
    """Imbalance between the two kinds of answer, whichever is ahead; 0 is fair.

    With P(answer) = exp(mean log-probability) and p(stereotype) = sum over its answers, normalised over both kinds,

        absolute    mean |p(stereotype) - p(anti)|, 0..1: the metric `intrinsic_gap` of these prompts
        log_odds    mean |log p(stereotype) - log p(anti)|, nats: same sign and same zero, and a gradient that does
                    not vanish where one kind has all the probability

    Parameters
    ----------
    stereotype, anti : float [P, A]
        For a prompt without stereotype, poor and rich answers: the term is symmetric in them.
    form : str
    """
    log_odds = torch.logsumexp(stereotype, dim=-1) - torch.logsumexp(anti, dim=-1)
    return (log_odds if form == "log_odds" else torch.tanh(log_odds / 2)).abs().mean()


def kl_loss(original: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Divergence of next-token distributions from the original model's: mean_t KL(p_0(. | x_<t) || p(. | x_<t)).

    The true divergence over the whole vocabulary, so 0 for the original model; cross-entropy, sometimes reported in
    its place, differs by the original's entropy.

    Parameters
    ----------
    original, logits : float [T, V]
        Unnormalised log-probabilities of the original and of the trained model at T positions of reference texts.
    """
    p0 = torch.log_softmax(original, dim=-1)
    return (p0.exp() * (p0 - torch.log_softmax(logits, dim=-1))).sum(dim=-1).mean()


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean() if values.numel() else values.sum()
