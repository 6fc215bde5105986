"""The live monitor: what the audit log's records say about fairness, as they come.

A fold over the records: it costs the request path nothing, merges all replicas in the log's one order and can be
rebuilt from the log. It imports neither Ray nor a model.
"""

from equiray.serving.monitor.actions import Action, OnFail
from equiray.serving.monitor.bounds import policy_bounds, settings_for, validation_bounds
from equiray.serving.monitor.settings import Bound, Gate, Harm, Settings
from equiray.serving.monitor.state import Failed, Monitor

__all__ = [
    "Action",
    "Bound",
    "Failed",
    "Gate",
    "Harm",
    "Monitor",
    "OnFail",
    "Settings",
    "policy_bounds",
    "settings_for",
    "validation_bounds",
]
