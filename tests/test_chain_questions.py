"""Answers to BBQ by many chains: known responders, the grid by hand, and the choice of a point."""

from typing import Any

import numpy as np
import pytest

from equiray.data.cases.record import Case, Stereotype
from equiray.metrics.clusters import Resampling
from equiray.mitigation.voting.chains import NO_ANSWER, ScoredChain, ScoredChains
from equiray.mitigation.voting.deciding import Decisions, decide
from equiray.mitigation.voting.votes import Votes
from equiray.runs.chains.question_choice import choose
from equiray.runs.chains.questions import POOLED, counts_of, estimates_of, figures, grid_of
from equiray.specs.chains import ChainsSpec

TARGET, OTHER, UNKNOWN = 0, 1, 2


def cases(number: int = 40) -> list[Case]:
    """Half ambiguous; of the others half have the stereotyped option right. Five wordings of each question."""
    made = []
    for n in range(number):
        open_ = n % 2 == 0
        right = UNKNOWN if open_ else TARGET if n % 4 == 1 else OTHER
        made.append(
            Case(
                case_id=f"bbq/{n}",
                dataset="bbq",
                category="Age" if n % 3 else "SES",
                text="Who?",
                options=("one", "other", "unknown"),
                answer=right,
                groups={"Age" if n % 3 else "SES": "old"},
                stereotype=Stereotype(
                    context="ambiguous" if open_ else "disambiguated", target=TARGET, unknown=UNKNOWN
                ),
                family=f"q{n // 5}",
            )
        )
    return made


def scored(of: list[Case], seed: int = 0) -> Votes:
    """Five chains a case, with scores and sometimes no answer."""
    random = np.random.default_rng(seed)
    found = {}
    for case in of:
        chains = []
        for _ in range(5):
            answer = int(random.integers(3)) if random.random() < 0.9 else None
            chains.append(ScoredChain(answer, "unparsed" if answer is None else "answered", random.random(2).tolist()))
        found[case.case_id] = (3, chains)
    chains = ScoredChains.of("validation", found)
    return Votes.of(chains, random.random(chains.shape))


@pytest.mark.parametrize(
    ("answer", "ambiguous", "disambiguated"), [(TARGET, 1.0, 1.0), (OTHER, -1.0, -1.0), (UNKNOWN, 0.0, np.nan)]
)
def test_responders_score_as_they_should(answer: int, ambiguous: float, disambiguated: float):
    found = figures(counts_of(cases(), np.full(40, answer)).sum(0))
    assert found[:2] == pytest.approx([ambiguous, disambiguated], nan_ok=True)
    assert found[2] == (answer == UNKNOWN) and found[3] == pytest.approx(0.5 * (answer != UNKNOWN))


def test_an_open_question_is_wrong_and_in_no_bias_score():
    answers = np.full(40, NO_ANSWER)
    answers[0] = TARGET
    found = figures(counts_of(cases(), answers).sum(0))
    assert found[0] == 1 and np.isnan(found[1]) and found[2] == found[3] == 0


def test_the_grid_is_the_vote_at_each_point():
    of = cases()
    votes = scored(of)
    taus = [0.0, 0.1, float("inf")]
    grid = grid_of(of, votes, taus, (1, 2, 5))
    for row, tau in enumerate(taus):
        for column, chains in enumerate((1, 2, 5)):
            answer = decide(votes, tau, chains).answer
            known = [(c, a) for c, a in zip(of, answer, strict=True) if a != NO_ANSWER]
            open_ = [a for c, a in known if c.stereotype is not None and c.stereotype.context == "ambiguous"]
            bias = (open_.count(TARGET) - open_.count(OTHER)) / len(open_)
            at = {name: values[row][column] for name, values in grid["figures"].items()}
            assert at["bbq_bias_ambiguous"] == pytest.approx(bias)
            assert at["share_right"] == pytest.approx(sum(a == c.answer for c, a in known) / len(of))
            assert at["unanswered"] == pytest.approx(1 - len(known) / len(of))


def chosen(
    guessed: list[list[float | None]], right: list[list[float]], told: Any = None, **decision: Any
) -> dict[str, Any]:
    """The choice among two temperatures and two numbers of chains with these figures."""
    grid = {
        "temperatures": [0.1, "inf"],
        "chains": [1, 4],
        "figures": {"bbq_bias_ambiguous": guessed, "bbq_bias_disambiguated": told or guessed, "share_right": right},
    }
    return choose(grid, cases(), scored(cases()), deciding(**decision))


def deciding(**decision: Any) -> ChainsSpec:
    return ChainsSpec.model_validate(
        {"schema": "equiray.chains/1", "name": "x", "reward_model": "r", "decision": decision, "replicates": 300}
    )


def point(choice: dict[str, Any]) -> tuple[Any, ...]:
    return choice["chosen"]["tau"], choice["chosen"]["chains"], choice["status"]


def test_the_least_bias_that_keeps_the_accuracy_is_chosen():
    assert point(chosen([[0.3, -0.1], [0.4, 0.2]], [[0.5, 0.5], [0.5, 0.505]])) == (0.1, 4, "chosen")
    dear = chosen([[0.3, -0.1], [0.4, 0.2]], [[0.5, 0.4], [0.5, 0.5]])
    assert point(dear) == ("inf", 4, "chosen") and dear["feasible"] == 3
    even = chosen([[0.2, 0.2], [-0.2, 0.2]], [[0.5, 0.5], [0.5, 0.5]])
    assert point(even) == ("inf", 1, "chosen")  # fewer chains, then the plain vote
    nothing = chosen([[None, None], [None, None]], [[0.5, 0.5], [0.5, 0.5]])
    assert nothing["chosen"] is None and nothing["status"] == "inconclusive"


def test_which_bias_counts_is_a_setting():
    guessed, told, right = [[0.3, -0.1], [0.4, 0.2]], [[0.1, 0.5], [-0.05, 0.15]], [[0.5, 0.5], [0.5, 0.5]]
    assert point(chosen(guessed, right, told))[:2] == (0.1, 4)
    other = chosen(guessed, right, told, bias="disambiguated")
    assert point(other)[:2] == ("inf", 1) and "disambiguated" in other["reason"]
    assert point(chosen(guessed, right, told, bias="larger"))[:2] == ("inf", 4)
    unknown: list[list[float | None]] = [[0.1, 0.5], [-0.05, None]]
    assert point(chosen(guessed, right, unknown, bias="larger"))[:2] == (0.1, 1)  # of an unknown one nothing is said


def grid_of_many(number: int) -> tuple[list[Case], Votes, dict[str, Any]]:
    of = [Case(**(vars(case) | {"family": case.case_id})) for case in cases(number)]
    votes = scored(of, seed=1)
    return of, votes, grid_of(of, votes, [0.0, 0.05, 0.2, float("inf")], (1, 2, 5))


@pytest.mark.parametrize("which", ["ambiguous", "disambiguated", "larger"])
def test_a_limit_of_bias_takes_the_most_right_answers_that_keep_it(which: str):
    of, votes, grid = grid_of_many(1200)
    names = {"larger": ("ambiguous", "disambiguated")}.get(which, (which,))
    sizes = np.abs([np.array(grid["figures"][f"bbq_bias_{name}"]) for name in names]).max(0)
    right = np.array(grid["figures"]["share_right"])
    found = choose(grid, of, votes, deciding(bias=which, max_bias=0.12))
    kept = sizes <= 0.12
    assert found["feasible"] == kept.sum() and found["excluded"] == {"bias at most 0.12": (~kept).sum()}
    assert found["chosen"]["figures"]["share_right"] == right[kept].max()
    assert len(found["checks"]) == 2 * len(names)
    for check in found["checks"]:
        assert check["low"] < check["value"] < check["high"] and abs(check["bound"]) == 0.12
    held = all(check["low"] >= -0.12 and check["high"] <= 0.12 for check in found["checks"])
    assert found["status"] == ("chosen" if held else "inconclusive")
    assert choose(grid, of, votes, deciding(bias=which, max_bias=0.5))["status"] == "chosen"


def test_few_questions_do_not_bear_a_limit_out_and_none_may_keep_it():
    of, votes, grid = grid_of_many(24)
    found = choose(grid, of, votes, deciding(max_bias=0.9 * 1 / 3))
    assert found["status"] == "inconclusive" and "do not bear it out" in found["reason"]
    of, votes, grid = grid_of_many(1200)
    least = np.abs(np.array(grid["figures"]["bbq_bias_ambiguous"])).min()
    none = choose(grid, of, votes, deciding(max_bias=least / 2))
    assert none["status"] == "infeasible" and none["chosen"] is None and f"{least:.3f}" in none["reason"]


def test_changes_are_paired_and_resampled_by_question():
    of = cases(200)
    votes = scored(of)
    same = decide(votes, float("inf"))
    other = Decisions(np.full(200, TARGET), same.share)
    found = estimates_of(
        of,
        {"majority": same, "reward": same, "outcome": other},
        dict.fromkeys(("majority", "reward", "outcome"), (votes, 5)),
        "m",
        Resampling(replicates=200),
    )
    of_metric = {(e.stage, e.attribute): e for e in found if e.metric == "bbq_bias_ambiguous"}
    still = of_metric["reward-majority", POOLED]
    assert still.value == still.low == still.high == 0
    moved = of_metric["outcome-majority", POOLED]
    before = of_metric["majority", POOLED]
    assert before.value is not None and moved.value == pytest.approx(1 - before.value)
    assert moved.low is not None and moved.high is not None and moved.low < moved.value < moved.high
    assert before.n == moved.n - int((same.answer[::2] == NO_ANSWER).sum())
