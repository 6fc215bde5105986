"""Labels of steps: from the judge that trains, and from those that are only compared with it."""

import shutil
from collections.abc import Callable, Sequence

import pyarrow as pa

from equiray.mitigation.reward.gold import GoldRule
from equiray.mitigation.reward.judges import EndpointJudge, Judge, LikelihoodJudge
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.models.endpoint import Endpoint
from equiray.runs.directory import RunDirectory
from equiray.runs.sampling.chains import completions_directory
from equiray.runs.sampling.engines import Engines
from equiray.specs.reward_run import JudgeKind, RewardSpec
from equiray.streaming.progress import RowProgress

_CASES_AT_ONCE = 16
"""Labelled between two files."""

_SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("chain", pa.int64()),
        ("step", pa.int64()),
        ("unbiased", pa.int64()),
        ("probability", pa.float64()),
        ("outcome", pa.string()),
        ("source", pa.string()),
    ]
)


def judge_of(kind: JudgeKind, spec: RewardSpec, engines: Engines) -> Judge:
    """A judge of a spec; the gold rule and the likelihood judge use a model in this process, in float32."""
    chosen = spec.judge.engine or spec.engine
    if kind == "endpoint":
        cache = completions_directory().with_name("judges")
        return EndpointJudge(endpoint=Endpoint(base_url=chosen.source, model=chosen.name or "", cache=cache))
    if kind == "likelihood":
        return LikelihoodJudge(lm=engines.model(chosen.source, chosen.adapter, chosen.dtype))
    return GoldRule(lm=engines.model(chosen.source, chosen.adapter, "float32"), delta=spec.judge.delta)


def labelled(
    judge: Callable[[], Judge], kind: JudgeKind, side: str, cases: Sequence[ReasonedCase], directory: RunDirectory
) -> list[StepLabel]:
    """Labels of all steps of a side, kept as ``labels/<judge>.<side>.parquet``; the judge is made if it is needed.

    Until all are there, each part stands in ``labels/<judge>.<side>/``: a run that was killed goes on from them.
    """
    file = f"labels/{kind}.{side}.parquet"
    table = directory.read_table(file)
    if table is None:
        parts: list[pa.Table] = []
        asked: Judge | None = None
        with RowProgress(f"{side}: labels ({kind})", total=len(cases), unit="cases") as progress:
            for first in range(0, len(cases), _CASES_AT_ONCE):
                block, name = cases[first : first + _CASES_AT_ONCE], f"labels/{kind}.{side}/{first}.parquet"
                part = directory.read_table(name)
                if part is None:
                    asked = asked or judge()
                    part = _table(asked.label(block))
                    directory.write_table(name, part)
                parts.append(part)
                progress.advance(len(block), 0)
        table = pa.concat_tables(parts) if parts else _table([])
        directory.write_table(file, table)
        shutil.rmtree(directory.path / f"labels/{kind}.{side}", ignore_errors=True)
    return [StepLabel(**row) for row in table.to_pylist()]


def _table(labels: Sequence[StepLabel]) -> pa.Table:
    rows = [{name: getattr(label, name) for name in _SCHEMA.names} for label in labels]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
