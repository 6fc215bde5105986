"""What a bundle decides of texts: a FairNet's gated outputs, or a logistic regression on embeddings.

Notable: a FairNet's outputs are computed by the calls and in the batches of a FairNet run, so those of the same rows
are the same bit by bit. A row's last bits do depend on which rows share its batch: hence `only`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.mitigation.fairnet import FairNet, RawRows, lower_states, subset_probabilities
from equiray.mitigation.gating.outcomes import opened_gates
from equiray.models.backbones import encode_texts
from equiray.models.classifiers import Logistic
from equiray.models.embedding import Pooling, embed_texts
from equiray.models.loading import CausalLM

Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """What N rows are decided.

    Attributes
    ----------
    probability : float64 [N]
        Of the positive class, after the gates.
    positive : bool [N]
    gates : tuple of str
        Attributes with a gate, A of them; none without a FairNet.
    risk : float32 [N, A]
        NaN where a row lies out of the support of training.
    open : bool [N, A]
    """

    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]
    gates: tuple[str, ...]
    risk: NDArray[np.float32]
    open: NDArray[np.bool_]


class Decider(Protocol):
    """Decides texts; `only` names the places of those that are, the others are merely computed along."""

    def __call__(self, texts: Sequence[str], only: Places) -> Decisions: ...


@dataclass(frozen=True, kw_only=True)
class GatedDecider:
    """A FairNet with its thresholds; the lowest `shared_layers` are run over all rows of a call at once."""

    fairnet: FairNet
    shared_layers: int
    max_tokens: int
    threshold: float

    def __call__(self, texts: Sequence[str], only: Places) -> Decisions:
        """Frozen layers of all texts, then gates and outputs of some, as a run does with the rows of a split."""
        fairnet, backbone = self.fairnet, self.fairnet.classifier.backbone
        ids = encode_texts(backbone, texts, self.max_tokens)
        trained = fairnet.layers.frozen == 0
        lower = RawRows.of(backbone, ids) if trained else lower_states(backbone, ids, self.shared_layers)
        found = subset_probabilities(fairnet, lower.take(only))
        gates = fairnet.attributes
        opened = opened_gates(gates, found.risk, [fairnet.threshold(name) for name in gates])
        probability = output_of(found.probability, opened)
        return Decisions(
            probability=probability,
            positive=above(probability, self.threshold),
            gates=gates,
            risk=found.risk,
            open=opened,
        )


@dataclass(frozen=True, kw_only=True)
class EmbeddingDecider:
    """A logistic regression on what a language model, unlearned or not, makes of texts."""

    lm: CausalLM
    pooling: Pooling
    logistic: Logistic
    threshold: float

    def __call__(self, texts: Sequence[str], only: Places) -> Decisions:
        """Embeddings of all texts; one classifier for all rows, no gates."""
        probability = self.logistic.probabilities(embed_texts(self.lm, texts, pooling=self.pooling))[only]
        return Decisions(
            probability=probability,
            positive=above(probability, self.threshold),
            gates=(),
            risk=np.empty((len(only), 0), np.float32),
            open=np.empty((len(only), 0), bool),
        )


def with_thresholds(decider: Decider, threshold: float | None, gates: Mapping[str, float]) -> Decider:
    """The same model with other thresholds: of its decisions (None: as they are), and of some of its gates.

    Raises
    ------
    BadInput
        There is no such gate, or a threshold is not a number.
    """
    for name, value in {"threshold": threshold, **gates}.items():
        if value is not None and math.isnan(value):
            raise BadInput(f"{name}: not a number", place="thresholds", fix="give a probability")
    own = decider.fairnet.attributes if isinstance(decider, GatedDecider) else ()
    if unknown := [name for name in gates if name not in own]:
        known = f"it has {', '.join(own)}" if own else "it has none"
        raise BadInput(f"no gate is called {unknown[0]!r}", place="gates", fix=known)
    assert isinstance(decider, GatedDecider | EmbeddingDecider)
    if isinstance(decider, GatedDecider):
        kept = {name: decider.fairnet.threshold(name) for name in own}
        decider = replace(decider, fairnet=replace(decider.fairnet, thresholds=kept | dict(gates)))
    return decider if threshold is None else replace(decider, threshold=threshold)


def output_of(probability: NDArray[np.float32], opened: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Each row's output [N] among those of all subsets of gates [N, 2^A], where these gates [N, A] are open."""
    subset = opened @ (1 << np.arange(opened.shape[1]))
    return np.take_along_axis(probability, subset[:, None], axis=1)[:, 0].astype(np.float64)


def above(probability: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Whether probabilities [N] lie above a threshold, both rounded to float32: thresholds are chosen there."""
    return probability.astype(np.float32) > np.float32(threshold)
