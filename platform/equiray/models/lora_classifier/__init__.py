"""A language model fine-tuned with LoRA as a classifier: `fine_tune` trains it, `fine_tuned` applies it."""

from equiray.models.lora_classifier.apply import fine_tuned
from equiray.models.lora_classifier.results import FineTuneResult
from equiray.models.lora_classifier.rows import LabelledPrompts
from equiray.models.lora_classifier.train import fine_tune

__all__ = ["FineTuneResult", "LabelledPrompts", "fine_tune", "fine_tuned"]
