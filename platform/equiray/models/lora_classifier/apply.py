"""A fine-tuned classifier in use: the model it was trained on, with its adapter active."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from equiray.models.loading import CausalLM
from equiray.models.training.adapters import Record, Trainable, check_base, in_training, load_lora_weights
from equiray.specs.run import LoraClassifierSpec

RECORD = Record("classifier.json", "equiray.lora_classifier/1", "fine-tuning")


@contextmanager
def fine_tuned(lm: CausalLM, directory: Path, spec: LoraClassifierSpec) -> Iterator[CausalLM]:
    """The classifier, for the length of a block: `lm` with the adapter of `directory` active, as validation saw it.

    Parameters
    ----------
    lm : CausalLM
        The model that was fine-tuned, in `spec.dtype`; has its own weights again afterwards.
    directory : Path
        `FineTuneResult.adapter`.
    spec : LoraClassifierSpec
        As in training.

    Raises
    ------
    BadInput
        No adapter there, a broken one, or one of another model.
    """
    check_base(lm, directory, RECORD)
    with adapted(lm, spec, seed=0) as model:
        load_lora_weights(model, directory)
        with model.measuring() as classifier:
            yield classifier


def adapted(lm: CausalLM, spec: LoraClassifierSpec, seed: int) -> AbstractContextManager[Trainable]:
    """The model with fresh adapters, as `in_training` leaves it."""
    return in_training(lm, spec.lora, dtype=spec.dtype, gradient_checkpointing=spec.gradient_checkpointing, seed=seed)
