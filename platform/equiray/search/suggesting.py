"""`Suggestions`: which settings are tried next, by Optuna.

Notable: a trial with settings that cost nothing, thresholds for one, has not one value of each objective but a whole
front. What a sampler hears of it is the hypervolume that this front covers, or each of its points as a trial of its
own (`learns_from`).
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from numpy.typing import ArrayLike
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from equiray.metrics.fronts import hypervolume
from equiray.search.ledger import Entry
from equiray.search.study import Origin, Trial
from equiray.specs.sweep import Algorithm, RangeSpec, SweepSpec

LEVELS = 3
"""Values of each range on a grid, ends included."""

_MOST_EXCESS = 1e9  # of what cannot be estimated


class Suggestions:
    """Settings one after the other, from what became of those before.

    Parameters
    ----------
    spec : SweepSpec
    entries : sequence of Entry
        What an earlier part of the sweep found out.
    first : int
        Number of the next new trial.
    """

    def __init__(self, spec: SweepSpec, entries: Sequence[Entry], first: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.spec, self.number = spec, first
        self.whole_fronts = spec.kind != "unlearning"
        self.scalar = self.whole_fronts and spec.search.learns_from == "hypervolume"
        self.distributions = distributions_of(spec)
        directions = (
            [StudyDirection.MAXIMIZE] if self.scalar else [_DIRECTION[each.direction] for each in spec.objectives]
        )
        self.study = optuna.create_study(directions=directions, sampler=self._sampler())
        self._asked: dict[int, optuna.Trial] = {}
        for entry in entries:
            self.tell(entry)

    def next(self) -> Trial:
        """The next trial; known settings come first."""
        number, self.number = self.number, self.number + 1
        names = list(self.spec.known)
        if number < len(names):
            return Trial(number=number, origin="known", settings=self.spec.known[names[number]], name=names[number])
        asked = self.study.ask(self.distributions)
        self._asked[number] = asked
        return Trial(number=number, origin=self._origin(), settings=dict(asked.params))

    def tell(self, entry: Entry) -> None:
        """Learn from a finished trial; from one that failed there is nothing to learn."""
        asked, found = self._asked.pop(entry.trial.number, None), self._values(entry)
        if asked is None:
            asked = self._asked_before(entry) if found else None
            if asked is None:
                return
        if not found:
            self.study.tell(asked, state=TrialState.FAIL)
            return
        excess = self._excess(entry)
        for values in found[1:]:  # its other points, as trials of their own
            self._add(asked.params, values, excess)
        self._finish(asked, found[0], excess)

    def _asked_before(self, entry: Entry) -> optuna.Trial | None:
        """What was not asked for here: known settings, and trials of an earlier part of the sweep.

        None of settings outside the space, which a sampler cannot place.
        """
        values = self.spec.values_of(entry.trial.settings)
        outside = set(entry.trial.settings) - self.spec.space.keys()
        if outside or not self.spec.contains(values):
            return None
        self.study.enqueue_trial(values)
        return self.study.ask(self.distributions)

    def _add(self, settings: Mapping[str, Any], values: Sequence[float], excess: Mapping[str, float]) -> None:
        self.study.enqueue_trial(dict(settings))
        self._finish(self.study.ask(self.distributions), values, excess)

    def _finish(self, asked: optuna.Trial, values: Sequence[float], excess: Mapping[str, float]) -> None:
        for name, by in excess.items():
            asked.set_constraint(name, by)
        self.study.tell(asked, list(values))

    def _values(self, entry: Entry) -> list[list[float]]:
        """What the sampler hears of a trial: one list of values or several, none of a trial that failed."""
        outcome, metrics = entry.outcome, [each.metric for each in self.spec.objectives]
        if outcome is None or not outcome.feasible:
            figures = entry.figures if outcome is None else outcome.best
            known = all(metric in figures for metric in metrics)
            if self.scalar:
                return [[0.0]] if known else []
            return [[figures[metric] for metric in metrics]] if known else []
        if self.scalar:
            return [[covered(self.spec, outcome.values)]]
        return [list(point) for point in outcome.values]

    def _excess(self, entry: Entry) -> dict[str, float]:
        """By how much each constraint is broken; 0 where it is kept."""
        broken = entry.outcome.broken if entry.outcome is not None else {}
        return {each.name: min(broken.get(each.name, 0.0), _MOST_EXCESS) for each in self.spec.constraints}

    def _origin(self) -> Origin:
        if self.spec.search.chosen == "grid":
            return "grid"
        told = len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return "start" if self.spec.search.chosen == "random" or told < self.spec.search.startup else "suggested"

    def _sampler(self) -> BaseSampler:
        return _SAMPLERS[self.spec.search.chosen](self.spec)


def distributions_of(spec: SweepSpec) -> dict[str, BaseDistribution]:
    """The space as Optuna has it."""
    return {key: _distribution(among) for key, among in spec.space.items()}


def covered(spec: SweepSpec, values: ArrayLike) -> float:
    """Hypervolume beyond the spec's reference point of some points [K, M]."""
    return hypervolume(values, [each.reference for each in spec.objectives], spec.directions)


_DIRECTION: Mapping[str, StudyDirection] = {"higher": StudyDirection.MAXIMIZE, "lower": StudyDirection.MINIMIZE}


def _tpe(spec: SweepSpec) -> BaseSampler:
    return TPESampler(
        n_startup_trials=spec.search.startup,
        multivariate=True,
        constant_liar=True,  # trials run side by side
        seed=spec.seed,
    )


def _nsga2(spec: SweepSpec) -> BaseSampler:
    return NSGAIISampler(seed=spec.seed)


def _grid(spec: SweepSpec) -> BaseSampler:
    return GridSampler({key: _levels(among) for key, among in spec.space.items()}, seed=spec.seed)


_SAMPLERS: Mapping[Algorithm, Callable[[SweepSpec], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": _nsga2,
    "random": lambda spec: RandomSampler(seed=spec.seed),
    "grid": _grid,
}


def _distribution(among: RangeSpec | tuple[Any, ...]) -> BaseDistribution:
    if not isinstance(among, RangeSpec):
        return CategoricalDistribution(among)
    if among.whole:
        return IntDistribution(int(among.low), int(among.high), log=among.log)
    return FloatDistribution(among.low, among.high, log=among.log)


def _levels(among: RangeSpec | tuple[Any, ...]) -> list[Any]:
    """Values on a grid: every choice, or a range's ends and what lies evenly between."""
    if not isinstance(among, RangeSpec):
        return list(among)
    shares = [place / (LEVELS - 1) for place in range(LEVELS)]
    if among.log:
        found = [among.low ** (1 - share) * among.high**share for share in shares]
    else:
        found = [among.low * (1 - share) + among.high * share for share in shares]
    return sorted({round(value) for value in found}) if among.whole else found
