"""Figures over the grid, and what one vote changes against another: against cases judged one by one."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.data.schema import ATTRIBUTE_PREFIX
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimation import Labels, Setting, estimates_of
from equiray.metrics.tables import MISSING
from equiray.mitigation.voting.baselines import baselines
from equiray.mitigation.voting.cases import HeldOutCases, ValidationCases
from equiray.mitigation.voting.chains import NO_ANSWER
from equiray.mitigation.voting.comparison import Ballot, predictions_table, vote_changes, vote_estimates
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.sweep import SHARE_RIGHT, sweep
from voting_cases import drawn_votes, grouped, votes_of

SETTING = Setting(labels=Labels("compas", "weighted-majority", "tiny"))
TAUS = [0.0, 0.2, math.inf]


def judged(cases, width, options=2, *, seed=0, decisions=True, split="validation", missing=False):
    draw = np.random.default_rng(seed + 1)
    votes = drawn_votes(cases, width, options, seed=seed, split=split)
    kind = ValidationCases if split == "validation" else HeldOutCases
    names = ("a", "b", MISSING) if missing else ("a", "b")
    return kind(
        votes=votes,
        right=(draw.random(cases) * votes.options).astype(np.int64),
        positive=(draw.random(cases) * votes.options).astype(np.int64) if decisions else None,
        groups=(grouped(draw.integers(0, len(names), cases), names),),
    )


def figures_by_hand(cases, tau, chains):
    """Every figure from lists of cases, no counts."""
    answer = decide(cases.votes, tau, chains).answer
    (_, names, code), decided = cases.groups[0], answer != NO_ANSWER
    groups = [code == place for place, name in enumerate(names) if name != MISSING]

    def share(what, among):
        return what[among & decided].mean() if (among & decided).any() else math.nan

    def spread(values):
        return max(values) - min(values) if not np.isnan(values).any() else math.nan

    everyone = np.ones(len(code), bool)
    right = answer == cases.right
    accuracy = [share(right, group) for group in groups]
    found = {
        "accuracy": share(right, everyone),
        SHARE_RIGHT: (right & decided).mean(),
        "unanswered": (~decided).mean(),
        "accuracy_parity_difference": spread(accuracy),
        "worst_group_accuracy_groups": min(accuracy) if not np.isnan(accuracy).any() else math.nan,
    }
    if cases.positive is not None:
        chosen, y = answer == cases.positive, cases.right == cases.positive
        selected, tpr, fpr = ([share(chosen, group & among) for group in groups] for among in (everyone, y, ~y))
        found |= {
            "demographic_parity_difference": spread(selected),
            "disparate_impact_ratio": min(selected) / max(selected) if max(selected) > 0 else math.nan,
            "equal_opportunity_difference": spread(tpr),
            "fpr_difference": spread(fpr),
            "equalized_odds_difference_sum": spread(tpr) + spread(fpr),
            "equalized_odds_difference_mean": (spread(tpr) + spread(fpr)) / 2,
            "equalized_odds_difference_max": max(spread(tpr), spread(fpr)),
        }
        if cases.two_classes:
            cells = [share(right, group & among) for group in groups for among in (y, ~y)]
            found["worst_group_accuracy_cells"] = min(cells) if not np.isnan(cells).any() else math.nan
    return found


@given(st.integers(0, 10**6), st.integers(2, 3), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_every_figure_of_the_grid_is_that_of_its_cases(seed, options, decisions, missing):
    cases = judged(50, 5, options, seed=seed, decisions=decisions, missing=missing)
    counts = [1, 3, 5]
    found = sweep(cases, "sex", TAUS, counts)
    for t, tau in enumerate(TAUS):
        for m, chains in enumerate(counts):
            expected = figures_by_hand(cases, tau, chains)
            assert set(expected) == set(found.figures)
            here = {name: values[t, m] for name, values in found.figures.items()}
            assert here == pytest.approx(expected, nan_ok=True)


def test_figures_over_random_orders_are_their_mean_and_steadier_at_few_chains():
    cases = judged(80, 6, seed=4)
    averaged = sweep(cases, "sex", TAUS, [1, 6], orders=3, seed=9)
    single = [
        sweep(replace(cases, votes=cases.votes.shuffled(9, draw)), "sex", TAUS, [1, 6]).figures["accuracy"]
        for draw in range(3)
    ]
    assert averaged.figures["accuracy"] == pytest.approx(np.mean(single, axis=0))
    assert averaged.orders == 3 and np.ptp(single, axis=0)[0, 0] > 0
    smooth = [sweep(cases, "sex", [0.2], [1], orders=40, seed=seed).figures["accuracy"][0, 0] for seed in range(6)]
    assert np.std(smooth) < np.std([sweep(cases, "sex", [0.2], [1], orders=1, seed=s).figures["accuracy"][0, 0]
                                    for s in range(6)])  # fmt: skip


def test_changes_are_paired_and_the_same_as_from_tables_of_predictions():
    cases = judged(400, 6, seed=2, split="test")
    plain, ours = (decide(cases.votes, tau) for tau in (math.inf, 0.1))
    changes = vote_changes(cases, Ballot(plain.answer, 6), Ballot(ours.answer, 6), SETTING)
    by_metric = {e.metric: e for e in changes if e.attribute == "sex" and e.group is None}
    first, second = (figures_by_hand(cases, tau, 6) for tau in (math.inf, 0.1))
    for metric in ("demographic_parity_difference", "equalized_odds_difference_sum", "equal_opportunity_difference"):
        assert by_metric[metric].value == pytest.approx(second[metric] - first[metric])
        assert by_metric[metric].low <= by_metric[metric].value <= by_metric[metric].high
    overall = next(e for e in changes if e.metric == "accuracy" and e.attribute is None)
    assert overall.value is not None and overall.low <= overall.value <= overall.high
    nothing = vote_changes(cases, Ballot(plain.answer, 6), Ballot(plain.answer, 6), SETTING)
    assert all(e.value in (0.0, None) for e in nothing)

    table = predictions_table(cases, ours, 6)
    layout = Layout(attributes=(Attribute(name="sex", groups=("a", "b")),), classes=("0", "1"), scores=True)
    columns = Columns(
        label="label",
        prediction="prediction",
        score="score",
        outcome="outcome",
        attributes={"sex": ATTRIBUTE_PREFIX + "sex"},
    )
    counted = estimates_of([count_table(table, layout, columns, model="m", origin="o").table("sex")], SETTING)
    own = {(e.metric, e.attribute, e.group): e for e in vote_estimates(cases, Ballot(ours.answer, 6), SETTING)}
    shared = [e for e in counted if (e.metric, e.attribute, e.group) in own]
    assert {"refusal_rate", "tpr", "disparate_impact_ratio", "ppv"} <= {e.metric for e in shared}
    for e in shared:
        assert own[e.metric, e.attribute, e.group] == e


def test_a_positive_option_among_three_is_read_apart_from_being_right():
    votes = votes_of(*[[(answer, 0.5)] for answer in (0, 1, 2, 2)], options=3, split="test")
    cases = HeldOutCases(
        votes=votes, right=np.array([0, 2, 1, 2]), positive=np.zeros(4, np.int64), groups=(grouped([0, 0, 1, 1]),)
    )
    found = {
        (e.metric, e.group): e.value
        for e in vote_estimates(cases, Ballot(decide(votes, 1.0).answer, 1), SETTING)
        if e.attribute == "sex"
    }
    assert (
        found["accuracy", "a"] == 0.5 and found["accuracy", "b"] == 0.5
    )  # 1 for 2 is wrong, though neither is positive
    assert found["selection_rate", "a"] == 0.5 and found["selection_rate", "b"] == 0.0
    assert ("worst_group_accuracy_cells", None) not in found
    with pytest.raises(ValueError, match="between two options"):
        predictions_table(cases, decide(votes, 1.0), 1)


def test_cases_without_groups_are_read_as_a_whole():
    cases = replace(judged(60, 4, 3, decisions=False, split="test"), groups=())
    answers = [Ballot(decide(cases.votes, tau).answer, 4) for tau in (math.inf, 0.1)]
    changes = vote_changes(cases, *answers, SETTING)
    assert {e.metric: e.attribute for e in changes} == {
        "accuracy": None, "refusal_rate": None, "parse_failure_rate": None,
    }  # fmt: skip
    before, after = (vote_estimates(cases, answer, SETTING)[0] for answer in answers)
    assert (before.metric, before.attribute) == ("accuracy", None)
    assert changes[0].value == pytest.approx(after.value - before.value)


def test_predictions_say_who_refused_and_what_share_of_the_weight_decided():
    votes = votes_of([(1, 0.4), (0, 0.4)], [("refused", math.nan)], [(1, 0.9)], split="test")
    cases = HeldOutCases(
        votes=votes, right=np.array([1, 0, 0]), positive=np.ones(3, np.int64), groups=(grouped([0, 1, 0]),)
    )
    table = predictions_table(cases, decide(votes, 0.2), 2)
    assert isinstance(table, pa.Table) and table["row_id"].to_pylist() == ["case0", "case1", "case2"]
    assert table["prediction"].to_pylist() == [1, None, 1] and table["score"].to_pylist() == [0.5, None, 1.0]
    assert table["outcome"].to_pylist() == ["answered", "refused", "answered"]
    assert table["label"].to_pylist() == [1, 0, 0]


def test_baselines_are_about_the_same_cases():
    votes = votes_of([(1, 0.1), (0, 0.2), (0, 0.9)])
    outcome = votes_of([(1, 0.9), (0, 0.2), (0, 0.1)])
    found = baselines(votes, 3, tau=0.05, prompted=votes_of([(1, 0.5)]), outcome=outcome)
    assert {name: int(decisions.answer[0]) for name, decisions in found.items()} == {
        "single_chain": 1, "majority": 0, "fairness_prompt": 1, "outcome_model": 1,
    }  # fmt: skip
    with pytest.raises(BadInput, match="other cases"):
        baselines(votes, 3, tau=0.2, prompted=votes_of([(1, 0.5)], [(1, 0.5)]))
    with pytest.raises(BadInput, match="same chains"):
        baselines(votes, 3, tau=0.2, outcome=votes_of([(1, 0.9), (1, 0.2), (0, 0.1)]))


def test_cases_that_do_not_fit_are_refused():
    votes = votes_of([(1, 0.5)], [(0, 0.5)])
    fits = {"votes": votes, "right": np.array([1, 0]), "positive": np.array([1, 1]), "groups": (grouped([0, 1]),)}
    with pytest.raises(BadInput, match="votes of the 'validation' split"):
        HeldOutCases(**fits)
    for changed, said in (
        ({"right": np.array([1, 2])}, "option 2"),
        ({"positive": np.array([1])}, "shape"),
        ({"groups": (grouped([0, 2]),)}, "codes that do not fit"),
        ({"groups": (grouped([0, 1], (MISSING, "b")),)}, "names"),
    ):
        with pytest.raises(BadInput, match=said):
            ValidationCases(**(fits | changed))
    with pytest.raises(BadInput, match="no groups of 'age'"):
        sweep(ValidationCases(**fits), "age", [1.0], [1])
