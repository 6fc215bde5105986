"""What unlearning trains: low-rank adapters on every linear layer, or all weights; how they are kept and loaded.

An adapter directory is one that PEFT reads (``adapter_config.json``, ``adapter_model.safetensors``), or
``model.safetensors`` where all weights were trained; beside them ``unlearning.json`` says which model they belong to
and how they were made. No pickle.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file, save_file
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.pytorch_utils import Conv1D

from equiray.errors import BadInput, reading_back, writing
from equiray.models.loading import CausalLM
from equiray.specs import LoraSpec, UnlearningSpec

SCHEMA = "equiray.unlearning/1"
ABOUT, LORA_WEIGHTS, FULL_WEIGHTS = "unlearning.json", "adapter_model.safetensors", "model.safetensors"
_ADAPTER = "default"
_PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """A model in training.

    `lm` runs with the adapter active; `parameters` are what the optimizer moves, by name; `lora` is None where they
    are all the model's weights.
    """

    lm: CausalLM
    parameters: Mapping[str, torch.nn.Parameter]
    lora: LoraConfig | None

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of what was trained, on the CPU, by name."""
        return {name: p.detach().cpu().clone() for name, p in self.parameters.items()}

    @contextmanager
    def measuring(self) -> Iterator[CausalLM]:
        """The model without the adapters' dropout, for the length of a block."""
        modes = [(module, module.training) for module in self.lm.model.modules()]
        self.lm.model.eval()
        try:
            yield self.lm
        finally:
            for module, mode in modes:
                module.training = mode

    def set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put back what `weights` returned."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])


@contextmanager
def trainable(lm: CausalLM, spec: UnlearningSpec, seed: int) -> Iterator[Trainable]:
    """A model ready to train for the length of a block; `lm` itself has its own weights again afterwards.

    Adapters are put into `lm.model` in place, which costs no second copy of the model, unless training needs another
    dtype than it has. They start as no change at all: B is 0, A is drawn from `seed`.
    """
    dtype = getattr(torch, spec.dtype)
    model, tuner, lora = lm.model, None, None
    if spec.adapt == "full" or model.dtype != dtype:
        model = copy.deepcopy(model).to(dtype)
    asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        if spec.adapt == "lora":
            lora = _lora_config(model, spec.lora)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                tuner = LoraModel(model, {_ADAPTER: lora}, _ADAPTER)
        _set_modes(model, spec)
        moved = {n: p for n, p in model.named_parameters() if tuner is None or ".lora_" in n}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in moved)
        yield Trainable(lm=replace(lm, model=model), parameters=moved, lora=lora)
    finally:
        model.gradient_checkpointing_disable()
        model.eval()
        if tuner is not None:
            tuner.unload()
        for parameter, value in asked.items():
            parameter.requires_grad_(value)


def _lora_config(model: torch.nn.Module, spec: LoraSpec) -> LoraConfig:
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules="all-linear",  # every linear layer but the head, fused ones and GPT-2's Conv1D too
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="CAUSAL_LM",
    )


def _set_modes(model: Any, spec: UnlearningSpec) -> None:
    """Evaluation mode, so that the model's own dropout is off and KL starts at 0; training mode where it is needed."""
    model.eval()
    if spec.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for name, module in model.named_modules():
        if isinstance(module, GradientCheckpointingLayer) or ".lora_dropout" in name:
            module.training = True


def save_adapter(
    directory: Path, lora: LoraConfig | None, weights: Mapping[str, torch.Tensor], about: Mapping[str, Any]
) -> None:
    """Write an adapter directory; `unlearning.json` comes last, so a directory that has it is complete.

    Parameters
    ----------
    directory : Path
        Made if it is absent.
    lora : LoraConfig or None
        `Trainable.lora`.
    weights : mapping from name to tensor
        As from `Trainable.weights`.
    about : mapping
        What `unlearning.json` says beside the schema; ``base_identity`` is what `load_adapter` checks.

    Raises
    ------
    Incomplete
        The disk is full or not writable.
    """
    file, named = directory / FULL_WEIGHTS, dict(weights)
    if lora is not None:
        file = directory / LORA_WEIGHTS
        named = {_PEFT_PREFIX + n.replace(f".{_ADAPTER}.", "."): tensor for n, tensor in weights.items()}
    with writing(file):
        directory.mkdir(parents=True, exist_ok=True)
        if lora is not None:
            lora.save_pretrained(str(directory))
        save_file(named, file, metadata={"format": "pt"})
    document = {"schema": SCHEMA, **about}
    with writing(directory / ABOUT):
        (directory / ABOUT).write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")


def load_adapter(lm: CausalLM, directory: Path) -> CausalLM:
    """The unlearned model: a copy of `lm` with the trained change added to its weights.

    In float32 it answers as the model in training did. In bfloat16 weights are rounded after the addition, as
    everything is there: answer log-odds move by about .03, more than a small gap, so measure gaps in float32.

    Parameters
    ----------
    lm : CausalLM
        The model that was trained, in any dtype; it stays as it is.
    directory : Path
        As `save_adapter` wrote it.

    Raises
    ------
    BadInput
        No adapter there, a broken one, or one of another model.
    """
    about = read_about(directory)
    if about["base_identity"] != lm.identity:
        raise BadInput(
            f"trained on {about['base_name']} ({about['base_identity']:.12}), not on {lm.name} ({lm.identity:.12})",
            place=str(directory / ABOUT),
            fix="load the language model it was trained on",
        )
    model = copy.deepcopy(lm.model)
    full = (directory / FULL_WEIGHTS).is_file()
    weights = directory / (FULL_WEIGHTS if full else LORA_WEIGHTS)
    with reading_back(weights, fix=f"remove {directory.parent} and train again"):
        if full:
            # Tied weights are stored once, so the names of the others are missing by design.
            unknown = model.load_state_dict(load_file(weights), strict=False).unexpected_keys
            assert not unknown, unknown
        else:
            model = PeftModel.from_pretrained(model, str(directory)).merge_and_unload()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return replace(lm, model=model.eval(), name=f"{lm.name} unlearned", identity=f"{lm.identity}+{digest}")


def read_about(directory: Path) -> dict[str, Any]:
    """What `unlearning.json` of an adapter directory says.

    Raises
    ------
    BadInput
        There is none, or it is not of this schema.
    """
    file = directory / ABOUT
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"no readable adapter: {error}", place=str(file), fix="name the `adapter` folder that unlearning wrote"
        ) from error
    if about.get("schema") != SCHEMA:
        raise BadInput(
            f"schema {about.get('schema')!r} is not {SCHEMA}", place=str(file), fix="train the adapter again"
        )
    return about
