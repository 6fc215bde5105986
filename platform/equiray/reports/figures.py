"""`Figures`: the estimates of a run, looked up by what they measure, and how a paired effect may be read."""

from collections import Counter
from collections.abc import Container, Iterable
from typing import Literal

from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.reports.words import MODELS, STAGES

SIGNED_GAP = "intrinsic_gap_signed"
INTRINSIC_METRICS = (
    "intrinsic_gap_counterfactual",
    "intrinsic_gap_counterfactual_reduction",
    SIGNED_GAP,
    "intrinsic_gap",
    "intrinsic_gap_reduction",
    "par",
    "lmcs",
    "els",
    "perplexity",
    "perplexity_ratio",
)
TABLE_METRICS = (
    "accuracy",
    "accuracy_parity_difference",
    "demographic_parity_difference",
    "equalized_odds_difference_max",
)
DISPARITIES = (*TABLE_METRICS[1:], "equal_opportunity_difference")
QUALITIES = ("accuracy", "auc")
MITIGATED_MODELS = ("raw_unaware",)  # dropping the sensitive column is a mitigation, also at stage baseline
GROUP_RATES = ("selection_rate", "tpr", "fpr")
AUDIT = "audit"
"""The stage of predictions that were audited as they are: there is no other to compare them with."""

COMPARED = ("A", "B")
"""The stages of two sets of predictions that were compared; the paired change is that of ``B-A``."""

Reading = Literal["better", "worse", "changed", "cannot tell", "identical", "not estimable"]
_Key = tuple[str, str, str, str, str | None, str | None]


class Figures:
    """An index over estimates; every list keeps the order of the pipeline, then of appearance.

    Raises
    ------
    BadInput
        Two estimates measure the same thing and disagree.
    """

    def __init__(self, estimates: Iterable[Estimate]) -> None:
        self._by_key: dict[_Key, Estimate] = {}
        for e in estimates:
            key = (e.task, e.stage, e.model, e.metric, e.attribute, e.group)
            if self._by_key.setdefault(key, e) != e:
                place = "results.json, " + "/".join(str(part) for part in key if part is not None)
                raise BadInput("two different estimates of the same thing", place=place, fix="repeat the run")
        self.all = tuple(self._by_key.values())

    def get(
        self, task: str, stage: str, model: str, metric: str, attribute: str | None = None, group: str | None = None
    ) -> Estimate | None:
        """The estimate of exactly that, or None."""
        return self._by_key.get((task, stage, model, metric, attribute, group))

    def effect(self, of: Estimate, stage: str) -> Estimate | None:
        """The paired change of `of` (a baseline) under `stage`, if the run recorded one."""
        return self.get(of.task, f"{stage}-{of.stage}", of.model, of.metric, of.attribute, of.group)

    def levels(self, metric: str) -> list[Estimate]:
        """The figures of a metric over all groups, at baseline or audited, where they could be estimated."""
        return [
            e
            for e in self.all
            if e.metric == metric and e.stage in ("baseline", AUDIT) and e.group is None and e.value is not None
        ]

    def unmitigated(self, metric: str) -> list[Estimate]:
        """`levels` without the models that are themselves a mitigation."""
        return [e for e in self.levels(metric) if e.model not in MITIGATED_MODELS]

    def inversions(self) -> list[Estimate]:
        """The signed gaps after unlearning that lie clearly below 0 where the baseline's lay clearly above."""
        pairs = ((e, self.get(e.task, "unlearning", e.model, e.metric, e.attribute)) for e in self.levels(SIGNED_GAP))
        return [after for before, after in pairs if after and [_side(before), _side(after)] == [1, -1]]

    def changes(self, metrics: Container[str]) -> list[Estimate]:
        """The paired differences from the baseline in `metrics`, over all groups."""
        return [e for e in self.all if e.stage.endswith("-baseline") and e.metric in metrics and e.group is None]

    def intrinsic_sets(self) -> list[str]:
        return _unique(e.task for e in self.all if e.metric in INTRINSIC_METRICS)

    def is_audit(self, task: str) -> bool:
        """Whether a task is somebody's predictions, audited as they are."""
        return self.stages(task) == [AUDIT]

    def is_comparison(self, task: str) -> bool:
        """Whether a task is two sets of predictions over the same rows."""
        return set(self.stages(task)) == set(COMPARED)

    def decision_tasks(self) -> list[str]:
        return _unique(e.task for e in self.all if e.metric not in INTRINSIC_METRICS)

    def stages(self, task: str, *, effects: bool = False) -> list[str]:
        found = _unique(e.stage for e in self.all if e.task == task and is_effect(e) == effects)
        order = list(STAGES)
        return sorted(found, key=lambda s: order.index(p) if (p := s.partition("-")[0]) in order else len(order))

    def models(self, task: str) -> list[str]:
        found, order = _unique(e.model for e in self.all if e.task == task), list(MODELS)
        return sorted(found, key=lambda m: order.index(m) if m in order else len(order))

    def attributes(self, task: str) -> list[str]:
        return _unique(e.attribute for e in self.all if e.task == task and e.attribute is not None)

    def groups(self, task: str, attribute: str) -> list[str]:
        matching = (e for e in self.all if e.task == task and e.attribute == attribute)
        return _unique(e.group for e in matching if e.group is not None)


def _side(e: Estimate) -> int:
    """The side of 0 on which the whole interval lies, 0 where it includes 0."""
    if e.low is None or e.high is None:
        return 0
    return 1 if e.low > 0 else -1 if e.high < 0 else 0


def is_effect(estimate: Estimate) -> bool:
    """Whether an estimate is a paired difference between two stages."""
    return "-" in estimate.stage


def read_effect(effect: Estimate) -> Reading:
    """What a paired effect lets one say: only an interval without "no change" (0; of after / before 1) says anything.

    ``changed`` is a clear change in a metric that is not simply better or worse when it falls (a signed gap).
    """
    if effect.value is None or effect.low is None or effect.high is None:
        return "not estimable"
    if effect.value == effect.low == effect.high == 0:
        return "identical"
    unchanged = _unchanged(effect)
    if effect.low <= unchanged <= effect.high:
        return "cannot tell"
    if effect.direction not in ("lower", "higher"):
        return "changed"
    return "better" if (effect.value < unchanged) == (effect.direction == "lower") else "worse"


def effect_phrase(effect: Estimate) -> str:
    """The reading in words, naming the direction: ``clearly smaller``, ``cannot tell``, ``identical``."""
    reading = read_effect(effect)
    if reading not in ("better", "worse", "changed"):
        return reading
    rose = (effect.value or 0) > _unchanged(effect)
    return f"clearly {('higher' if rose else 'lower')}"


def _unchanged(effect: Estimate) -> int:
    """What an effect is if nothing changed: of a difference 0, of after / before 1."""
    return 1 if effect.metric == "perplexity_ratio" else 0


class Readings(Counter[str]):
    """How many paired differences read as what."""

    @property
    def compared(self) -> int:
        """Those with an interval; identical stages were never in question."""
        return self["better"] + self["worse"] + self["changed"] + self["cannot tell"]


def count_readings(effects: Iterable[Estimate]) -> Readings:
    """Read each effect and count the readings."""
    return Readings(read_effect(e) for e in effects)


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
