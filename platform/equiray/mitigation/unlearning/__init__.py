"""Unlearning of stereotypes in a causal language model (arXiv 2509.16462): train with `unlearn`, or measurement by
measurement with `unlearning`; apply with `load_adapter`.
"""

from equiray.mitigation.unlearning.adapters import load_adapter
from equiray.mitigation.unlearning.diagnostics import CurvePoint
from equiray.mitigation.unlearning.results import UnlearnResult
from equiray.mitigation.unlearning.train import unlearn, unlearning

__all__ = ["CurvePoint", "UnlearnResult", "load_adapter", "unlearn", "unlearning"]
