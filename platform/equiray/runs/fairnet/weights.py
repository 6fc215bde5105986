"""What a classifier was trained to, on disk, so that a later part of the run need not train it again."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from equiray.errors import reading_back, writing
from equiray.mitigation.fairnet import Classifier


def save_classifier(classifier: Classifier, file: Path) -> None:
    """Write what training moved; whole or not at all."""
    scratch = file.with_name(f".{file.name}")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: p.detach().cpu().contiguous() for name, p in classifier.trained().items()}, scratch)
        scratch.replace(file)


def load_classifier(classifier: Classifier, file: Path) -> None:
    """Put back what `save_classifier` wrote; raises BadInput where the file is torn or of another shape."""
    with reading_back(file, fix="remove it and repeat the command"), torch.no_grad():
        stored = load_file(file)
        for name, parameter in classifier.trained().items():
            parameter.copy_(stored[name])
            parameter.requires_grad_(False)
