"""Four metrics of each group and their differences, by Fairlearn's MetricFrame and by equiray, as the same array."""

from collections.abc import Sequence
from functools import partial

import fairlearn
import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.tables import GroupTable

PEER = f"Fairlearn {fairlearn.__version__} MetricFrame, pandas {pd.__version__}"
DIFFERENCES = {
    "selection_rate": "demographic_parity_difference",
    "tpr": "equal_opportunity_difference",
    "fpr": "fpr_difference",
    "accuracy": "accuracy_parity_difference",
}
CONFIDENCE = 0.95


def by_fairlearn(frame: pd.DataFrame, attributes: Sequence[str], positive: int | str = 1) -> NDArray[np.float64]:
    """Rates of each group and, in the last row, their differences, [G + 1, 4]; as Fairlearn's user guide does it."""
    of_positive = {"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    metrics = {name: partial(metric, pos_label=positive) for name, metric in of_positive.items()}
    found = MetricFrame(
        metrics=metrics | {"accuracy": accuracy_score},
        y_true=frame["label"],
        y_pred=frame["prediction"],
        sensitive_features=frame[list(attributes)],
    )
    by_group, differences = pd.DataFrame(found.by_group).dropna(how="all"), pd.Series(found.difference())
    names = list(DIFFERENCES)
    return np.vstack([np.asarray(by_group[names], np.float64), np.asarray(differences[names], np.float64)])


def by_equiray(table: GroupTable, *, limits: bool) -> NDArray[np.float64]:
    """The same; with limits, also those of every rate and difference."""
    columns = []
    for rate, difference in DIFFERENCES.items():
        figures = []
        for name in (rate, difference):
            read = Read.of(METRICS[name], table, None)
            assert read is not None
            figures.append(Figure(metric=METRICS[name], read=read))
            if limits:
                figures[-1].limits(CONFIDENCE)
        columns.append(np.concatenate([figure.values for figure in figures]))
    return np.column_stack(columns)
