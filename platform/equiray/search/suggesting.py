"""`Suggestions`: which settings are tried next, by Optuna.

Notable: a trial with settings that cost nothing, thresholds for one, has not one value of each objective but a whole
front. What a sampler hears of it is the hypervolume that this front covers, or each of its points as a trial of its
own (`learns_from`).

What is drawn depends on the spec's seed, the trial's number and what was told before: a sweep that is taken up again
goes on as it would have.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import ArrayLike
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from equiray.metrics.fronts import hypervolume
from equiray.search.ledger import Entry
from equiray.search.study import Trial
from equiray.specs.space import RangeSpec, levels_of
from equiray.specs.sweep import SweepSpec

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
    running : sequence of Trial
        Trials of an earlier part that are begun again.
    """

    def __init__(self, spec: SweepSpec, entries: Sequence[Entry], first: int, running: Sequence[Trial] = ()) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.spec, self.number = spec, first
        self.whole_fronts = spec.kind != "unlearning"
        self.scalar = self.whole_fronts and spec.search.learns_from == "hypervolume"
        self.distributions = distributions_of(spec)
        directions = (
            [StudyDirection.MAXIMIZE] if self.scalar else [_DIRECTION[each.direction] for each in spec.objectives]
        )
        self.study = optuna.create_study(directions=directions)
        self._asked: dict[int, optuna.Trial] = {}
        self._told = 0
        for entry in entries:
            self.tell(entry)
        for trial in running:
            asked = self._asked_before(trial)
            if asked is not None:
                self._asked[trial.number] = asked

    def next(self) -> Trial:
        """The next trial; known settings come first."""
        number, self.number = self.number, self.number + 1
        names = list(self.spec.known)
        if number < len(names):
            return Trial(number=number, origin="known", settings=self.spec.known[names[number]], name=names[number])
        if self.spec.search.chosen == "grid":
            return Trial(number=number, origin="grid", settings=self._place(number - len(names)))
        self.study.sampler = sampler = self._sampler(number)
        asked = self.study.ask(self.distributions)
        self._asked[number] = asked
        if isinstance(sampler, NSGAIISampler):
            learned = self._generation(sampler, asked) > 0
        else:
            learned = not isinstance(sampler, RandomSampler)
        return Trial(number=number, origin="suggested" if learned else "start", settings=dict(asked.params))

    def tell(self, entry: Entry) -> None:
        """Learn from a finished trial; from one that failed there is nothing to learn."""
        asked, found = self._asked.pop(entry.trial.number, None), self._values(entry)
        if asked is None:
            asked = self._asked_before(entry.trial) if found else None
            if asked is None:
                return
        if not found:
            self.study.tell(asked, state=TrialState.FAIL)
            return
        self._told += 1
        excess = self._excess(entry)
        for values in found[1:]:  # its other points, as trials of their own
            self._finish(self._as_asked(entry.trial.number, asked.params), values, excess)
        self._finish(asked, found[0], excess)

    def _place(self, place: int) -> dict[str, Any]:
        """One of the grid; the seed shuffles them."""
        places = list(itertools.product(*(levels_of(among) for among in self.spec.space.values())))
        order = np.random.default_rng(self.spec.seed).permutation(len(places))
        return dict(zip(self.spec.space, places[order[place]], strict=True))

    def _asked_before(self, trial: Trial) -> optuna.Trial | None:
        """What was not asked for here: known settings, and trials of an earlier part of the sweep.

        None of settings outside the space, which a sampler cannot place.
        """
        values = self.spec.values_of(trial.settings)
        outside = set(trial.settings) - self.spec.space.keys()
        if outside or not self.spec.contains(values):
            return None
        return self._as_asked(trial.number, values)

    def _as_asked(self, number: int, settings: Mapping[str, Any]) -> optuna.Trial:
        """As if the sampler had drawn them."""
        self.study.sampler = sampler = self._sampler(number)
        self.study.enqueue_trial(dict(settings))
        asked = self.study.ask(self.distributions)
        if isinstance(sampler, NSGAIISampler):  # Optuna gives none to what is enqueued, and would begin at the first
            sampler.get_parent_population(self.study, self._generation(sampler, asked))
        return asked

    def _generation(self, sampler: NSGAIISampler, asked: optuna.Trial) -> int:
        return sampler.get_trial_generation(self.study, self.study.get_trials(deepcopy=False)[asked.number])

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
        broken = entry.excess
        return {each.name: min(broken.get(each.name, 0.0), _MOST_EXCESS) for each in self.spec.constraints}

    def _sampler(self, number: int) -> BaseSampler:
        search = self.spec.search
        seed = int(np.random.SeedSequence([self.spec.seed, number]).generate_state(1)[0])
        if search.chosen == "nsga2":
            return NSGAIISampler(seed=seed)
        if search.chosen == "random" or self._told < max(search.startup, 1):
            return RandomSampler(seed=seed)
        # constant_liar: trials run side by side
        return TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)


def distributions_of(spec: SweepSpec) -> dict[str, BaseDistribution]:
    """The space as Optuna has it."""
    return {key: _distribution(among) for key, among in spec.space.items()}


def covered(spec: SweepSpec, values: ArrayLike) -> float:
    """Hypervolume beyond the spec's reference point of some points [K, M]."""
    return hypervolume(values, [each.reference for each in spec.objectives], spec.directions)


_DIRECTION: Mapping[str, StudyDirection] = {"higher": StudyDirection.MAXIMIZE, "lower": StudyDirection.MINIMIZE}


def _distribution(among: RangeSpec | tuple[Any, ...]) -> BaseDistribution:
    if not isinstance(among, RangeSpec):
        return CategoricalDistribution(among)
    if among.whole:
        return IntDistribution(int(among.low), int(among.high), log=among.log)
    return FloatDistribution(among.low, among.high, log=among.log)
