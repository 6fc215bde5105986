"""Low-rank adapters on query and value projections, open for some rows of a batch and closed for the others.

y = W x + sum over attributes of 1[open] (α / r) B A x (arXiv 2510.19421, section 2.2 of its method).

Notable: the change is computed for open rows only and added to those only, so a row whose gates are closed is not
touched at all: its output is the base model's bit for bit at equal batch shape and padding.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equiray.mitigation.fairnet.draws import torch_drawing
from equiray.models.backbones import Backbone


class LowRank(nn.Module):
    """(α / r) B A x; B starts at 0, so it starts as no change."""

    def __init__(self, projection: nn.Linear, rank: int, alpha: int, generator: torch.Generator) -> None:
        super().__init__()
        device, inputs = projection.weight.device, projection.in_features
        drawn = (torch.rand(rank, inputs, generator=generator) * 2 - 1) * inputs**-0.5
        self.a = nn.Parameter(drawn.to(device))
        self.b = nn.Parameter(torch.zeros(projection.out_features, rank, device=device))
        self.scaling = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return nn.functional.linear(nn.functional.linear(x, self.a), self.b * self.scaling)


class Adapter(nn.Module):
    """One attribute's adapters, on the query and value projections of layers `first_layer` and above."""

    def __init__(self, backbone: Backbone, *, first_layer: int, rank: int, alpha: int, seed: int, stage: str) -> None:
        super().__init__()
        self.first_layer, self.rank, self.alpha = first_layer, rank, alpha
        generator = torch_drawing(seed, stage)
        self.layers = nn.ModuleDict(
            {
                f"{layer}_{name}": LowRank(projection, rank, alpha, generator)
                for layer in range(first_layer, backbone.depth)
                for name, projection in backbone.projections(layer).items()
            }
        )


class Opened(NamedTuple):
    """An adapter and the rows, int64 [n], for which it acts; None: for all rows."""

    adapter: Adapter
    rows: Tensor | None


@contextmanager
def gates(backbone: Backbone, opened: Sequence[Opened]) -> Iterator[None]:
    """Around forward passes of a backbone whose batches have those gates open; not for several threads at once."""
    acting = [each for each in opened if each.rows is None or len(each.rows)]
    with ExitStack() as hooks:
        first = min((each.adapter.first_layer for each in acting), default=backbone.depth)
        for layer in range(first, backbone.depth):
            for name, projection in backbone.projections(layer).items():
                place = f"{layer}_{name}"
                parts = [(each.adapter.layers[place], each.rows) for each in acting if place in each.adapter.layers]
                hooks.callback(projection.register_forward_hook(_Change(parts)).remove)
        yield


class _Change:
    """Forward hook of a projection: adds each adapter's change to its open rows."""

    def __init__(self, parts: Sequence[tuple[nn.Module, Tensor | None]]) -> None:
        self.parts = parts

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for change, rows in self.parts:
            if rows is None:
                output = output + change(inputs[0])
            else:
                output.index_add_(0, rows, change(inputs[0].index_select(0, rows)).to(output.dtype))
        return output
