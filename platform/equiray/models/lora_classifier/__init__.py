"""A language model fine-tuned with LoRA as a classifier (arXiv 2509.16462): `fine_tune` trains, `fine_tuned` applies."""

from equiray.models.lora_classifier.results import FineTuneResult
from equiray.models.lora_classifier.train import LabelledPrompts, fine_tune, fine_tuned

__all__ = ["FineTuneResult", "LabelledPrompts", "fine_tune", "fine_tuned"]
