"""What is known of a training row's group: all of it, a share, or nothing but how unlike the others it is."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from equiray.mitigation.fairnet.detector import Flags
from equiray.mitigation.fairnet.draws import drawing
from equiray.specs.fairnet import DetectorSpec, Outliers

LOF_NEIGHBOURS = 20


class Known(NamedTuple):
    """Rows whose membership in the vulnerable group is known or presumed, int64 [n], and the membership, bool [n]."""

    rows: NDArray[np.int64]
    vulnerable: Flags


def known_groups(
    vulnerable: Flags | None,
    features: NDArray[np.float32],
    spec: DetectorSpec,
    seed: int,
    stage: str,
    grouped: Flags | None = None,
) -> Known:
    """What training may know in the spec's regime.

    Parameters
    ----------
    vulnerable : bool [N], optional
        The true membership; not looked at in the regime ``unlabelled``.
    features : float32 [N, D]
        Pooled states of a middle layer, adapters off; looked at in the regime ``unlabelled`` only.
    spec : DetectorSpec
        ``full``: all rows; ``partial``: a random share `label_share`; ``unlabelled``: outliers among `features` stand
        for the vulnerable group, a share `contamination` of the rows.
    seed, stage
        Where the share, or the forest, is drawn from.
    grouped : bool [N], optional
        Rows that have a group; one without is neither of the vulnerable group nor of the majority. Default: all.
    """
    if spec.regime == "unlabelled":
        return Known(np.arange(len(features)), outliers(features, spec.outliers, spec.contamination, seed))
    assert vulnerable is not None
    rows = labelled(len(vulnerable), spec, seed, stage)
    rows = rows if grouped is None else rows[grouped[rows]]
    return Known(rows, vulnerable[rows])


def labelled(rows: int, spec: DetectorSpec, seed: int, stage: str) -> NDArray[np.int64]:
    """Which of so many rows have a known group, ascending: all, or in the regime ``partial`` a random share."""
    if spec.regime == "full":
        return np.arange(rows)
    count = int(np.ceil(spec.label_share * rows))
    return np.sort(drawing(seed, stage).permutation(rows)[:count])


def outliers(features: NDArray[np.float32], method: Outliers, contamination: float, seed: int) -> Flags:
    """Rows unlike the others, bool [N], a share `contamination` of them."""
    share: Any = contamination  # scikit-learn's own annotation names only its default, "auto"
    if method == "lof":
        neighbours = min(LOF_NEIGHBOURS, len(features) - 1)
        found = LocalOutlierFactor(n_neighbors=neighbours, contamination=share).fit_predict(features)
    else:
        found = IsolationForest(contamination=share, random_state=seed).fit_predict(features)
    return found < 0
