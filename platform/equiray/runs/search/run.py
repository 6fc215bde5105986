"""`run_sweep`: from the spec of a sweep to a front that was read on test rows, and its report.

Reads top to bottom: everything that can be known to fail is checked first; then the base is measured; then Ray Tune runs
the trials; then the front, and the settings that the spec names, are read on test rows, once.
"""

from collections.abc import Mapping
from pathlib import Path

from equiray import __version__
from equiray.errors import BadInput
from equiray.runs.directory import RunDirectory
from equiray.runs.search.documents import write_documents
from equiray.runs.search.kinds import Planned
from equiray.runs.search.points import BASE, Arrays, front_of
from equiray.runs.search.planning import plan_sweep
from equiray.runs.search.reading import read_on_test
from equiray.search.ledger import Entry, Ledger
from equiray.search.runner import run_trials, trials_at_once
from equiray.search.stopping import Stopping
from equiray.search.storage import Storage
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
        at_once = spec.resources.at_once or 1
        with ray_cluster(address, cpus=at_once * spec.resources.cpus):
            _say_what_is_left(spec, ledger, directory)
            with directory.step("trials"):
                run_trials(spec, planned.study, Stopping(spec, planned.base), ledger, _Teller(spec, ledger, directory))
            front = front_of(spec, ledger.entries)
            known = [e.trial for e in ledger.entries if e.trial.origin == "known" and e.outcome is not None]
            trials = {e.trial.number: e.trial for e in ledger.entries}
            numbers = sorted({BASE, *(point.trial for point in front), *(trial.number for trial in known)})
            wanted = {number: trials.get(number) for number in numbers}
            with directory.step("test rows"):
                arrays = read_on_test(planned.study, wanted, spec.resources, directory)
        with directory.step("figures"):
            write_documents(spec, planned, ledger, front, arrays, directory, command)
    if not front:
        raise _nothing_feasible(spec, ledger)


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
    return BadInput(
        f"no feasible trial of {len(ledger.entries)}: "
        + "; ".join(
            part
            for part in (
                f"constraints broken: {said}" if said else "",
                f"{failed} failed: {'; '.join(sorted(filter(None, errors)))[:300]}" if failed else "",
            )
            if part
        ),
        place="constraints" if said else "trials",
        fix="relax the constraint that most trials break, or widen the space" if said else "mend what failed",
    )


def killed_by(spec: SweepSpec, ledger: Ledger) -> Mapping[str, int]:
    """How many infeasible trials broke each constraint, alone or with others."""
    names = {each.name: 0 for each in spec.constraints}
    for entry in ledger.entries:
        if entry.status == "infeasible":
            broken = entry.outcome.broken if entry.outcome else {n: 0.0 for n in names if n in (entry.reason or "")}
            for name in broken:
                names[name] = names.get(name, 0) + 1
    return names


def inputs_of(model: str, source: str) -> dict[str, str]:
    """What a sweep reads, for `RunDirectory.hold_inputs`."""
    return {"equiray": __version__, "model": model, "data": source}


__all__ = ["Arrays", "Planned", "run_sweep"]
