"""`gate`: a finished run or audit against a policy."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.metrics.looks import Look
from equiray.metrics.verdicts import Evidence
from equiray.policies import Judgement, StoredEvidence, Subject, apply_policy, load_policy
from equiray.policies.document import nearest
from equiray.reports.run_directory import load_run
from equiray.runs.counted_evidence import read_audit, read_decided


class Chosen(NamedTuple):
    """Which subjects are judged: those of that task, stage and model; None stands for all."""

    task: str | None = None
    stage: str | None = None
    model: str | None = None


class Looking(NamedTuple):
    """Which look at a growing table this is, and whether every look spends a part of alpha (`Look`)."""

    number: int = 1
    spend: bool = False


def gate(directory: Path, policy: str, chosen: Chosen, looking: Looking) -> Judgement:
    """Judge what a run or an audit left in `directory` by a policy (a ready one's name, or a path).

    Raises
    ------
    BadInput
        The policy or the directory cannot be used, or nothing in it is what was chosen.
    Incomplete
        The run stopped before its results.
    """
    named = load_policy(policy)
    look = Look(alpha=named.policy.alpha, number=looking.number, spend=looking.spend)
    return apply_policy(named, read_evidence(directory, chosen), look)


def read_evidence(directory: Path, chosen: Chosen) -> Mapping[Subject, Evidence]:
    """What a directory says about each subject; a stage's paired effects are none, for a policy bounds levels.

    An audit and the decisions of a run are judged by their counts, whose limits hold at any confidence; all else, and
    what versions before kept no counts of, by the limits that were stored.
    """
    by_subject = subjects_of(load_run(directory).results.estimates)
    for part, name in chosen._asdict().items():
        known = sorted({getattr(subject, part) for subject in by_subject})
        if name is not None and name not in known:
            place, fix = f"--{part}", f"{directory} has: {', '.join(known)}"
            raise BadInput(f"there is no {part} {name!r}{nearest(name, known)}", place=place, fix=fix)
    counted = read_audit(directory)
    kept: dict[Subject, Evidence] = {
        subject: counted or read_decided(directory, subject, estimates) or StoredEvidence(estimates=tuple(estimates))
        for subject, estimates in by_subject.items()
        if all(name in (None, getattr(subject, part)) for part, name in chosen._asdict().items())
    }
    if not kept:
        fix = "choose others with --task, --stage, --model" if by_subject else "audit a table with rows"
        raise BadInput("no estimates to judge", place=str(directory / "results.json"), fix=fix)
    return kept


def subjects_of(estimates: Iterable[Estimate]) -> dict[Subject, list[Estimate]]:
    """The estimates of each subject; a stage's paired effects (``cda-baseline``) belong to none."""
    found: dict[Subject, list[Estimate]] = {}
    for estimate in estimates:
        if "-" not in estimate.stage:
            found.setdefault(Subject(estimate.task, estimate.stage, estimate.model), []).append(estimate)
    return found
