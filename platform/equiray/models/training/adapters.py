"""What a training moves: low-rank adapters on every linear layer, or all weights; and how they are kept.

An adapter directory is one that PEFT reads (``adapter_config.json``, ``adapter_model.safetensors``), or
``model.safetensors`` where all weights were trained; beside them a JSON record says which model they belong to and how
they were made. No pickle.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file, save_file
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.pytorch_utils import Conv1D

from equiray.errors import BadInput, reading_back, writing
from equiray.models.loading import CausalLM
from equiray.specs.run import LoraSpec

LORA_WEIGHTS, FULL_WEIGHTS = "adapter_model.safetensors", "model.safetensors"
_ADAPTER = "default"
_PEFT_PREFIX = "base_model.model."


class Record(NamedTuple):
    """The JSON file of an adapter directory: its name, its schema, and what leaves such directories."""

    file: str
    schema: str
    made_by: str


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
def in_training(
    lm: CausalLM, lora: LoraSpec | None, *, dtype: str, gradient_checkpointing: bool = False, seed: int = 0
) -> Iterator[Trainable]:
    """A model ready to train for the length of a block; `lm` itself has its own weights again afterwards.

    Adapters are put into `lm.model` in place, which costs no second copy of the model, unless training needs another
    dtype than it has. They start as no change at all: B is 0, A is drawn from `seed`; of a bfloat16 model, they are
    float32 themselves.

    Parameters
    ----------
    lm : CausalLM
    lora : LoraSpec or None
        None trains all weights.
    dtype : {"bfloat16", "float32"}
    gradient_checkpointing : bool
        Less memory, more time.
    seed : int
    """
    wanted = getattr(torch, dtype)
    model, tuner, config = lm.model, None, None
    if lora is None or model.dtype != wanted:
        model = copy.deepcopy(model).to(wanted)
    asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        if lora is not None:
            config = _lora_config(model, lora)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                tuner = LoraModel(model, {_ADAPTER: config}, _ADAPTER)
            for name, parameter in model.named_parameters():
                if ".lora_" in name:  # in bfloat16 most updates would be rounded away
                    parameter.data = parameter.data.float()
        _set_modes(model, gradient_checkpointing)
        moved = {n: p for n, p in model.named_parameters() if tuner is None or ".lora_" in n}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in moved)
        yield Trainable(lm=replace(lm, model=model), parameters=moved, lora=config)
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


def _set_modes(model: Any, gradient_checkpointing: bool) -> None:
    """Evaluation mode, so that the model's own dropout is off and KL starts at 0; training mode where it is needed."""
    model.eval()
    if gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for name, module in model.named_modules():
        if isinstance(module, GradientCheckpointingLayer) or ".lora_dropout" in name:
            module.training = True


def save_adapter(
    directory: Path,
    lora: LoraConfig | None,
    weights: Mapping[str, torch.Tensor],
    about: Mapping[str, Any],
    record: Record,
) -> None:
    """Write an adapter directory; its record comes last, so a directory that has it is complete.

    Parameters
    ----------
    directory : Path
        Made if it is absent.
    lora : LoraConfig or None
        `Trainable.lora`.
    weights : mapping from name to tensor
        As from `Trainable.weights`.
    about : mapping
        What the record says beside its schema; ``base_identity`` and ``base_name`` are what `check_base` reads.
    record : Record

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
    document = {"schema": record.schema, **about}
    with writing(directory / record.file):
        (directory / record.file).write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")


def load_lora_weights(model: Trainable, directory: Path) -> None:
    """Put the adapter of a directory into a model that is set up as the one it was trained in.

    Raises
    ------
    BadInput
        The weights are cut short, altered, or of another shape.
    """
    file = directory / LORA_WEIGHTS
    with reading_back(file, fix=f"remove {directory.parent} and train again"):
        stored = load_file(file)
        named = {_PEFT_PREFIX + name.replace(f".{_ADAPTER}.", "."): name for name in model.parameters}
        model.set_weights({name: stored[kept] for kept, name in named.items()})


def check_base(lm: CausalLM, directory: Path, record: Record) -> dict[str, Any]:
    """The record of an adapter directory that was trained on `lm`.

    Raises
    ------
    BadInput
        There is no record, it is not of this schema, or the adapter belongs to another model.
    """
    about = read_about(directory, record)
    if about["base_identity"] != lm.identity:
        raise BadInput(
            f"trained on {about['base_name']} ({about['base_identity']:.12}), not on {lm.name} ({lm.identity:.12})",
            place=str(directory / record.file),
            fix="load the language model it was trained on",
        )
    return about


def read_about(directory: Path, record: Record) -> dict[str, Any]:
    """What the record of an adapter directory says.

    Raises
    ------
    BadInput
        There is none, or it is not of this schema.
    """
    file = directory / record.file
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"no readable adapter: {error}",
            place=str(file),
            fix=f"name the `adapter` folder that {record.made_by} wrote",
        ) from error
    if about.get("schema") != record.schema:
        raise BadInput(
            f"schema {about.get('schema')!r} is not {record.schema}", place=str(file), fix="train the adapter again"
        )
    return about
