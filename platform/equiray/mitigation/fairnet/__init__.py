"""FairNet (arXiv 2510.19421): detectors flag rows that a classifier is likely to wrong, adapters act on those alone."""

from equiray.mitigation.fairnet.cached import LowerStates, lower_states
from equiray.mitigation.fairnet.classifier import Classifier, Lower, Validation, fit, row_losses
from equiray.mitigation.fairnet.fairnet import FairNet, Layers
from equiray.mitigation.fairnet.inference import (
    from_states,
    one_pass,
    subset_probabilities,
    two_pass,
    two_pass_stopped,
)
from equiray.mitigation.fairnet.raw import RawRows
from equiray.mitigation.fairnet.store import load_fairnet, save_fairnet, set_thresholds
from equiray.mitigation.fairnet.train import Readings, TrainingRows, correct, read_base, train_base

__all__ = [
    "Classifier",
    "FairNet",
    "Layers",
    "Lower",
    "LowerStates",
    "RawRows",
    "Readings",
    "TrainingRows",
    "Validation",
    "correct",
    "fit",
    "from_states",
    "load_fairnet",
    "lower_states",
    "one_pass",
    "read_base",
    "row_losses",
    "save_fairnet",
    "set_thresholds",
    "subset_probabilities",
    "train_base",
    "two_pass",
    "two_pass_stopped",
]
