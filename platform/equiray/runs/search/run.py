"""`run_sweep`: from the spec of a sweep to a front that was read on test rows, and its report.

Reads top to bottom: everything that can be known to fail is checked first; then the base is measured; then Ray Tune
runs the trials; then the front, and the settings that the spec names, are read on test rows, once.
"""

from collections.abc import Sequence
from pathlib import Path

from equiray.errors import BadInput
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.publish import publish
from equiray.runs.search.documents import read_points, write_documents
from equiray.runs.search.planning import plan_sweep
from equiray.runs.search.points import BASE, Point, front_of
from equiray.runs.search.reading import read_models
from equiray.runs.search.trials import killed_by
from equiray.search.ledger import Entry, Ledger
from equiray.search.runner import run_trials, trials_at_once
from equiray.search.stopping import Stopping
from equiray.search.storage import Storage
from equiray.search.study import Trial
from equiray.specs.sweep import SweepSpec
from equiray.streaming.cluster import ray_cluster

LEDGER = "trials.jsonl"


def run_sweep(spec: SweepSpec, out: Path, *, address: str | None = None, command: str) -> None:
    """Run a sweep, or what is left of it, and leave its front, report and evidence in a run directory.

    Parameters
    ----------
    spec : SweepSpec
    out : Path
        Run directory; an unfinished sweep of the same spec is resumed.
    address : str, optional
        Ray cluster that runs the trials; None: this machine.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, data, model or storage, before trials start; another process is writing to `out`; or,
        after all trials, no settings that keep the constraints: it says which constraint killed how many.
    Incomplete
        Ray stopped, or the disk is full; the same call goes on from what is finished.
    """
    with RunDirectory.open(out, spec) as directory:
        storage = Storage(spec.storage or str(out.absolute()))
        storage.open()
        planned = plan_sweep(spec, directory, storage)
        ledger = Ledger(out / LEDGER)
        cpus = (spec.resources.at_once or 1) * spec.resources.cpus
        with ray_cluster(address, cpus=cpus, shared_bytes=planned.study.shared_bytes):
            _say_what_is_left(spec, ledger, directory)
            with directory.step("trials"):
                run_trials(spec, planned.study, Stopping(spec, planned.base), ledger, _Teller(spec, ledger, directory))
            front = front_of(spec, ledger.entries)
            with directory.step("validation and test rows"):
                arrays = read_models(planned.study, _models(ledger, front), ("validation", "test"), spec, directory)
        with directory.step("figures"):
            read = read_points(planned, front, ledger, arrays, spec.statistics.confidence)
            write_documents(spec, planned, ledger, read, planned.frontier(arrays), directory, command)
        publish(out, spec)
        print_summary(out, directory.console)
    if not front:
        raise _nothing_feasible(spec, ledger)


def _models(ledger: Ledger, front: Sequence[Point]) -> dict[int, Trial | None]:
    """The trials that are read on test rows, by number: those of the front and those that the spec names."""
    named = {e.trial.number for e in ledger.entries if e.trial.origin == "known" and e.outcome is not None}
    chosen = named | {point.trial for point in front}
    return {BASE: None, **{e.trial.number: e.trial for e in ledger.entries if e.trial.number in chosen}}


def _say_what_is_left(spec: SweepSpec, ledger: Ledger, directory: RunDirectory) -> None:
    done, search = len(ledger.entries), spec.search
    at_once = trials_at_once(spec.resources)
    directory.say(
        f"{search.chosen} ({search.why}), {search.trials - done} of {search.trials} trials to run, {at_once} at a time"
    )


class _Teller:
    """One line for each finished trial."""

    def __init__(self, spec: SweepSpec, ledger: Ledger, directory: RunDirectory) -> None:
        self.spec, self.ledger, self.directory = spec, ledger, directory

    def __call__(self, entry: Entry) -> None:
        shown = ", ".join(
            f"{each.metric} {entry.figures[each.metric]:.4f}"
            for each in self.spec.objectives
            if each.metric in entry.figures
        )
        why = f" ({entry.reason})" if entry.reason else ""
        name = f" {entry.trial.name}" if entry.trial.name else ""
        self.directory.say(
            f"trial {entry.trial.number}{name}: {entry.status}{why}, {shown or 'no figures'}, {entry.seconds:.1f} s; "
            f"{len(self.ledger.entries)} of {self.spec.search.trials}"
        )


def _nothing_feasible(spec: SweepSpec, ledger: Ledger) -> BadInput:
    killed = killed_by(spec, ledger)
    said = ", ".join(f"{name} by {count}" for name, count in killed.items() if count)
    failed = sum(entry.status == "failed" for entry in ledger.entries)
    errors = {entry.reason for entry in ledger.entries if entry.status == "failed"}
    unknown = sum(entry.status == "infeasible" and not _breaks(spec, entry) for entry in ledger.entries)
    if said:
        place, fix = "constraints", "relax the constraint that most trials break, or widen the space"
    elif unknown:
        place, fix = "objectives", "take objectives that can be estimated on these rows"
    else:
        place, fix = "trials", "mend what failed"
    parts = (
        f"constraints broken: {said}" if said else "",
        f"{unknown} with an objective that cannot be estimated" if unknown else "",
        f"{failed} failed: {'; '.join(sorted(filter(None, errors)))[:300]}" if failed else "",
    )
    return BadInput(
        f"no feasible trial of {len(ledger.entries)}: {'; '.join(filter(None, parts))}", place=place, fix=fix
    )


def _breaks(spec: SweepSpec, entry: Entry) -> bool:
    return any(each.name in entry.excess for each in spec.constraints)
