"""When a gate cannot hurt: the published condition from validation rows, and beside it what happened on test rows."""

from typing import Any

from equiray.metrics.clusters import Resampling
from equiray.mitigation.gating.changes import exact_change, number
from equiray.mitigation.gating.no_harm import no_harm
from equiray.runs.fairnet.seed import Seed

_REPLICATES = 1000


def no_harms(seed: Seed) -> list[dict[str, Any]]:
    """Of every gate that is for a group, at its chosen threshold and the others shut (methods: section 2.5).

    Validation rows say what the adapter always on would do, so the condition is a promise; of these rows the groups
    are those that the regime knows.
    """
    found = []
    for gate, threshold in zip(seed.choosing.attributes, seed.choice.thresholds, strict=True):
        if gate in seed.planned.gates:
            resampling = Resampling(confidence=seed.spec.confidence, replicates=_REPLICATES, seed=seed.seed)
            promised = no_harm(seed.choosing.alone(gate), threshold, gate, seed.vulnerable[gate], resampling)
            met = exact_change(seed.outcomes("test").alone(gate), threshold, gate, seed.spec.confidence).overall
            condition = promised.condition
            found.append(
                {
                    "gate": gate,
                    "rows": {"validation": seed.choosing.rows, "test": met.rows},
                    "exact": {"validation": _limited(promised.exact.overall), "test": _limited(met)},
                    **{name: number(value) for name, value in condition._asdict().items()},
                    "gain": number(condition.gain),
                    "loss": number(condition.cost),
                    "margin": _limited(promised.margin),
                    "selection": _limited(promised.selection),
                    "holds": condition.holds,
                }
            )
    return found


def _limited(of: Any) -> dict[str, float | None]:
    return {"value": number(of.value), "low": number(of.low), "high": number(of.high)}
