"""Decisions about people: temperature and number of chains chosen on validation cases, then read on test cases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.data.schema import ATTRIBUTE_PREFIX, MISSING_GROUP
from equiray.metrics.clusters import Resampling
from equiray.metrics.counting import Attribute, Layout
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, GroupedScores, Labels, Setting
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.aggregation import HIGHEST, LEAST_PROBABILITY
from equiray.mitigation.voting.bound import GapBound, gap_bound, reach_of_answers, reach_of_scores
from equiray.mitigation.voting.cases import CLASSES, JudgedCases, ValidationCases
from equiray.mitigation.voting.choosing import Choice, Limit, VotePolicy, choose
from equiray.mitigation.voting.comparison import Ballot, predictions_table, vote_changes
from equiray.mitigation.voting.deciding import Decisions
from equiray.mitigation.voting.length import length_effect
from equiray.mitigation.voting.replay import replay
from equiray.mitigation.voting.stopping import StoppingRule
from equiray.mitigation.voting.sweep import sweep
from equiray.mitigation.voting.votes import Votes
from equiray.policies import Subject
from equiray.runs.chains.methods import REFERENCE
from equiray.runs.chains.planning import PlannedCases
from equiray.runs.chains.scored import ScoredSide
from equiray.runs.counted_evidence import counts_file, decided_evidence
from equiray.runs.decisions import count_decisions
from equiray.runs.directory import RunDirectory
from equiray.specs.chains import ChainsSpec

_RISKS = (0.0, 0.05)


def judged_cases(kind: type[JudgedCases], planned: PlannedCases, side: ScoredSide) -> JudgedCases:
    """The cases of a split with what is needed to judge their votes."""
    cases = [one.case for one in side.cases]
    groups = []
    for attribute in planned.attributes:
        names = [case.groups.get(attribute, MISSING_GROUP) for case in cases]
        known = sorted(set(names) - {MISSING_GROUP})
        listed = (*known, *([MISSING] if MISSING_GROUP in names else []))
        place = {MISSING_GROUP: len(known)} | {name: n for n, name in enumerate(known)}
        groups.append(GroupedScores(attribute, listed, np.array([place[name] for name in names], np.int64)))
    right = [case.answer for case in cases]
    positive = [case.positive for case in cases]
    assert None not in right, "cases of people have a right option each"
    return kind(
        votes=side.votes,
        right=np.array(right, np.int64),
        positive=None if None in positive else np.array(positive, np.int64),
        groups=tuple(groups),
    )


def chosen(planned: PlannedCases, side: ScoredSide, spec: ChainsSpec, counts: tuple[int, ...]) -> Choice:
    """Temperature and number of chains, by the spec's policy and the first attribute, on validation cases."""
    cases = judged_cases(ValidationCases, planned, side)
    assert isinstance(cases, ValidationCases), "made as such"
    ratio = spec.decision.min_impact_ratio
    if ratio is None:
        policy = VotePolicy(
            best="demographic_parity_difference" if cases.two_classes else "accuracy_parity_difference",
            max_accuracy_loss=spec.decision.max_accuracy_loss,
        )
    else:
        policy = VotePolicy(limits=(Limit("disparate_impact_ratio", "least", ratio),))
    attribute = planned.attributes[0]
    return choose(cases, attribute, spec.decision.temperatures, counts, policy, confidence=spec.confidence)


def write_predictions(
    cases: JudgedCases,
    planned: PlannedCases,
    decisions: Mapping[str, Decisions],
    chains: int,
    model: str,
    directory: RunDirectory,
    *,
    prompted: Votes | None,
) -> dict[Subject, pa.Table]:
    """Every method's decisions as Parquet files like those of other runs, which `compare` and `gate` read.

    `prompted` are the votes of ``fairness_prompt``, which say why a case has no answer there.
    """
    found = {}
    for stage, one in decisions.items():
        subject = Subject(planned.name, stage, model)
        of = replace(cases, votes=prompted) if stage == "fairness_prompt" and prompted is not None else cases
        table = predictions_table(of, one, 1 if stage == "single" else chains)
        for name in (name for name in table.column_names if name.startswith(ATTRIBUTE_PREFIX)):
            groups = [None if group in (MISSING, MISSING_GROUP) else group for group in table[name].to_pylist()]
            table = table.set_column(
                table.column_names.index(name), name.removeprefix(ATTRIBUTE_PREFIX), pa.array(groups, pa.string())
            )
        table = table.append_column("stage", pa.array([stage] * len(table)))
        table = table.append_column("model", pa.array([model] * len(table)))
        directory.write_table(f"predictions/{planned.name}.{model}.{stage}.parquet", table)
        found[subject] = table
    return found


def evidence_of(
    tables: Mapping[Subject, pa.Table], cases: JudgedCases, spec_sha256: str, confidence: float, directory: RunDirectory
) -> dict[Subject, CountedEvidence]:
    """Counts of every method, kept in the run directory, and what follows from them."""
    groups = {each.attribute: tuple(name for name in each.groups if name != MISSING) for each in cases.groups}
    names = tuple(dict.fromkeys(name for attribute in groups for name in attribute.split("*")))
    layout = Layout(attributes=tuple(Attribute(name=name) for name in names), classes=CLASSES, scores=True)
    found = {}
    for subject, table in tables.items():
        model, origin = f"{spec_sha256} {subject.model} {subject.stage}", ".".join(subject)
        counts = count_decisions(table, layout, model=model, origin=origin)
        counts.save(directory.path / counts_file(subject))
        found[subject] = decided_evidence(counts, groups, subject, confidence)
    return found


def changes_from_majority(
    cases: JudgedCases,
    planned: PlannedCases,
    decisions: Mapping[str, Decisions],
    chains: int,
    model: str,
    confidence: float,
) -> list[Estimate]:
    """What each method changes against the majority of as many chains, with paired limits."""
    first = Ballot(decisions[REFERENCE].answer, chains)
    found: list[Estimate] = []
    for stage, one in decisions.items():
        if stage != REFERENCE:
            labels = Labels(planned.name, f"{stage}-{REFERENCE}", model)
            second = Ballot(one.answer, 1 if stage == "single" else chains)
            found += vote_changes(cases, first, second, Setting(labels=labels, confidence=confidence))
    return found


def grid_of(cases: JudgedCases, attribute: str, taus: Sequence[float], counts: tuple[int, ...]) -> dict[str, Any]:
    """Figures at every temperature and number of chains, from the cached scores."""
    found = sweep(cases, attribute, taus, counts)
    return {
        "split": found.split,
        "attribute": attribute,
        "cases": found.cases,
        "temperatures": [plain(tau) for tau in taus],
        "chains": list(counts),
        "figures": {name: [[plain(v) for v in row] for row in of.tolist()] for name, of in found.figures.items()},
    }


def bounds_of(cases: JudgedCases, spec: ChainsSpec, tau: float, chains: int) -> dict[str, Any]:
    """How far weights could take groups apart: by whatever scores, and by the scores as they are in other chains."""
    if cases.positive is None:
        return {}
    votes = cases.votes.first(chains)
    aggregate = spec.decision.aggregate
    span = HIGHEST[aggregate] - (float(np.log(LEAST_PROBABILITY)) if aggregate == "log_mean" else 0.0)
    reaches = {
        "any_scores": reach_of_scores(votes, cases.positive, tau, span=span),
        "any_assignment": reach_of_answers(votes, cases.positive, tau),
    }
    return {
        grouped.attribute: {name: _bound(gap_bound(reach, grouped)) for name, reach in reaches.items()}
        for grouped in cases.groups
    }


def stopping_of(side: ScoredSide, spec: ChainsSpec, tau: float, chains: int) -> list[dict[str, Any]]:
    """Chains that early stopping would have saved, and decisions that it would have changed."""
    found = []
    for risk in _RISKS:
        highest = HIGHEST[spec.decision.aggregate]
        rule = StoppingRule(chains=chains, tau=tau, risk=risk, highest=highest, seed=spec.seed)
        played = replay(side.votes, rule)
        low, high = played.changed_limits(spec.confidence)
        found.append(
            {
                "risk": risk,
                "saved": played.saved,
                "chains_a_case": float(played.used.mean()),
                "changed": played.changed,
                "changed_low": plain(low),
                "changed_high": plain(high),
            }
        )
    return found


def length_of(side: ScoredSide, spec: ChainsSpec) -> dict[str, Any]:
    """Whether longer chains score higher."""
    found = length_effect(side.chains, side.votes.score, Resampling(confidence=spec.confidence, seed=spec.seed))
    return {
        "value": plain(found.value),
        "low": plain(found.limits.low),
        "high": plain(found.limits.high),
        "cases": found.cases,
    }


def plain(value: float) -> float | str | None:
    """A number for JSON, which has neither infinity nor NaN."""
    if np.isnan(value):
        return None
    return float(value) if np.isfinite(value) else str(float(value))


def _bound(bound: GapBound) -> dict[str, Any]:
    return {
        "groups": {
            name: {"lowest": plain(low), "highest": plain(high)}
            for name, low, high in zip(bound.groups, bound.lowest.tolist(), bound.highest.tolist(), strict=True)
        },
        "least_gap": plain(bound.least),
        "largest_gap": plain(bound.most),
    }
