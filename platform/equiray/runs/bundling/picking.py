"""Which point of a sweep is meant: the knee, the fairest that costs little accuracy, or one by its name.

Notable: points are picked by their figures on validation rows. Figures on test rows choose nothing here either: a point
picked by these would promise more than it keeps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equiray.errors import BadInput
from equiray.metrics.estimates import Direction
from equiray.metrics.fronts.points import fairest_within, knee

QUALITY = "accuracy"
_RULES = "knee, fairest:0.005, or a point's id"


def pick_point(search: Mapping[str, Any], pick: str, *, place: str) -> Mapping[str, Any]:
    """An entry of ``front`` or, by its name, of ``beside``.

    Parameters
    ----------
    search : mapping
        ``search.json``.
    pick : str
        ``knee``; ``fairest:X``, the best value of the first objective that is not accuracy, among points whose accuracy
        is within X of the best; the id of a point; or the name of one that was tried beside the search.
    place : str
        How errors name the file.

    Raises
    ------
    BadInput
        The sweep found no point, or none is meant.
    """
    front = search["front"]
    named = {key: point for point in (*front, *search["beside"]) for key in (point["id"], point["name"]) if key}
    if pick in named:
        return named[pick]
    rule, colon, within = pick.partition(":")
    if rule not in ("knee", "fairest") or (rule == "knee" and colon):
        fix = f"pick {_RULES}: {', '.join(named) or 'there are none'}"
        raise BadInput(f"{pick!r} names no point", place=place, fix=fix)
    if not front:
        raise BadInput("the sweep found no point that keeps all constraints", place=place, fix="loosen one")
    metrics = [objective["metric"] for objective in search["objectives"]]
    directions: Sequence[Direction] = [objective["direction"] for objective in search["objectives"]]
    values = np.array([[_number(point["validation"][metric]) for metric in metrics] for point in front])
    if rule == "knee":
        return front[knee(values, directions)]
    fairness = next((number for number, metric in enumerate(metrics) if metric != QUALITY), None)
    if QUALITY not in metrics or fairness is None:
        fix = f"pick knee, or a point's id: {', '.join(named)}"
        raise BadInput(f"fairest needs the objective {QUALITY} and another: {', '.join(metrics)}", place=place, fix=fix)
    amount = _amount(within, pick)
    return front[fairest_within(values, directions, quality=metrics.index(QUALITY), fairness=fairness, within=amount)]


def _amount(said: str, pick: str) -> float:
    try:
        found = float(said)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise BadInput(
            f"{pick!r}: {said!r} is no share of accuracy", place="--pick", fix="say how much it may cost: fairest:0.005"
        )
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else value
