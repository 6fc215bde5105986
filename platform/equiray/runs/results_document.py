"""``results.json``, whatever left it: an evaluation, a correction, chains, an audit, a comparison."""

from collections.abc import Iterable, Mapping
from typing import Any

from equiray.metrics.estimates import Estimate
from equiray.policies import Judgement

RESULTS = "results.json"


def results_document(
    spec_sha256: str, rows: Mapping[str, int], estimates: Iterable[Estimate], judgement: Judgement | None = None
) -> dict[str, Any]:
    """What outsiders rely on (docs/contracts/results.json): every estimate, every verdict.

    `rows` counts those of each task; with a single task, name and number stand alone.
    """
    (first, count), *others = rows.items()
    return {
        "schema": "equiray.results/1",
        "spec_sha256": spec_sha256,
        "task": list(rows) if others else first,
        "n_rows": dict(rows) if others else count,
        "estimates": [estimate.to_json() for estimate in estimates],
        "verdicts": [verdict.to_json() for verdict in judgement.verdicts] if judgement else [],
    }
