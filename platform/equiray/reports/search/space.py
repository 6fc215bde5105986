"""A setting that a sweep varies: a part of ``search.json``, and how its values are written."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import JsonValue, model_validator

from equiray.reports.fairnet.trainings import Figure, Part, Threshold


class Setting(Part):
    """A key of the run's spec with its choices, or with its range from `low` to `high`."""

    key: str
    kind: Literal["choice", "float", "int"]
    choices: list[JsonValue] | None
    low: Figure
    high: Figure
    log: bool

    @model_validator(mode="after")
    def _has_values(self) -> "Setting":
        if self.kind == "choice":
            if not self.choices:
                raise ValueError(f"`{self.key}` has no choices")
        elif self.low is None or self.high is None or self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"`{self.key}` has no range from {self.low} to {self.high}{' on a log axis' * self.log}")
        return self


def value_words(value: JsonValue) -> str:
    """A value as a line of YAML has it: ``0.0003``, ``true``, ``q_proj, v_proj``."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(value_words, value)) if isinstance(value, list) else str(value)


def threshold_words(tau: Threshold) -> str:
    """``0.412``; a threshold of infinity keeps its gate shut, or opens it for all rows."""
    return {"inf": "∞ (shut)", "-inf": "−∞ (always open)"}[tau] if isinstance(tau, str) else f"{tau:.4g}"


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The shortest dotted end of each key that no other key has: ``adapter.rank`` -> ``rank``."""
    ends = {key: [key.split(".", cut)[-1] for cut in range(key.count("."), -1, -1)] for key in keys}
    return {
        key: next((end for end in ends[key] if sum(end in other for other in ends.values()) == 1), key) for key in keys
    }


def settings_words(settings: Mapping[str, JsonValue]) -> str:
    """``rank 16, learning_rate 0.0003``, in the order of the document."""
    short = short_keys(list(settings))
    return ", ".join(f"{short[key]} {value_words(value)}" for key, value in settings.items())


def thresholds_words(thresholds: Mapping[str, Threshold]) -> str:
    """``sex 0.412, race ∞ (shut)``."""
    return ", ".join(f"{gate} {threshold_words(tau)}" for gate, tau in thresholds.items())
