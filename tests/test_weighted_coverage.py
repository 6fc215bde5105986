"""Weights that know something of the outcome: do limits of weighted rates and means still cover?

Each group of a table is one draw, so one call makes the limits of them all. The truth is the same ratio over a thousand
times as many rows. Monte Carlo error of 800 draws at 95 %: .8 points.
"""

import numpy as np
import pyarrow as pa
import pytest

from equiray.metrics.catalogue import METRICS
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.tables import GroupTable

DRAWS, ROWS = 800, 400
DECISIONS = ("selection_rate", "accuracy", "tpr", "fpr", "ppv")
SCORES = ("mean_score", "brier", "auc", "ece")
ERRORS = {"mean_prediction": 0.92, "mae": 0.91, "rmse": 0.87}  # squares of few heavy errors are skewed


def table(columns: dict[str, np.ndarray], group: np.ndarray, **parts: bool) -> GroupTable:
    layout = Layout(attributes=(Attribute(name="g"),), weights=True, **parts)
    names = Columns(label="y", prediction="yhat", weight="w", score="p" if "p" in columns else None)
    return count_table(pa.table({"g": group, **columns}), layout, names, model="m", rows_per_block=1 << 22).table("g")


def classified(rng: np.random.Generator, rows: int, law: str) -> dict[str, np.ndarray]:
    z = rng.normal(size=rows)
    y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)
    p = np.round(1 / (1 + np.exp(-(z + rng.normal(0, 0.7, rows)))), 3)
    yhat = (p >= 0.5).astype(int)
    noise = rng.normal(size=rows)
    w = {
        "of nothing": np.exp(0.8 * noise),
        "of the label": np.exp(0.5 * noise + y),
        "of the score": np.exp(0.5 * noise + z),
        "of the ends": np.exp(0.4 * noise + 0.8 * np.abs(z)),
        "of high scores": np.where(p > 0.85, 8.0, 1.0),
        "of errors": np.where(y != yhat, 4.0, 1.0) * np.exp(0.3 * noise),
    }[law]
    return {"y": y, "yhat": yhat, "p": p, "w": w}


def regressed(rng: np.random.Generator, rows: int, law: str) -> dict[str, np.ndarray]:
    y = rng.normal(50, 10, rows)
    error = rng.normal(0, 5, rows)
    far = {"of high values": (y - 50) / 10, "of the ends": np.abs(y - 50) / 10, "of errors": np.abs(error) / 5}[law]
    return {"y": y, "yhat": y + error + 1, "w": np.exp(0.8 * far)}


def coverage(table: GroupTable, whole: GroupTable, metric: str) -> float:
    def figure(of: GroupTable) -> Figure:
        read = Read.of(METRICS[metric], of, "1")
        assert read is not None
        return Figure(metric=METRICS[metric], read=read)

    (truth,) = figure(whole).values
    low, high = figure(table).limits(0.95)
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize(
    "law", ["of nothing", "of the label", "of the score", "of the ends", "of high scores", "of errors"]
)
def test_rates_and_scores_are_covered(law: str):
    rng, group = np.random.default_rng(1), np.repeat(np.arange(DRAWS), ROWS)
    draws = table(classified(rng, DRAWS * ROWS, law), group, scores=True)
    whole = table(classified(rng, 1000 * ROWS, law), np.zeros(1000 * ROWS, int), scores=True)
    for metric in DECISIONS + SCORES:
        assert coverage(draws, whole, metric) >= 0.93 - 0.008, metric


@pytest.mark.parametrize("law", ["of high values", "of the ends", "of errors"])
def test_errors_of_real_valued_predictions_are_covered(law: str):
    rng, group = np.random.default_rng(2), np.repeat(np.arange(DRAWS), ROWS)
    draws = table(regressed(rng, DRAWS * ROWS, law), group, real_valued=True)
    whole = table(regressed(rng, 1000 * ROWS, law), np.zeros(1000 * ROWS, int), real_valued=True)
    for metric, least in ERRORS.items():
        assert coverage(draws, whole, metric) >= least - 0.008, metric
