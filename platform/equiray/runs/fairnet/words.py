"""What the methods of a FairNet run are called, and what each is."""

from collections.abc import Mapping, Sequence
from typing import Any

from equiray.mitigation.fairnet.train import OUTLIERS
from equiray.specs.fairnet import FairNetSpec

_METHODS = {
    "erm": ("ERM", False, "the base model: the mean loss of all training rows is made small"),
    "fairnet": ("FairNet", False, "detectors flag rows, adapters act on these alone"),
    "group_dro": ("GroupDRO", False, "trained anew, the cells with the highest loss count most"),
    "jtt": ("JTT", False, "trained anew, rows that the base gets wrong weigh two or six times as much"),
    "dfr": ("DFR", False, "the last layer alone is fitted again, on balanced cells of validation rows"),
    "cda": ("CDA", False, "trained anew on the rows and their counterfactual twins"),
    "thresholds": ("Group thresholds", True, "the base's scores with a threshold for each group"),
    "gate_and_thresholds": (
        "FairNet and group thresholds",
        True,
        "FairNet's scores with a threshold for each group, both within one allowed loss of accuracy",
    ),
}


def methods_of(spec: FairNetSpec) -> dict[str, dict[str, Any]]:
    """The methods of a run in the order of its tables, by id."""
    wanted = ("erm", "fairnet", *spec.baselines)
    return {
        name: {"id": name, "label": label, "needs_group": needs_group, "what": what}
        for name, (label, needs_group, what) in _METHODS.items()
        if name in wanted
    }


def gates_of(spec: FairNetSpec, vulnerable: Mapping[str, str], gates: Sequence[str]) -> list[dict[str, str]]:
    """Whom each gate opens for; the one gate of the regime ``unlabelled`` opens for outliers and knows no group."""
    opened = {OUTLIERS: OUTLIERS} if spec.detector.regime == "unlabelled" else {g: vulnerable[g] for g in gates}
    told = {"kind": spec.detector.kind, "regime": spec.detector.regime}
    return [{"attribute": gate, "vulnerable": group, **told} for gate, group in opened.items()]


def scored(method: str) -> bool:
    """Whether a method's scores are probabilities; those of group thresholds are moved so that .5 decides."""
    return not _METHODS[method][1]
