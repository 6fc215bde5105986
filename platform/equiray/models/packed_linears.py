"""Linear layers of a frozen model with weights laid out once as the CPU's matrix kernels want them.

`torch.nn.functional.linear` in bf16 on a CPU lays a weight out anew at every call. With the layout kept, the same
products come out bit for bit, a fifth faster (docs/benchmarks.md); gradients, other devices and other dtypes take
torch's own way.
"""

from typing import Any

import torch

MOST_BYTES = 2**31
"""A model whose linear weights take more keeps one copy: there the layout costs memory that may not be there."""

_KERNEL_ROWS = 2048
"""The number of rows that the layout is chosen for; others work too."""

_SAMPLES = 1024
"""How many of a weight's values are compared at every use with those that were packed."""


class PackedLinear(torch.nn.Linear):
    """A `torch.nn.Linear` that keeps a second, packed copy of its weight from its first use in inference on."""

    _packed: torch.Tensor | None = None
    _packed_from: tuple[Any, ...] = ()
    _packed_sample: torch.Tensor | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (torch's own name)
        """As `torch.nn.Linear`: [..., in] -> [..., out]."""
        weight = self.weight
        if torch.is_grad_enabled() or weight.dtype != torch.bfloat16 or input.dtype != torch.bfloat16:
            return super().forward(input)
        return torch.ops.mkldnn._linear_pointwise(input, self._layout(weight), self.bias, "none", [], "")

    def _layout(self, weight: torch.Tensor) -> torch.Tensor:
        # Training steps write in place: the version tells. What PEFT merges goes through `weight.data`, which leaves
        # version and address as they are: there a sample of the values tells.
        origin = (weight.data_ptr(), None if weight.is_inference() else weight._version)
        packed, packed_sample, sample = self._packed, self._packed_sample, _sample(weight)
        stale = packed_sample is None or origin != self._packed_from or not torch.equal(sample, packed_sample)
        if packed is None or stale:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _KERNEL_ROWS)
            self._packed, self._packed_from, self._packed_sample = packed, origin, sample.clone()
        return packed

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles pack for themselves: the packed layout is of this process and CPU."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_packed")}


def _sample(weight: torch.Tensor) -> torch.Tensor:
    """Bits of values spread over all rows and columns of a bf16 weight."""
    apart = weight.numel() // _SAMPLES | 1  # odd: widths are even, and a step that divides them stays in a few columns
    return weight.detach().flatten()[::apart].view(torch.int16)


def pack_linears(model: torch.nn.Module) -> None:
    """Make the plain linear layers of a bf16 model on a CPU `PackedLinear`, where that CPU and torch know how."""
    plain = [module for module in model.modules() if type(module) is torch.nn.Linear]
    weights = [module.weight for module in plain]
    if any(weight.device.type != "cpu" or weight.dtype != torch.bfloat16 for weight in weights):
        return
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    if known and torch.ops.mkldnn._is_mkldnn_bf16_supported() and sum(w.nbytes for w in weights) <= MOST_BYTES:
        for module in plain:
            module.__class__ = PackedLinear
