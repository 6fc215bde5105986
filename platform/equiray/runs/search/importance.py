"""How much of the differences between trials each setting explains (fANOVA, Hutter et al. 2014)."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from equiray.search.ledger import Entry
from equiray.search.suggesting import covered, distributions_of
from equiray.specs.sweep import SweepSpec

FEWEST_TRIALS = 10


def importance_of(spec: SweepSpec, entries: Sequence[Entry]) -> list[dict[str, Any]] | None:
    """Shares of the variance of the hypervolume that a trial covers by itself, largest first.

    None with fewer than 10 whole trials inside the space, or where all cover the same.
    """
    distributions = distributions_of(spec)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for entry in entries:
        values = spec.values_of(entry.trial.settings)
        if entry.outcome is None or set(entry.trial.settings) - spec.space.keys() or not spec.contains(values):
            continue
        value = covered(spec, entry.outcome.values) if entry.outcome.values else 0.0
        study.add_trial(create_trial(params=values, distributions=distributions, value=value))
    told = [trial.value for trial in study.trials]
    if len(told) < FEWEST_TRIALS or len(set(told)) == 1:
        return None
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=spec.seed))
    return [{"key": key, "share": min(1.0, max(0.0, float(share)))} for key, share in found.items()]
