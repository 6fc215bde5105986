"""Which trials are ended before their last step: those that break a constraint, and those that cannot catch up."""

from collections.abc import Mapping, Sequence

from equiray.search.ledger import Entry
from equiray.search.study import Progress
from equiray.specs.sweep import SweepSpec

PATIENCE = 2
"""Measurements in a row that have to break a constraint: one may be a dent."""
_WAY = 0.5
_MANY, _FEWEST = 1 / 3, 5


class Stopping:
    """Decides from what trials say on their way.

    Parameters
    ----------
    spec : SweepSpec
    base : mapping of metric to float
        Figures of the unmitigated model, which constraints may be relative to.
    """

    def __init__(self, spec: SweepSpec, base: Mapping[str, float]) -> None:
        self.spec, self.base = spec, base

    def broken(self, figures: Mapping[str, float]) -> dict[str, float]:
        """By how much figures break each constraint that they break; those not measured on the way break none."""
        found = {}
        for each in self.spec.constraints:
            if each.metric in figures:
                excess = each.excess(figures[each.metric], self.base.get(each.metric))
                if excess > 0:
                    found[each.name] = excess
        return found

    def reason(self, said: Sequence[Progress], finished: Sequence[Entry]) -> tuple[str, bool] | None:
        """Why a trial that has said this much is ended, and whether that is because it is infeasible; or None."""
        last = [self.broken(progress.figures) for progress in said[-PATIENCE:]]
        if len(last) == PATIENCE and (broken := last[0].keys() & last[1].keys()):
            return f"broke {' and '.join(sorted(broken))} at steps {said[-2].step} and {said[-1].step}", True
        if self.spec.search.stop_hopeless and (better := hopeless(self.spec, said, finished)):
            return f"worse in every objective at step {said[-1].step} than {better} finished trials were there", False
        return None


def hopeless(spec: SweepSpec, said: Sequence[Progress], finished: Sequence[Entry]) -> int:
    """How many finished trials were better in every objective at the same step, if more than a third were; else 0.

    Looked at once, at the first measurement half way. Standing half way tells little of the end
    (benchmarks/hopeless_replay.py replays a finished sweep), so the rule ends only what many dominate.
    """
    now = said[-1]
    if any(each.metric not in now.figures for each in spec.objectives):  # one that comes last may still be the best
        return 0
    first = next((progress for progress in said if progress.step >= _WAY * progress.steps), None)
    if first is not now or now.step == now.steps:
        return 0
    others = [
        figures
        for entry in finished
        if entry.outcome is not None
        for step, _, figures in entry.curve
        if step == now.step
    ]
    better = sum(_dominates(spec, other, now.figures) for other in others)
    return better if len(others) >= _FEWEST and better > _MANY * len(others) else 0


def _dominates(spec: SweepSpec, one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    signs = {"higher": 1, "lower": -1}
    return all(
        signs[each.direction] * one[each.metric] > signs[each.direction] * other[each.metric]
        for each in spec.objectives
    )
