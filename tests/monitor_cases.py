"""Records as the audit log holds them, of simulated streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from equiray.serving.monitor import Bound, Gate, Harm, Monitor, Settings

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class LogLine:
    seq: int
    kind: str
    body: Mapping[str, Any]
    payload: Mapping[str, Any] | None = None
    model_version: str = "v1"
    record_id: str = ""
    at: str = ""


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def decision(seq: int, rows: Sequence[tuple[Mapping[str, Any] | None, int | None]], **more: Any) -> LogLine:
    """A record of rows, each with its attributes and decision."""
    gates = more.pop("gates", [{}] * len(rows))
    decided = [
        {
            "id": f"r{seq}-{i}",
            "decision": made,
            "probability": 0.5,
            "gates": {name: {"risk": 0.5, "open": opened} for name, opened in gates[i].items()},
            "refused": made is None,
        }
        for i, (_, made) in enumerate(rows)
    ]
    return LogLine(
        seq=seq,
        kind="decision",
        record_id=f"r{seq}",
        at=at(seq),
        body={"task": "german", "decisions": decided},
        payload={"attributes": [attributes for attributes, _ in rows]},
        **more,
    )


def outcome(seq: int, labels: Mapping[str, int | None], attributes: Sequence[Any] | None = None) -> LogLine:
    seen = [{"decision_id": name, "label": label} for name, label in labels.items()]
    payload = {"attributes": list(attributes) if attributes is not None else [None] * len(seen)}
    return LogLine(seq=seq, kind="outcome", record_id=f"r{seq}", at=at(seq), body={"outcomes": seen}, payload=payload)


def stream(rates: Mapping[str, float], rows: int, *, each: int = 20, seed: int = 0, first: int = 1) -> list[LogLine]:
    """Records of rows whose groups come in equal shares, selected at these rates."""
    rng = np.random.default_rng(seed)
    names = list(rates)
    groups = rng.integers(len(names), size=rows)
    made = rng.random(rows) < np.array([rates[name] for name in names])[groups]
    drawn = [({"sex": names[group]}, int(one)) for group, one in zip(groups, made, strict=True)]
    return [decision(first + i // each, drawn[i : i + each]) for i in range(0, rows, each)]


SIMULATED = "Simulated stream"
_ABOUT = "Simulated decisions about nobody: an example of the page and of the document."


@cache
def example() -> dict[str, Any]:
    """The document of docs/contracts/live_fairness.json: a small stream with outcomes, gates and all verdicts."""
    bounds = (
        Bound(metric="demographic_parity_difference", attribute="sex", side="max", value=0.1),
        Bound(metric="equal_opportunity_difference", attribute="sex", side="max", value=0.25),
        Bound(metric="refusal_rate", attribute=None, side="max", value=0.1),
    )
    settings = Settings(
        attributes=("sex",),
        bounds=bounds,
        gates={"sex": Gate(vulnerable="f", harm=Harm(d_min=0.08, d_maj=0.02))},
        name=SIMULATED,
        about=_ABOUT,
        not_watched=("auc: no bets on it are known that hold at any time; `equiray audit` judges it",),
    )
    monitor = Monitor(settings)
    monitor.take(example_records())
    audit = {"length": monitor.seq, "checkpoint_at": monitor.at, "problems": []}
    return monitor.document(audit=audit)


def example_records() -> list[LogLine]:
    """What it is made of."""
    return _mixed({"f": 0.55, "m": 0.3}, 2400, seed=1)


@cache
def crowded() -> dict[str, Any]:
    """Two versions, many groups, names that never break and one that looks like markup."""
    names = {"<img src=x onerror=taken=1>": 0.4, "a-group-whose-name-never-breaks-" * 6: 0.5, "m": 0.45, "x": 0.4}
    bounds = (
        Bound(metric="demographic_parity_difference", attribute="sex", side="max", value=0.12),
        Bound(metric="disparate_impact_ratio", attribute="sex", side="min", value=0.8),
        Bound(metric="equalized_odds_difference_max", attribute="sex", side="max", value=0.1, source="validation"),
        Bound(metric="selection_rate", attribute=None, side="max", value=0.9),
    )
    gates = {"sex": Gate(vulnerable="x", harm=Harm(d_min=0.05, d_maj=0.01))}
    monitor = Monitor(Settings(attributes=("sex",), bounds=bounds, gates=gates, name=SIMULATED, about=_ABOUT))
    first = _mixed(names, 3000, seed=2)
    monitor.take([*first, *_mixed(names, 3000, seed=3, first=len(first) + 1, model_version="v2")])
    return monitor.document(serving="v2", audit={"length": 601, "checkpoint_at": monitor.at, "problems": []})


def _mixed(
    rates: Mapping[str, float], rows: int, *, seed: int, first: int = 1, model_version: str = "v1"
) -> list[LogLine]:
    """Decisions, some refused or of no known group, with gates; after each record outcomes of half of the selected."""
    rng, names, records = np.random.default_rng(seed), list(rates), list[LogLine]()
    for _ in range(rows // 20):
        group, made = rng.integers(len(names), size=20), rng.random(20)
        rows_of = [
            (
                {"sex": names[one]} if rng.random() < 0.97 else None,
                None if rng.random() < 0.02 else int(drawn < rates[names[one]]),
            )
            for one, drawn in zip(group, made, strict=True)
        ]
        gates = [{"sex": bool(rng.random() < (0.7 if one == 0 else 0.1))} for one in group]
        seq = first + len(records)
        records.append(decision(seq, rows_of, gates=gates, model_version=model_version))
        seen = {
            f"r{seq}-{i}": int(rng.random() < 0.7) for i, (_, one) in enumerate(rows_of) if one and rng.random() < 0.5
        }
        records.append(outcome(seq + 1, seen))
    return records
