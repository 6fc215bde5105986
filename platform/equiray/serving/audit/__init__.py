"""The audit log: what was answered, kept so that whoever changes it later is found out.

Notable: `log` writes (one thread a process, groups of entries in one transaction), `chain` says what a mac covers,
`checkpoints` keeps signed heads in a second place, `verification` finds what was changed, and says what it cannot see.
"""

from equiray.serving.audit.log import AuditLog
from equiray.serving.audit.records import (
    Entry,
    Head,
    IdempotencyConflict,
    Kind,
    LogNotReadable,
    LogNotWritable,
    LogUnavailable,
    Record,
    new_record_id,
)
from equiray.serving.audit.verification import Verification, verify_log

__all__ = [
    "AuditLog",
    "Entry",
    "Head",
    "IdempotencyConflict",
    "Kind",
    "LogNotReadable",
    "LogNotWritable",
    "LogUnavailable",
    "Record",
    "Verification",
    "new_record_id",
    "verify_log",
]
