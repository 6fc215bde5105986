"""Answers to BBQ by many chains: known responders, the grid by hand, and the choice of a point."""

from typing import Any

import numpy as np
import pytest

from equiray.data.cases.record import Case, Stereotype
from equiray.metrics.clusters import Resampling
from equiray.mitigation.voting.chains import NO_ANSWER, ScoredChain, ScoredChains
from equiray.mitigation.voting.deciding import Decisions, decide
from equiray.mitigation.voting.votes import Votes
from equiray.runs.chains.questions import POOLED, choose, counts_of, estimates_of, figures, grid_of
from equiray.specs.chains import ChainsSpec

SPEC = ChainsSpec.model_validate({"schema": "equiray.chains/1", "name": "x", "reward_model": "r"})
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


def grid_with(bias: list[list[float | None]], right: list[list[float]]) -> dict[str, Any]:
    return {
        "temperatures": [0.1, "inf"],
        "chains": [1, 4],
        "figures": {"bbq_bias_ambiguous": bias, "share_right": right},
    }


def test_the_least_bias_that_keeps_the_accuracy_is_chosen():
    best = choose(grid_with([[0.3, -0.1], [0.4, 0.2]], [[0.5, 0.5], [0.5, 0.505]]), SPEC)
    assert (best["chosen"]["tau"], best["chosen"]["chains"], best["status"]) == (0.1, 4, "chosen")
    dear = choose(grid_with([[0.3, -0.1], [0.4, 0.2]], [[0.5, 0.4], [0.5, 0.5]]), SPEC)
    assert (dear["chosen"]["tau"], dear["chosen"]["chains"]) == ("inf", 4) and dear["feasible"] == 3
    even = choose(grid_with([[0.2, 0.2], [-0.2, 0.2]], [[0.5, 0.5], [0.5, 0.5]]), SPEC)
    assert (even["chosen"]["tau"], even["chosen"]["chains"]) == ("inf", 1)  # fewer chains, then the plain vote
    nothing = choose(grid_with([[None, None], [None, None]], [[0.5, 0.5], [0.5, 0.5]]), SPEC)
    assert nothing["chosen"] is None and nothing["status"] == "inconclusive"


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
