"""Policies: what must hold, and whether the evidence says that it does."""

from equiray.policies.application import Judgement, LeftOut, Subject, apply_policy
from equiray.policies.document import READY, NamedPolicy, Policy, load_policy
from equiray.policies.impact_ratios import ImpactRow
from equiray.policies.stored import StoredEvidence

__all__ = [
    "READY",
    "ImpactRow",
    "Judgement",
    "LeftOut",
    "NamedPolicy",
    "Policy",
    "StoredEvidence",
    "Subject",
    "apply_policy",
    "load_policy",
]
