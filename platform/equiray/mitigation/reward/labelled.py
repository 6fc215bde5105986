"""What a reward model is trained on: sequences, the places in them that have a label, and what an update makes of them.

    L = 1/N Σ_i w[y_i] (softplus(z_i) - y_i z_i),   w[y] = n / (2 n_y),   y = 1 unbiased

Class-balanced BCE (arXiv 2507.11344), with `w` of the whole training set, so that a batch of rare labels does not
change what is learned.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from equiray.errors import BadInput
from equiray.mitigation.reward.inputs import Inputs
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.model import RewardModel
from equiray.mitigation.reward.steps import ReasonedCase


class LabelledChains(NamedTuple):
    """Chains and what is known of them.

    `labels` int64: of steps in the order of `step_records`, or for the reading ``outcome`` of chains
    (`labels.outcome_array`); 1 unbiased, 0 biased, `UNLABELLED`.
    """

    cases: Sequence[ReasonedCase]
    labels: NDArray[np.int64]


class Labelled(NamedTuple):
    """Sequences with the readings that have a label, and those labels, flat."""

    inputs: Inputs
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, model: RewardModel, chains: LabelledChains, place: str) -> "Labelled":
        """Lay chains out as a model reads them.

        Raises
        ------
        BadInput
            As many labels as there are readings are not there, or all are of one kind; `place` is named.
        """
        inputs = model.inputs(chains.cases)
        readings, labels = int(inputs.first[-1]), chains.labels
        if len(labels) != readings:
            raise BadInput(f"{len(labels)} labels of {readings} readings", place=place, fix="label these very chains")
        parts = np.split(labels != UNLABELLED, inputs.first[1:-1])
        kept = [i for i, part in enumerate(parts) if part.any()]
        known = labels[labels != UNLABELLED]
        if len(np.unique(known)) < 2:
            raise BadInput(
                f"{len(known)} labels, {int(known.sum())} of them unbiased", place=place, fix="label both kinds"
            )
        ends = tuple(inputs.ends[i][parts[i]] for i in kept)
        return cls(Inputs(sequences=tuple(inputs.sequences[i] for i in kept), ends=ends), known)

    def take(self, chosen: NDArray[np.int64]) -> "Labelled":
        """Some of the sequences, in that order."""
        first = self.inputs.first
        labels = [self.labels[first[i] : first[i + 1]] for i in chosen]
        return Labelled(self.inputs.take(chosen), np.concatenate([*labels, np.empty(0, dtype=np.int64)]))


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights n / (2 n_y) of biased and unbiased steps, [2]: the weights' mean over the steps is 1."""
    return len(labels) / (2 * np.bincount(labels, minlength=2))


def loss_parts(
    model: RewardModel, inputs: Inputs, labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> Iterator[torch.Tensor]:
    """Parts of an update's loss, one a forward pass, to be differentiated one after the other; see the module."""
    for readings, logits in model.parts(inputs):
        said = labels[readings]
        weight = torch.as_tensor(weights[said] / len(labels), dtype=logits.dtype, device=logits.device)
        target = torch.as_tensor(said, dtype=logits.dtype, device=logits.device)
        yield binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")


def sequences_of_step(first: NDArray[np.int64], step: int, batch_steps: int, seed: int) -> NDArray[np.int64]:
    """Sequences of an update: in an order of each epoch's own, cut where `batch_steps` more readings have begun.

    Parameters
    ----------
    first : int64 [sequences + 1]
        `Inputs.first`.
    """
    total = int(first[-1])
    begin, end = step * batch_steps, (step + 1) * batch_steps
    chosen = []
    for epoch in range(begin // total, (end - 1) // total + 1):
        order = _order(seed, epoch, len(first) - 1)
        lengths = np.diff(first)[order]
        places = epoch * total + np.cumsum(lengths) - lengths
        chosen.append(order[(places >= begin) & (places < end)])
    return np.concatenate(chosen)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(rows)
