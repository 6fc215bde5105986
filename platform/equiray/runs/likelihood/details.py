"""``likelihood.json``: all that a page about preferences shows (docs/contracts/likelihood_results.json)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from equiray.data.cases.choice_sets import ChoiceSet
from equiray.metrics.estimates import Estimate
from equiray.models.text_scorer import CausalTextScorer
from equiray.specs.likelihood import LikelihoodSpec

SCHEMA = "equiray.likelihood-results/1"
FULL_CHOICES = 200
"""Of every data set; below it a result is labelled ``smoke`` (docs/architecture.md)."""


def likelihood_document(
    sets: Sequence[ChoiceSet], scorer: CausalTextScorer, estimates: Sequence[Estimate], spec: LikelihoodSpec
) -> dict[str, Any]:
    """The document without what is said of its making."""
    lm = scorer.lm
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": any(len(chosen.choices) < FULL_CHOICES for chosen in sets),
        "model": {
            "name": lm.name,
            "source": spec.language_model.source,
            "adapter": spec.language_model.adapter,
            "identity": lm.identity,
            "parameters": lm.parameters,
            "dtype": spec.language_model.dtype,
            "begins_with": scorer.begins_with,
        },
        "datasets": [_dataset(chosen) for chosen in sets],
        "estimates": [estimate.to_json() for estimate in estimates],
    }


def _dataset(chosen: ChoiceSet) -> dict[str, Any]:
    return {
        "name": chosen.name,
        "title": chosen.title,
        "licence": chosen.licence,
        "source_sha256": chosen.source_sha256,
        "compared": chosen.compared,
        "choices": len(chosen.choices),
        "whole": chosen.whole,
        "families": len({choice.family for choice in chosen.choices}),
        "categories": dict(sorted(Counter(choice.category for choice in chosen.choices).items())),
        "warnings": list(chosen.warnings),
    }
