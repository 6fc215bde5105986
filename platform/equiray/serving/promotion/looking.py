"""Looks at a growing log: found in it, and recorded in it before anybody sees what they say."""

import hashlib
import json
from typing import Any

from sqlalchemy import select

from equiray.errors import BadInput
from equiray.metrics.looks import Look
from equiray.serving.audit import AuditLog, Entry, IdempotencyConflict
from equiray.serving.audit.retention import OPERATOR
from equiray.serving.audit.tables import records
from equiray.serving.promotion.comparing import OutcomesFor
from equiray.serving.promotion.pairing import Paired, Versions

ALPHA = 0.05
"""Of all looks together at one pair of versions."""
LOOKED, APPLIED = "promotion_look", "promotion"
"""Actions of admin records."""


def next_look(log: AuditLog, paired: Paired, outcomes_for: OutcomesFor) -> Look:
    """The look that is made now, recorded.

    The same counts are the same look: what was recorded of it is found again, and nothing is spent.

    Raises
    ------
    BadInput
        Somebody else is looking at the same moment.
    LogNotWritable
        It cannot be recorded, so nothing is shown.
    """
    evidence = _evidence(paired, outcomes_for)
    earlier = _looks(log, paired.versions)
    if earlier and earlier[-1]["evidence"] == evidence:
        return Look(alpha=ALPHA, number=len(earlier), spend=True)
    look = Look(alpha=ALPHA, number=len(earlier) + 1, spend=True)
    body = {
        "action": LOOKED,
        **paired.versions._asdict(),
        "look": look.number,
        "level": look.level,
        "rows": paired.rows,
        "labelled": paired.labelled,
        "log_length": paired.length,
        "evidence": evidence,
    }
    name = f"{LOOKED} {look.number} {paired.versions.shadow} {paired.versions.primary}"
    key = hashlib.sha256(name.encode()).hexdigest()
    entry = Entry(
        kind="admin", key_id=OPERATOR, model_version="", body=body, idempotency_key=key, request_sha256=evidence
    )
    try:
        log.append(entry).result()
    except IdempotencyConflict as error:
        raise BadInput("another look was recorded meanwhile", place="audit log", fix="repeat the command") from error
    return look


def record_applied(log: AuditLog, versions: Versions, look: Look, *, rows: int, fallback: bool) -> int:
    """Record that the shadow becomes the primary; returns the record's number."""
    body = {"action": APPLIED, **versions._asdict(), "look": look.number, "rows": rows, "kept_as_fallback": fallback}
    return log.append(Entry(kind="admin", key_id=OPERATOR, model_version="", body=body)).result().seq


def _looks(log: AuditLog, versions: Versions) -> list[dict[str, Any]]:
    query = select(records.c.body).where(records.c.kind == "admin", records.c.key_id == OPERATOR)
    bodies = [json.loads(text) for text in log.select(query.order_by(records.c.seq))]
    same = versions._asdict().items()
    return [body for body in bodies if body.get("action") == LOOKED and same <= body.items()]


def _evidence(paired: Paired, outcomes_for: OutcomesFor) -> str:
    groups = {name: {key: part.tolist() for key, part in of.items()} for name, of in paired.groups.items()}
    seen = [paired.total.tolist(), groups, outcomes_for]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
