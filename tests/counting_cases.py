"""Rows to count, and the same counts by pandas: the second route of the counting tests."""

import numpy as np
import pandas as pd
import pyarrow as pa

from equiray.metrics.counting import Attribute, Columns, Layout
from equiray.metrics.tables import MISSING, UNANSWERED

LAYOUT = Layout(attributes=(Attribute(name="race"), Attribute(name="sex")), scores=True, weights=True)
COLUMNS = Columns(label="y", prediction="yhat", score="p", weight="w", outcome="why")


def rows(n: int, seed: int = 0, *, digits: int | None = 2) -> pd.DataFrame:
    """Rows with everything in them: missing attributes, refusals, answers not understood, weights of all sizes."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    frame = pd.DataFrame(
        {
            "race": rng.choice(np.array(["black", "white", "other", None], object), n, p=[0.3, 0.4, 0.2, 0.1]),
            "sex": rng.choice(np.array(["female", "male", None], object), n, p=[0.5, 0.45, 0.05]),
            "y": rng.integers(0, 2, n),
            "yhat": rng.integers(0, 2, n).astype(object),
            "p": score if digits is None else score.round(digits),
            "w": np.exp(rng.normal(0, 8, n)),
            "why": "answered",
        }
    )
    unanswered = rng.random(n) < 0.1
    frame.loc[unanswered, ["yhat", "p"]] = None
    frame.loc[unanswered, "why"] = rng.choice(["refused", "unparsed"], int(unanswered.sum()))
    return frame


def table(frame: pd.DataFrame) -> pa.Table:
    kinds = {"race": pa.string(), "sex": pa.string(), "yhat": pa.int64(), "p": pa.float64(), "why": pa.string()}
    columns = {name: pa.array(frame[name], kinds.get(name), from_pandas=True) for name in frame}
    return pa.table(columns)


def group_column(frame: pd.DataFrame, attributes: list[str]) -> pd.Series:
    """Names of the groups; rows that miss any of the attributes are `MISSING`."""
    joined = frame[attributes[0]].astype(object)
    for name in attributes[1:]:
        joined = joined + "*" + frame[name].astype(object)
    return joined.where(frame[attributes].notna().all(axis=1), MISSING)


def prediction_column(frame: pd.DataFrame) -> pd.Series:
    answer = frame["yhat"].map({0: "0", 1: "1"})
    return answer.where(frame["yhat"].notna(), np.where(frame["why"] == "refused", *UNANSWERED))


def mass_by_pandas(frame: pd.DataFrame, groups: tuple[str, ...], attributes: list[str]) -> np.ndarray:
    """Rows, sum w and sum w^2 by group, label and prediction, [3, G, 2, 4]."""
    keys = [group_column(frame, attributes), frame["y"].astype(str), prediction_column(frame)]
    index = pd.MultiIndex.from_product([groups, ["0", "1"], ["0", "1", *UNANSWERED]])
    grouped = frame.assign(square=frame["w"] ** 2).groupby(keys)
    columns = [grouped.size(), grouped["w"].sum(), grouped["square"].sum()]
    return np.array([c.reindex(index, fill_value=0).to_numpy().reshape(len(groups), 2, 4) for c in columns])
