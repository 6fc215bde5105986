"""`equiray audit`: files of predictions to results, verdicts and a report, and what a person reads when it cannot be."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from equiray.cli import main
from equiray.errors import BadInput
from equiray.metrics.counting import Counts
from equiray.runs import counting
from equiray.runs.audit_spec import AuditSpec, load_audit_spec
from test_cli import equiray

ROOT = Path(__file__).parent.parent
OPTIONS = ("--label", "y", "--prediction", "yhat", "--attributes", "sex,race")


def people(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """Rows whose groups are selected unequally often; scores of two digits."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    label = rng.integers(0, 2, n)
    score = np.round(np.clip(0.25 + 0.35 * label + 0.1 * (sex == "m") + rng.normal(0, 0.2, n), 0, 1), 2)
    return pd.DataFrame(
        {
            "sex": sex,
            "race": rng.choice(["black", "white", "other"], n),
            "y": label,
            "yhat": (score >= 0.5).astype(int),
            "p": score,
            "w": np.round(rng.uniform(0.5, 2, n), 2),
        }
    )


def written(frame: pd.DataFrame, path: Path) -> Path:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=100)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def result(self, directory: Path) -> dict:
        assert self.code < 3, self.err
        return json.loads((directory / "results.json").read_text())


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, for starting one takes longer than all that it does."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["audit", *map(str, arguments)])
        assert isinstance(left.value.code, int)
        return Done(left.value.code, *capsys.readouterr())

    return run


def found(results: dict, metric: str, attribute: str | None = None, group: str | None = None) -> dict:
    (one,) = [
        e
        for e in results["estimates"]
        if (e["metric"], e["attribute"], e["group"]) == (metric, attribute, group)
    ]
    return one


def test_values_are_those_of_pandas_and_every_format_says_the_same(tmp_path: Path, audit):
    frame = people()
    results = []
    for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
        out = tmp_path / name.replace(".", "-")
        done = audit(written(frame, tmp_path / name), *OPTIONS, "--score", "p", "--intersections", "2", "--out", out)
        results.append(done.result(out))
    assert results[0]["estimates"] == results[1]["estimates"] == results[2]["estimates"]

    first = results[0]
    assert first["n_rows"] == len(frame) and first["task"] == "y"
    for attribute, key in (("sex", frame["sex"]), ("race", frame["race"]), ("sex*race", frame["sex"] + "*" + frame["race"])):
        groups = frame.groupby(key)
        expected = {
            "selection_rate": groups["yhat"].mean(),
            "tpr": frame[frame.y == 1].groupby(key[frame.y == 1])["yhat"].mean(),
            "ppv": frame[frame.yhat == 1].groupby(key[frame.yhat == 1])["y"].mean(),
            "mean_score": groups["p"].mean(),
            "brier": ((frame["p"] - frame["y"]) ** 2).groupby(key).mean(),
        }
        for metric, values in expected.items():
            for group, value in values.items():
                assert found(first, metric, attribute, group)["value"] == pytest.approx(value, abs=1e-12)
        gap = expected["tpr"].max() - expected["tpr"].min()
        assert found(first, "equal_opportunity_difference", attribute)["value"] == pytest.approx(gap, abs=1e-12)
    assert found(first, "accuracy")["value"] == pytest.approx((frame.y == frame.yhat).mean(), abs=1e-12)
    assert len({e["group"] for e in first["estimates"] if e["attribute"] == "sex*race"} - {None}) == 6
