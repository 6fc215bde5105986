"""Decide with gates: in one pass, as the authors do it in two, and for every subset of open gates at once.

Notable: adapters lie above what detectors read, so the lower layers are run once, the gates decided, and the upper
layers run once with them; the outputs are those of the authors' two passes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiray.errors import BadInput
from equiray.mitigation.fairnet.batches import sorted_batches
from equiray.mitigation.fairnet.cached import BATCH_ROWS, Progress
from equiray.mitigation.fairnet.classifier import Lower
from equiray.mitigation.fairnet.fairnet import FairNet
from equiray.mitigation.fairnet.gates import Opened, gates
from equiray.models.backbones import States

MOST_GATES = 3
"""With that many attributes the output of every subset of open gates is computed and kept: 8 outputs a row."""


class GatedOutput(NamedTuple):
    """What a batch was decided.

    Attributes
    ----------
    logits : float32 [N, classes]
    risk : float32 [N, A]
        NaN outside the support of training.
    open : bool [N, A]
        risk > threshold, strictly; NaN never opens.
    """

    logits: Tensor
    risk: Tensor
    open: Tensor


def risks(fairnet: FairNet, states: States) -> Tensor:
    """Risk of each attribute, float32 [N, A], from the base's states at the detectors' layer."""
    with fairnet.classifier.backbone.computing():
        found = torch.stack([fairnet.detectors[name].risk(states) for name in fairnet.attributes], 1)
    if fairnet.support is None:
        return found
    return found.masked_fill(~fairnet.support.inside(states.mean())[:, None], torch.nan)


def _opened(fairnet: FairNet, open_: Tensor) -> list[Opened]:
    columns = zip(fairnet.adapters.values(), open_.unbind(1), strict=True)
    return [Opened(adapter, column.nonzero()[:, 0]) for adapter, column in columns]


def _thresholds(fairnet: FairNet, risk: Tensor) -> Tensor:
    return risk.new_tensor([fairnet.threshold(name) for name in fairnet.attributes])


def _run(fairnet: FairNet, states: States, first: int, stop: int) -> States:
    backbone = fairnet.classifier.backbone
    with backbone.computing():
        return backbone.run(states, first, stop)


def _embed(fairnet: FairNet, batch: Any) -> States:
    backbone = fairnet.classifier.backbone
    with backbone.computing():
        return backbone.embed(batch)


@torch.inference_mode()
def one_pass(fairnet: FairNet, batch: Any) -> GatedOutput:
    """Lower layers once, decide, upper layers once.

    Parameters
    ----------
    fairnet : FairNet
    batch : TokenBatch, or pixels float32 [N, C, H, W]
    """
    return from_states(fairnet, _embed(fairnet, batch), 0)


@torch.inference_mode()
def from_states(fairnet: FairNet, states: States, layer: int) -> GatedOutput:
    """`one_pass` from states before layer `layer`, adapters off, at most `fairnet.layers.cached`."""
    below, read = _read(fairnet, states, layer)
    risk = risks(fairnet, read)
    open_ = risk > _thresholds(fairnet, risk)
    reran = fairnet.layers.reran
    upper, reached = (
        (_rerun(fairnet, below, read, open_), fairnet.layers.detector) if reran else (below, fairnet.layers.adapter)
    )
    with gates(fairnet.classifier.backbone, _opened(fairnet, open_)):
        logits = fairnet.classifier.logits(upper, reached)
    return GatedOutput(logits, risk, open_)


def _rerun(fairnet: FairNet, below: States, read: States, open_: Tensor) -> States:
    """The states at the detectors' layer with the flagged rows' adapters in that last layer."""
    flagged = open_.any(1).nonzero()[:, 0]
    if not len(flagged):
        return read
    with gates(fairnet.classifier.backbone, _opened(fairnet, open_[flagged])):
        again = _run(fairnet, below.rows(flagged), fairnet.layers.adapter, fairnet.layers.detector)
    return States(read.hidden.index_copy(0, flagged, again.hidden.to(read.hidden.dtype)), read.mask)


@torch.inference_mode()
def two_pass(fairnet: FairNet, batch: Any) -> GatedOutput:
    """The authors' inference: a whole pass with the adapters off for the risk, then a whole gated pass."""
    states = _embed(fairnet, batch)
    read = _run(fairnet, states, 0, fairnet.layers.detector)
    fairnet.classifier.logits(read, fairnet.layers.detector)
    return _second_pass(fairnet, batch, risks(fairnet, read))


@torch.inference_mode()
def two_pass_stopped(fairnet: FairNet, batch: Any) -> GatedOutput:
    """The same, but the first pass ends at the detector."""
    read = _run(fairnet, _embed(fairnet, batch), 0, fairnet.layers.detector)
    return _second_pass(fairnet, batch, risks(fairnet, read))


def _second_pass(fairnet: FairNet, batch: Any, risk: Tensor) -> GatedOutput:
    open_ = risk > _thresholds(fairnet, risk)
    with gates(fairnet.classifier.backbone, _opened(fairnet, open_)):
        logits = fairnet.classifier.logits(_embed(fairnet, batch), 0)
    return GatedOutput(logits, risk, open_)


class SubsetOutput(NamedTuple):
    """What every setting of the gates would decide.

    Attributes
    ----------
    probability : float32 [N, subsets]
        Of the positive class; with all subsets, bit a of a column's number says whether attribute a's gate is open.
    risk : float32 [N, A]
    """

    probability: NDArray[np.float32]
    risk: NDArray[np.float32]


@torch.inference_mode()
def subset_probabilities(
    fairnet: FairNet,
    lower: Lower,
    *,
    subsets: Sequence[int] | None = None,
    batch_rows: int = BATCH_ROWS,
    progress: Progress | None = None,
) -> SubsetOutput:
    """The output of every subset of open gates for rows; no row's gate is decided here.

    Parameters
    ----------
    fairnet : FairNet
    lower : LowerStates or RawRows
        Before layer `fairnet.layers.cached`, or a lower one.
    subsets : sequence of int, optional
        Default: all 2^A, from none open to all; beyond three attributes name those that are wanted.

    Raises
    ------
    BadInput
        More than three attributes and no `subsets`; or not two classes.
    """
    count = len(fairnet.attributes)
    if subsets is None and count > MOST_GATES:
        raise BadInput(
            f"{count} gates have {2**count} subsets",
            place="vulnerable",
            fix="name the subsets of gates that are wanted",
        )
    if fairnet.classifier.classes != 2:
        raise BadInput(
            f"{fairnet.classifier.classes} classes have no one positive class", place="task", fix="use two classes"
        )
    chosen = range(1 << count) if subsets is None else subsets
    probability = np.empty((len(lower), len(chosen)), np.float32)
    risk = np.empty((len(lower), count), np.float32)
    for rows in sorted_batches(lower.lengths, batch_rows):
        states = fairnet.classifier.read(lower, rows)
        below, read = _read(fairnet, states, lower.layer)
        risk[rows] = risks(fairnet, read).cpu().numpy()
        for column, subset in enumerate(chosen):
            probability[rows, column] = _positive(fairnet, below, subset).cpu().numpy()
        if progress is not None:
            progress(len(rows))
    return SubsetOutput(probability, risk)


def _read(fairnet: FairNet, states: States, layer: int) -> tuple[States, States]:
    """States before the first adapter, and those that the detectors read, all adapters off."""
    layers = fairnet.layers
    low = _run(fairnet, states, layer, min(layers.adapter, layers.detector))
    high = _run(fairnet, low, min(layers.adapter, layers.detector), max(layers.adapter, layers.detector))
    return (low, high) if layers.reran else (high, low)


def _positive(fairnet: FairNet, below: States, subset: int) -> Tensor:
    opened = [Opened(adapter, None) for bit, adapter in enumerate(fairnet.adapters.values()) if subset >> bit & 1]
    with gates(fairnet.classifier.backbone, opened):
        return fairnet.classifier.logits(below, fairnet.layers.adapter).softmax(1)[:, 1]
