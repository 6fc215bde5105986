"""Records as the audit log holds them, of simulated streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

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
