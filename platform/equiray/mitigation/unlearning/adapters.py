"""An unlearned model: the adapter in training, and the change merged into the weights afterwards.

`unlearning.json` in an adapter directory (`equiray.models.training.adapters`) says which model it belongs to.
"""

import copy
import hashlib
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from peft import PeftModel
from safetensors.torch import load_file

from equiray.errors import reading_back
from equiray.models.loading import CausalLM
from equiray.models.training.adapters import (
    FULL_WEIGHTS,
    LORA_WEIGHTS,
    Record,
    Trainable,
    check_base,
    in_training,
)
from equiray.specs.run import UnlearningSpec

RECORD = Record("unlearning.json", "equiray.unlearning/1", "unlearning")


def trainable(lm: CausalLM, spec: UnlearningSpec, seed: int) -> AbstractContextManager[Trainable]:
    """A model ready to train as the spec says; see `in_training`."""
    return in_training(
        lm,
        spec.lora if spec.adapt == "lora" else None,
        dtype=spec.dtype,
        gradient_checkpointing=spec.gradient_checkpointing,
        seed=seed,
    )


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
    check_base(lm, directory, RECORD)
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
