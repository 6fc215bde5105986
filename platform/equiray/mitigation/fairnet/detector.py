"""The detector: how likely a row is to need the adapter, from the base model's states at a middle layer.

Attention pooling s_i = v^T tanh(W h_i + b), h = sum softmax(s)_i h_i, then an MLP d -> 128 -> 64 -> 1 with ReLU and
dropout .1 (arXiv 2510.19421). The paper leaves the width of W open: 128 here, which keeps the detector under a
hundredth of the backbone's work.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from equiray.errors import BadInput
from equiray.mitigation.fairnet.batches import Rows, shuffled_batches
from equiray.mitigation.fairnet.classifier import descend, steps_of
from equiray.mitigation.fairnet.draws import drawing, dropping_out, torch_drawing
from equiray.models.backbones import States
from equiray.specs.fairnet import DetectorKind, TrainingSpec

ATTENTION_WIDTH = 128
_HIDDEN = (128, 64)
_DROPOUT = 0.1

Flags = NDArray[np.bool_]


class Detector(nn.Module):
    """Logit of a row's risk; see the module's docstring."""

    def __init__(self, width: int, *, seed: int, stage: str) -> None:
        super().__init__()
        self.attention = nn.Linear(width, ATTENTION_WIDTH)
        self.score = nn.Linear(ATTENTION_WIDTH, 1, bias=False)
        wide, narrow = _HIDDEN
        self.mlp = nn.Sequential(
            nn.Linear(width, wide),
            nn.ReLU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(wide, narrow),
            nn.ReLU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(narrow, 1),
        )
        generator = torch_drawing(seed, stage)
        with torch.no_grad():
            for linear in (module for module in self.modules() if isinstance(module, nn.Linear)):
                drawn = torch.rand(linear.weight.shape, generator=generator) * 2 - 1
                linear.weight.copy_(drawn * linear.in_features**-0.5)
                if linear.bias is not None:
                    linear.bias.zero_()

    def forward(self, states: States) -> Tensor:
        """Logits, float32 [N]."""
        scores = self.score(torch.tanh(self.attention(states.hidden)))[..., 0].float()
        weights = scores.masked_fill(~states.mask, -torch.inf).softmax(1).to(states.hidden.dtype)
        pooled = (weights[:, None] @ states.hidden)[:, 0]
        return self.mlp(pooled)[:, 0].float()

    def risk(self, states: States) -> Tensor:
        """Probability that the row is one to correct, float32 [N]."""
        return self(states).sigmoid()


def detector_targets(kind: DetectorKind, vulnerable: Flags, losses: NDArray[np.float32], high_loss: float) -> Flags:
    """Which rows a detector is to flag, bool [N].

    ``group``: those of the vulnerable group. ``risk``: the share `high_loss` with the highest loss of the base, of
    whatever group. ``both``: of the vulnerable group, the share `high_loss` with the highest loss in it; that is
    narrower than either, and keeps the gate closed for rows that the base decides with ease, where an adapter can only
    do harm.
    """
    if kind == "group":
        return vulnerable
    among = np.ones_like(vulnerable) if kind == "risk" else vulnerable
    order = np.flatnonzero(among)[np.argsort(-losses[among], kind="stable")]
    flagged = np.zeros_like(vulnerable)
    flagged[order[: int(np.ceil(high_loss * len(order)))]] = True
    return flagged


def fit_detector(
    detector: Detector,
    states_of: Callable[[Rows], States],
    lengths: Rows,
    targets: Flags,
    *,
    spec: TrainingSpec,
    seed: int,
    stage: str,
) -> tuple[float, ...]:
    """Train with class-balanced BCE, positives weighted by N_neg / N_pos over the rows; returns each step's loss.

    Parameters
    ----------
    detector : Detector
    states_of : callable
        States of some of the rows at the detector's layer, adapters off.
    lengths : int64 [n]
        Of the rows that it may learn from.
    targets : bool [n]
    spec : TrainingSpec
    seed, stage
        Where the order of rows and the dropout are drawn from.

    Raises
    ------
    BadInput
        All rows, or none, are to be flagged.
    """
    positives = int(targets.sum())
    if positives in (0, len(targets)):
        raise BadInput(
            f"{positives} of {len(targets)} rows are to be flagged, so there is nothing to tell apart",
            place=f"detector, {stage}",
            fix="name another vulnerable group, or raise `detector.label_share`",
        )
    device = next(detector.parameters()).device
    wanted = torch.from_numpy(targets.astype(np.float32)).to(device)
    weight = torch.tensor((len(targets) - positives) / positives, device=device)
    optimizer, losses, step = torch.optim.Adam(detector.parameters(), lr=spec.learning_rate), list[float](), 0
    detector.train()
    while step < steps_of(len(targets), spec):
        for rows in shuffled_batches(lengths, spec.batch_rows, drawing(seed, stage, step)):
            with dropping_out(seed, f"{stage} dropout", step):
                logits = detector(states_of(rows))
            loss = binary_cross_entropy_with_logits(logits, wanted[torch.from_numpy(rows)], pos_weight=weight)
            descend(loss, optimizer)
            losses.append(loss.item())
            step += 1
            if step == steps_of(len(targets), spec):
                break
    detector.requires_grad_(False).eval()
    return tuple(losses)
