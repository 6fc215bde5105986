"""A bundle that answers requests: several at once, each on its own terms. Runs without Ray."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.bundles.bundle import Bundle
from equiray.bundles.checking import version_of
from equiray.bundles.deciding import Decisions, with_thresholds
from equiray.data.schema import Schema
from equiray.errors import BadInput
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.decisions.rows import groups_of, table_of
from equiray.serving.guard.refusals import Refused
from equiray.specs.serving import LiveSpec

_LOG = logging.getLogger(__name__)


class DecisionService:
    """A loaded bundle with its live settings."""

    def __init__(self, bundle: Bundle, *, deterministic: bool = False) -> None:
        if bundle.decider is None or bundle.serializer is None:
            raise BadInput(
                "this bundle decides no rows of a table",
                place=str(bundle.path),
                fix="serve a bundle with a serializer and a FairNet or a classifier",
            )
        self._made, self._deterministic = bundle, deterministic
        self._version = version_of(bundle.path)
        self.configure(LiveSpec())

    @property
    def schema(self) -> Schema:
        """Of the task."""
        assert self._made.serializer is not None
        return self._made.serializer.schema

    @property
    def model_version(self) -> str:
        """The bundle, and a digest of live settings that differ from its own."""
        return self._now[0]

    def configure(self, live: LiveSpec) -> str:
        """Take other thresholds; requests that are being decided keep theirs. Returns the model version.

        Raises
        ------
        BadInput
            A gate that the bundle does not have, or a threshold that is no number.
        """
        assert self._made.decider is not None
        changed = with_thresholds(self._made.decider, live.threshold, live.gates)
        plain = live == LiveSpec()
        version = self._version if plain else f"{self._version}+{live.sha256()[:8]}"
        # one assignment: a thread sees the former pair or the latter, and no mixture
        self._now = (version, replace(self._made, decider=changed))
        return version

    def decide(self, requests: Sequence[Asked]) -> list[Decided | Refused]:
        """Decide requests together; one that is refused stops no other."""
        version, bundle = self._now
        found: list[Decided | Refused | None] = [None] * len(requests)
        tables: dict[int, pa.Table] = {}
        groups: dict[int, list[dict[str, str | None]]] = {}
        for place, asked in enumerate(requests):
            try:
                self._check_task(asked.task)
                table = table_of(asked.rows, self.schema)
                groups[place] = groups_of(asked.rows, self.schema, asked.attributes)
                tables[place] = table
            except Refused as refused:
                found[place] = refused
            except Exception:  # whatever it is about these rows, the others that came with them are decided
                _LOG.exception("rows that nobody foresaw")
                message = "these rows cannot be read as the task's; compare them with /v1/models"
                found[place] = Refused(422, "wrong_rows", message, param="rows")
        if tables:
            decided = self._run(bundle, pa.concat_tables(tables.values()))
            start = 0
            for place, table in tables.items():
                rows = range(start, start + len(table))
                start = rows.stop
                said = [_said(decided, row) for row in rows]
                found[place] = Decided(model_version=version, decisions=said, groups=groups[place])
        return [one for one in found if one is not None]

    def _run(self, bundle: Bundle, table: pa.Table) -> Decisions:
        if not self._deterministic:
            return bundle.decide(table)
        assert bundle.serializer is not None
        texts = bundle.serializer.texts(table.append_column("row_id", pa.array(np.arange(len(table)))))
        return _joined([bundle.decide_texts([text]) for text in texts])

    def _check_task(self, task: str) -> None:
        if task != self.schema.name:
            message = f"no model for the task {task[:100]!r} here; there is one for {self.schema.name!r}"
            raise Refused(404, "unknown_task", message, param="task")


def _said(decided: Decisions, row: int) -> dict[str, Any]:
    gates = {
        gate: {"risk": _number(decided.risk[row, column]), "open": bool(decided.open[row, column])}
        for column, gate in enumerate(decided.gates)
    }
    probability = _number(decided.probability[row])
    return {"decision": int(decided.positive[row]), "probability": probability, "gates": gates, "refused": False}


def _number(value: Any) -> float | None:
    found = float(value)
    return None if math.isnan(found) else found


def _joined(parts: Sequence[Decisions]) -> Decisions:
    return Decisions(
        probability=np.concatenate([part.probability for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        gates=parts[0].gates,
        risk=np.concatenate([part.risk for part in parts]),
        open=np.concatenate([part.open for part in parts]),
    )
