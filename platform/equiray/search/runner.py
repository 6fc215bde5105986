"""`run_trials`: Ray Tune gives every worker its next trial until the budget is spent.

Notable: Tune is what it is good at, an executor: it places trials, reuses their processes, and begins a trial again
whose worker died. What was tried, and what became of it, is in the ledger; Tune's own state is thrown away.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.search import Searcher

from equiray.errors import BadInput, Incomplete
from equiray.search.actor import TrialActor
from equiray.search.ledger import Entry, Ledger, Status
from equiray.search.stopping import Stopping
from equiray.search.study import Outcome, Progress, Study, Trial
from equiray.search.suggesting import Suggestions
from equiray.specs.sweep import ResourcesSpec, SweepSpec

Say = Callable[[Entry], None]

_SETTINGS = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the sweep here and now, not Tune's part of it
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths in a spec are relative to where the command was given
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_trials(spec: SweepSpec, study: Study, stopping: Stopping, ledger: Ledger, say: Say) -> None:
    """Run what is left of a sweep's budget; Ray must be running.

    Parameters
    ----------
    spec : SweepSpec
    study : Study
        Sent to every worker through the object store.
    stopping : Stopping
    ledger : Ledger
        Of an earlier part of the sweep, or empty; holds every trial afterwards.
    say : callable
        Hears of every trial as it is finished.

    Raises
    ------
    BadInput
        A trial asks for more than the cluster has.
    Incomplete
        Ray lost what ran the trials; what was finished is in the ledger.
    """
    queue = ledger.unfinished
    left = spec.search.trials - len(ledger.entries) - len(queue)
    if left <= 0 and not queue:
        return
    at_once = trials_at_once(spec.resources)
    os.environ.update(_SETTINGS)
    suggestions = Suggestions(spec, ledger.entries, ledger.next_number, queue)
    watch = _Watch(ledger, stopping, say)
    runs = tune.with_resources(
        tune.with_parameters(TrialActor, study=study),
        {"cpu": spec.resources.cpus, **({"gpu": spec.resources.gpus} if spec.resources.gpus else {})},
    )
    with tempfile.TemporaryDirectory(prefix="equiray-tune-") as scratch:
        tuner = tune.Tuner(
            runs,
            tune_config=tune.TuneConfig(
                search_alg=_Searcher(suggestions, queue, watch),
                num_samples=left + len(queue),
                max_concurrent_trials=at_once,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                stop=watch.stops,
                failure_config=tune.FailureConfig(max_failures=spec.resources.retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        except (RayError, tune.TuneError) as error:
            raise Incomplete(
                f"Ray stopped running trials: {str(error).splitlines()[0]}\n"
                f"  where: {len(ledger.entries)} of {spec.search.trials} trials are finished\n"
                "  fix:   the same command goes on from there"
            ) from error


def trials_at_once(resources: ResourcesSpec) -> int:
    """How many trials the cluster has room for, `at_once` at most.

    Raises
    ------
    BadInput
        Not even one.
    """
    there = ray.cluster_resources()
    room = int(there.get("CPU", 0) / resources.cpus + 1e-9)
    if resources.gpus:
        room = min(room, int(there.get("GPU", 0) / resources.gpus + 1e-9))
    if not room:
        has = f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs"
        raise BadInput(
            f"a trial takes {resources.cpus:g} CPUs and {resources.gpus:g} GPUs, the cluster has {has}",
            place="resources",
            fix="ask for less, or join a larger cluster with --address",
        )
    return min(room, resources.at_once or room)


class _Watch:
    """What is known of running trials, by their number."""

    def __init__(self, ledger: Ledger, stopping: Stopping, say: Say) -> None:
        self.ledger, self.stopping, self.say = ledger, stopping, say
        self.retries = stopping.spec.resources.retries
        self.began = time.monotonic() - ledger.earlier_s
        self._said: dict[int, list[Progress]] = {}
        self._why: dict[int, tuple[str, bool]] = {}
        self._started: dict[int, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy for a restore that the ledger makes needless

    def start(self, trial: Trial) -> None:
        self._started[trial.number] = time.monotonic()
        self.ledger.start(trial)

    def stops(self, _: str, result: Mapping[str, Any]) -> bool:
        """Tune asks after every result whether the trial is to be ended."""
        number, message = result["config"]["trial"]["number"], json.loads(result["message"])
        if "progress" not in message:
            return False
        progress, said = Progress(**message["progress"]), self._said.setdefault(number, [])
        if progress.step == 0 or (said and progress.step <= said[-1].step):  # begun again after its worker died
            said[:] = [earlier for earlier in said if earlier.step < progress.step]
        said.append(progress)
        if result["config"]["trial"]["origin"] == "known":  # the spec wants to know what becomes of these
            return False
        why = self.stopping.reason(said, self.ledger.entries)
        if why is not None:
            self._why[number] = why
        return why is not None

    def finished(self, trial: Trial, result: Mapping[str, Any] | None) -> Entry:
        """The entry of a trial that has ended, however it has."""
        message = {} if result is None else json.loads(result["message"])
        said, began = self._said.pop(trial.number, []), self._started[trial.number]
        figures: Mapping[str, float] = said[-1].figures if said else {}
        outcome = Outcome.of_json(message["outcome"]) if "outcome" in message else None
        status, reason = self._became(trial, outcome, message)
        return Entry(
            trial=trial,
            status=status,
            outcome=outcome,
            figures=dict(outcome.best if outcome else figures),
            reason=reason,
            seconds=round(message.get("seconds", time.monotonic() - began), 3),
            started_s=round(began - self.began, 3),
            worker=message.get("worker"),
            curve=tuple((one.step, one.steps, dict(one.figures)) for one in said),
            broken=self.stopping.broken(figures) if status == "infeasible" and outcome is None else {},
        )

    def _became(self, trial: Trial, outcome: Outcome | None, message: Mapping[str, Any]) -> tuple[Status, str | None]:
        if outcome is not None:
            return ("done", None) if outcome.feasible else ("infeasible", f"breaks {' and '.join(outcome.broken)}")
        if trial.number in self._why:
            reason, infeasible = self._why.pop(trial.number)
            return ("infeasible" if infeasible else "stopped"), reason
        times = self.retries + 1
        died = f"the process that ran it died{f', {times} times' if times > 1 else ''}"
        return "failed", message.get("error", died)


class _Searcher(Searcher):
    """Tune's way to ask for settings; `metric` and `mode` are needless, for the ledger has what is learned from."""

    def __init__(self, suggestions: Suggestions, queue: list[Trial], watch: _Watch) -> None:
        super().__init__(metric=None, mode=None)
        self.suggestions, self.queue, self.watch = suggestions, queue, watch
        self._running: dict[str, Trial] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        trial = self.queue.pop(0) if self.queue else self.suggestions.next()
        self._running[trial_id] = trial
        self.watch.start(trial)
        return {"trial": trial.to_json()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        entry = self.watch.finished(self._running.pop(trial_id), None if error else result)
        self.watch.ledger.finish(entry)
        self.suggestions.tell(entry)
        self.watch.say(entry)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""
