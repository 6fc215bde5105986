"""`figures_of`: one data set from scored chains to a choice, decisions, estimates, and what a page shows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting
from equiray.mitigation.voting.cases import HeldOutCases, ValidationCases
from equiray.mitigation.voting.comparison import Ballot, vote_estimates
from equiray.policies import Subject
from equiray.runs.chains import people, question_choice, questions
from equiray.runs.chains.methods import chain_counts_of, decided
from equiray.runs.chains.planning import PlannedCases
from equiray.runs.chains.scored import ScoredSide
from equiray.runs.directory import RunDirectory
from equiray.runs.sampling.counted import chain_counts
from equiray.runs.sampling.shown import shown_chains
from equiray.specs.chains import ChainsSpec


@dataclass(frozen=True, kw_only=True)
class TaskFigures:
    """Of one data set: every estimate, the counted evidence of those that are counted, and its part of the document."""

    estimates: tuple[Estimate, ...]
    evidence: Mapping[Subject, CountedEvidence]
    document: dict[str, Any]


def figures_of(
    planned: PlannedCases, sides: Mapping[str, ScoredSide], spec: ChainsSpec, model: str, directory: RunDirectory
) -> TaskFigures:
    """Choose on validation, decide on test, measure."""
    counts = chain_counts_of(spec.sampling.chains)
    taus = sorted({0.0, *spec.decision.temperatures, float("inf")})
    of = _questions if planned.is_bbq else _people
    choice, grids, found = of(planned, sides, spec, model, directory, counts, taus)
    point = choice["chosen"]
    chains = (point or choice["majority"])["chains"]
    tau = None if point is None else float(point["tau"])
    test = sides["test"]
    document = {
        "task": planned.name,
        "title": planned.title,
        "licence": planned.licence,
        "warnings": list(planned.warnings),
        "source_sha256": planned.source_sha256,
        "attributes": list(planned.attributes),
        "left_out": planned.left_out,
        "model": model,
        "sides": {name: chain_counts(side.cases, side.table) for name, side in sides.items()},
        "choice": choice,
        "chains": chains,
        "grids": grids,
        "bounds": found.bounds,
        "early_stopping": [] if tau is None else people.stopping_of(test, spec, tau, chains),
        "length_effect": people.length_of(test, spec),
        "estimates": [estimate.to_json() for estimate in found.estimates],
        "heat_map": shown_chains(test.cases, np.asarray(test.chains.step_fair)),
    }
    return TaskFigures(estimates=tuple(found.estimates), evidence=found.evidence, document=document)


@dataclass(frozen=True, kw_only=True)
class _Found:
    estimates: list[Estimate]
    evidence: dict[Subject, CountedEvidence]
    bounds: dict[str, Any]


def _questions(
    planned: PlannedCases,
    sides: Mapping[str, ScoredSide],
    spec: ChainsSpec,
    model: str,
    directory: RunDirectory,
    counts: tuple[int, ...],
    taus: list[float],
) -> tuple[dict[str, Any], list[dict[str, Any]], _Found]:
    cases = {name: [one.case for one in side.cases] for name, side in sides.items()}
    grids = [questions.grid_of(cases[name], side.votes, taus, counts) for name, side in sides.items()]
    choice = question_choice.choose(grids[0], cases["validation"], sides["validation"].votes, spec)
    point = choice["chosen"]
    chains = (point or choice["majority"])["chains"]
    test = sides["test"]
    decisions = decided(test, spec, None if point is None else float(point["tau"]), chains)
    votes = {
        stage: (test.prompted or test.votes, chains)
        if stage == "fairness_prompt"
        else (test.votes, 1 if stage == "single" else chains)
        for stage in decisions
    }
    questions.write_predictions(cases["test"], decisions, votes, model, directory)
    resampling = Resampling(confidence=spec.confidence, replicates=spec.replicates, seed=spec.seed)
    estimates = questions.estimates_of(cases["test"], decisions, votes, model, resampling)
    return choice, grids, _Found(estimates=estimates, evidence={}, bounds={})


def _people(
    planned: PlannedCases,
    sides: Mapping[str, ScoredSide],
    spec: ChainsSpec,
    model: str,
    directory: RunDirectory,
    counts: tuple[int, ...],
    taus: list[float],
) -> tuple[dict[str, Any], list[dict[str, Any]], _Found]:
    choice = people.chosen(planned, sides["validation"], spec, counts)
    point = choice.chosen
    chains = (point or choice.majority).chains
    tau = None if point is None else point.tau
    validation = people.judged_cases(ValidationCases, planned, sides["validation"])
    test = people.judged_cases(HeldOutCases, planned, sides["test"])
    grids = [
        people.grid_of(cases, attribute, taus, counts)
        for attribute in planned.attributes
        for cases in (validation, test)
    ]
    decisions = decided(sides["test"], spec, tau, chains)
    evidence: dict[Subject, CountedEvidence] = {}
    if test.two_classes:
        tables = people.write_predictions(
            test, planned, decisions, chains, model, directory, prompted=sides["test"].prompted
        )
        evidence = people.evidence_of(tables, test, spec.sha256(), spec.confidence, directory)
        levels = [estimate for one in evidence.values() for estimate in one.estimates]
    else:
        levels = []
        for stage, one in decisions.items():
            setting = Setting(labels=Labels(planned.name, stage, model), confidence=spec.confidence)
            levels += vote_estimates(test, Ballot(one.answer, 1 if stage == "single" else chains), setting)
    estimates = levels + people.changes_from_majority(test, planned, decisions, chains, model, spec.confidence)
    bounds = {} if tau is None else people.bounds_of(test, spec, tau, chains)
    return choice.to_json(), grids, _Found(estimates=estimates, evidence=evidence, bounds=bounds)
