"""How often FairNet's gates open, for whom they are to and for others; and the condition under which none harms.

Notable: the condition (`equiray.mitigation.gating.no_harm`) needs what the adapter would change where it is always on.
A service decides each row once, gated, so that part comes from validation (`settings.Harm`), and only shares are live.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.sequential import rate_limits
from equiray.serving.monitor.settings import Gate


class GateCounts:
    """Rows of known group by vulnerable and open, int64 [2, 2]; those with an outcome by right, too, [2, 2, 2]."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.rows: NDArray[np.int64] = np.zeros((2, 2), np.int64)
        self.settled: NDArray[np.int64] = np.zeros((2, 2, 2), np.int64)

    def add_decision(self, group: str, opened: bool) -> None:
        self.rows[int(group == self.gate.vulnerable), int(opened)] += 1

    def add_outcome(self, group: str, opened: bool, right: bool) -> None:
        self.settled[int(group == self.gate.vulnerable), int(opened), int(right)] += 1

    def document(self, name: str, alpha: float) -> dict[str, Any]:
        """As shown: rates with limits at 1 - alpha / 3, which hold together."""
        others, vulnerable = self.rows
        tpr = _rate(vulnerable[1], vulnerable.sum(), alpha / 3)
        fpr = _rate(others[1], others.sum(), alpha / 3)
        prevalence = _rate(vulnerable.sum(), self.rows.sum(), alpha / 3)
        accuracy = [
            {"vulnerable": bool(side), "open": bool(opened), **_rate(self.settled[side, opened, 1], total, alpha)}
            for side, opened in product((1, 0), (1, 0))
            for total in [self.settled[side, opened].sum()]
        ]
        return {
            "gate": name,
            "vulnerable": self.gate.vulnerable,
            "tpr": tpr,
            "fpr": fpr,
            "prevalence": prevalence,
            "accuracy": accuracy,
            "no_harm": self._no_harm(prevalence, tpr, fpr),
        }

    def _no_harm(self, prevalence: Mapping[str, Any], tpr: Mapping[str, Any], fpr: Mapping[str, Any]) -> dict[str, Any]:
        """The margin of the condition, gain - cost, over all that the limits allow: it is linear in each rate."""
        harm = self.gate.harm
        if harm is None:
            why = "what the adapter changes where it is always on was not measured on validation"
            return {"margin": None, "low": None, "high": None, "holds": None, "reason": why}
        if None in (prevalence["value"], tpr["value"], fpr["value"]):
            why = "no row of the vulnerable group, or of the others, has been seen"
            return {"margin": None, "low": None, "high": None, "holds": None, "reason": why}

        def margin(share: float, found: float, mistaken: float) -> float:
            return share * found * harm.d_min - (1 - share) * mistaken * harm.d_maj

        corners = [margin(*at) for at in product(*((rate["low"], rate["high"]) for rate in (prevalence, tpr, fpr)))]
        low, high = min(corners), max(corners)
        return {
            "margin": margin(prevalence["value"], tpr["value"], fpr["value"]),
            "low": low,
            "high": high,
            "holds": True if low >= 0 else False if high < 0 else None,
            "reason": "the changes of accuracy are those of validation, without their error; the shares are live",
        }

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows.tolist(), "settled": self.settled.tolist()}

    def restore(self, document: Mapping[str, Any]) -> None:
        self.rows, self.settled = (np.array(document[name], np.int64) for name in ("rows", "settled"))


def _rate(events: int, trials: int, alpha: float) -> dict[str, Any]:
    if not trials:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = rate_limits(events, trials, alpha)
    return {"value": float(events / trials), "low": float(low), "high": float(high), "n": int(trials)}
