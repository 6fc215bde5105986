"""What the choice of thresholds may know of groups: all of them, those of a share of the rows, or none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from equiray.data.schema import MISSING_GROUP
from equiray.errors import BadInput
from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.gating.choice import choose
from equiray.mitigation.gating.thresholds import sweep
from equiray.runs.fairnet.checks import check_tasks
from equiray.runs.fairnet.choosing import chosen, groups_known, known_outcomes
from equiray.specs.fairnet import FairNetSpec
from gated_cases import by_hand, drawn

ROWS = 2000


def spec_of(regime, share=0.25, **threshold):
    document = {"schema": "equiray.fairnet/1", "name": "x", "tasks": [{"name": "adult"}]}
    detector = {"regime": regime, "label_share": share}
    return FairNetSpec.model_validate(document | {"detector": detector, "threshold": threshold})


def shuffled(outcomes, rows):
    """The same outcomes with other groups in some rows."""
    (each,) = outcomes.groups
    code = each.code.copy()
    code[rows] = np.random.default_rng(9).permutation(code[rows])
    return replace(outcomes, groups=(GroupedScores(each.attribute, each.groups, code),))


def hidden_of(outcomes, spec, seed=0):
    (each,) = known_outcomes(outcomes, spec.detector, seed).groups
    return np.array(each.groups)[each.code] == MISSING_GROUP


def test_a_share_of_the_groups_is_looked_at_and_no_other():
    outcomes, spec = drawn(ROWS, groups=2), spec_of("partial", max_accuracy_loss=0.1)
    hidden = hidden_of(outcomes, spec)
    assert (~hidden).sum() == ROWS / 4 == groups_known(known_outcomes(outcomes, spec.detector, 0), "sex")
    found = chosen(known_outcomes(outcomes, spec.detector, 0), "sex", spec)
    others = known_outcomes(shuffled(outcomes, np.flatnonzero(hidden)), spec.detector, 0)
    assert chosen(others, "sex", spec) == found, "groups that are not known moved the choice"
    assert found.by == "worst_cell" and not found.closed
    # a second route: the worst cell among the labelled rows alone, accuracy of all
    (each,) = outcomes.groups
    open_ = outcomes.risk[:, 0] > np.float32(found.thresholds[0])
    decided = np.where(open_, outcomes.probability[:, 1], outcomes.probability[:, 0]) > 0.5
    right = decided == (outcomes.label == 1)
    cells = [right[(each.code == g) & (outcomes.label == y) & ~hidden].mean() for g in range(2) for y in (0, 1)]
    assert found.worst_cell == pytest.approx(min(cells))
    assert found.figures["accuracy"] == pytest.approx(right.mean())


def test_another_training_knows_another_share():
    outcomes, spec = drawn(ROWS, groups=2), spec_of("partial")
    assert (hidden_of(outcomes, spec, 0) != hidden_of(outcomes, spec, 1)).any()
    assert not hidden_of(outcomes, spec_of("full")).any() and hidden_of(outcomes, spec_of("unlabelled")).all()


def test_without_groups_the_best_accuracy_is_chosen():
    outcomes, spec = drawn(ROWS, groups=2), spec_of("unlabelled", max_open=0.5)
    found = chosen(known_outcomes(outcomes, spec.detector, 0), "sex", spec)
    taus = [*np.unique(outcomes.risk).tolist(), np.inf]
    by_tau = [by_hand(outcomes, [tau]) for tau in taus[len(taus) // 2 - 1 :]]
    best = max(each["accuracy"] for each in by_tau if each["activation_rate"] <= 0.5)
    assert found.by == "accuracy" and found.figures["accuracy"] == pytest.approx(best)
    assert best > found.base["accuracy"], "every gate stays shut: nothing is tested"
    everybody = known_outcomes(shuffled(outcomes, np.arange(ROWS)), spec.detector, 0)
    assert chosen(everybody, "sex", spec).to_json() == found.to_json()
    full = choose(sweep(outcomes, "sex", fewest_rows=30), spec.threshold)
    assert full.thresholds != found.thresholds, "the groups would have chosen the same: nothing is tested"


def test_where_too_few_groups_are_known_for_a_cell_accuracy_chooses():
    outcomes, spec = drawn(400, groups=2), spec_of("partial", share=0.1)
    found = chosen(known_outcomes(outcomes, spec.detector, 0), "sex", spec)
    assert found.by == "accuracy" and len(found.left_out) == 4
    none = chosen(known_outcomes(outcomes, spec_of("unlabelled").detector, 0), "sex", spec_of("unlabelled"))
    assert found.thresholds == none.thresholds


def test_more_gates_than_are_chosen_together_are_refused_before_anything_is_trained():
    task = SimpleNamespace(name="mine", gates=("sex", "race", "age", "town"))
    with pytest.raises(BadInput, match=r"4 gates \(sex, race, age, town\) have 16 outputs a row") as caught:
        check_tasks([task], spec_of("full"))
    assert caught.value.place == "task mine, attributes" and "3 attributes or fewer" in caught.value.fix
