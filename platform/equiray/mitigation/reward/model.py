"""`RewardModel`: a reader with one logit a step.

Notable: adapters are put into the caller's model and taken out again (`in_training`), so reward models of one base cost
no second copy of it, and every reward model is used within a ``with`` block.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from equiray.errors import BadInput
from equiray.mitigation.reward.calibration import Calibration
from equiray.mitigation.reward.inputs import Inputs, step_inputs
from equiray.mitigation.reward.readers import EncoderReader, LanguageModelReader, Reader
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.models.backbones import Backbone, load_backbone
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.training.adapters import in_training
from equiray.specs.fairnet import BackboneSpec
from equiray.specs.reward_model import Reading, RewardModelSpec

_UNCALIBRATED = Calibration()

Base = CausalLM | Backbone


def load_base(spec: RewardModelSpec, *, source: str | None = None) -> Base:
    """What a reward model is trained on; `source` where it lies on this machine, if not where the spec says."""
    found = source or spec.source
    if spec.kind == "lm":
        return load_causal_lm(found, dtype=spec.dtype)
    return load_backbone(BackboneSpec(source=found))


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """Logits of steps; larger is less biased.

    `parameters` are what training moves, by name, the head's among them.
    """

    reader: Reader
    head: nn.Linear
    reading: Reading
    parameters: Mapping[str, nn.Parameter]
    calibration: Calibration = _UNCALIBRATED

    def inputs(self, cases: Sequence[ReasonedCase]) -> Inputs:
        """Chains as this model reads them."""
        return step_inputs(cases, self.reading, self.reader.tokenize)

    def parts(self, inputs: Inputs) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """For each forward pass: which readings it holds, and their logits, float32 [n], with gradients."""
        for read in self.reader.read(inputs):
            yield read.readings, self.head(read.states)[:, 0]

    @torch.inference_mode()
    def logits(self, inputs: Inputs) -> NDArray[np.float64]:
        """Logits of all readings, flat, before calibration."""
        flat = np.empty(inputs.first[-1])
        for readings, logits in self.parts(inputs):
            flat[readings] = logits.double().cpu().numpy()
        return flat

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of what was trained, on the CPU, by name."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}

    def set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put back what `weights` returned."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])


@contextmanager
def fresh_model(base: Base, spec: RewardModelSpec, *, seed: int) -> Iterator[RewardModel]:
    """An untrained reward model for the length of a block; `base` has its own weights again afterwards.

    Raises
    ------
    BadInput
        The base is not of `spec.kind`, or has fewer layers than `spec.last_layers`.
    """
    if isinstance(base, CausalLM) != (spec.kind == "lm"):
        raise BadInput(
            f"{base.name} was loaded as {'a language model' if isinstance(base, CausalLM) else 'an encoder'}",
            place="reward_model.kind",
            fix=f"load it as kind {spec.kind!r} wants it",
        )
    if isinstance(base, Backbone):
        yield _encoder(base, spec, seed)
        return
    whole = spec.lora is None
    if whole and not spec.last_layers and base.model.dtype == getattr(torch, spec.dtype):
        yield _of_lm(base, {}, spec, seed)
        return
    with in_training(base, spec.lora, dtype=spec.dtype, seed=seed) as trainable:
        moved = dict(trainable.parameters)
        if whole:
            kept = {id(p) for layer in _upper_layers(trainable.lm, spec.last_layers) for p in layer.parameters()}
            for parameter in moved.values():
                parameter.requires_grad_(id(parameter) in kept)
            moved = {name: parameter for name, parameter in moved.items() if id(parameter) in kept}
        yield _of_lm(trainable.lm, moved, spec, seed)


def _of_lm(lm: CausalLM, moved: Mapping[str, nn.Parameter], spec: RewardModelSpec, seed: int) -> RewardModel:
    reader = LanguageModelReader(lm=lm, batch_tokens=spec.batch_tokens)
    return _with_head(reader, moved, spec, seed)


def _upper_layers(lm: CausalLM, count: int) -> list[nn.Module]:
    depth = int(lm.model.config.num_hidden_layers)
    stacks = [m for m in lm.backbone.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    _check_depth(count, depth if stacks else 0, lm.name)
    return [*stacks[0][depth - count :]] if stacks else []


def _encoder(backbone: Backbone, spec: RewardModelSpec, seed: int) -> RewardModel:
    _check_depth(spec.last_layers, backbone.depth, backbone.name)
    first = backbone.depth - spec.last_layers
    own = backbone.copied_above(first)
    own.layers[first:].requires_grad_(True)
    own.norm.requires_grad_(spec.last_layers > 0)
    moved = {f"encoder.{name}": parameter for name, parameter in own.named_parameters() if parameter.requires_grad}
    reader = EncoderReader(backbone=own, batch_tokens=spec.batch_tokens, frozen_layers=first)
    return _with_head(reader, moved, spec, seed)


def _check_depth(count: int, depth: int, name: str) -> None:
    if count > depth:
        raise BadInput(f"{count} layers of {name}, which has {depth}", place="reward_model.last_layers", fix="lower it")


def _with_head(reader: Reader, moved: Mapping[str, nn.Parameter], spec: RewardModelSpec, seed: int) -> RewardModel:
    head = nn.Linear(reader.width, 1)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * reader.width**-0.5)
        head.bias.zero_()
    head.to(reader.device)
    parameters = {**moved, **{f"head.{name}": parameter for name, parameter in head.named_parameters()}}
    return RewardModel(reader=reader, head=head, reading=spec.reading, parameters=parameters)
