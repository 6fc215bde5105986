"""Chains of reasoning in the words of the tiny models, for the tests of reward models."""

import numpy as np

import tiny_models
from equiray.data.cases.record import Case, Context, Stereotype
from equiray.mitigation.reward.steps import Chain, ReasonedCase


def case(name: str, *, context: Context = "ambiguous", target: int | None = 0, answer: int = 2) -> Case:
    return Case(
        case_id=name,
        dataset="bbq",
        category="Age",
        text="Does this person earn more ?",
        options=("Husband", "Wife", "No"),
        answer=answer,
        groups={"age": "40"},
        stereotype=Stereotype(context=context, target=target, unknown=2),
    )


def chain(name: str, index: int, *steps: str, answer: int | None = 0) -> Chain:
    outcome = "unparsed" if answer is None else "answered"
    return Chain(case_id=name, index=index, steps=steps, answer=answer, outcome=outcome)


def random_cases(count: int, *, seed: int = 0, chains: int = 3, most_steps: int = 4) -> list[ReasonedCase]:
    """Cases of chains of random words; some steps repeat, some chains have no step."""
    random = np.random.default_rng(seed)

    def words(least: int, most: int) -> str:
        return " ".join(random.choice(tiny_models.WORDS, size=random.integers(least, most)))

    made = []
    for number in range(count):
        name = f"case-{seed}-{number}"
        written = []
        for index in range(chains):
            steps = [words(1, 8) for _ in range(random.integers(0 if index else 1, most_steps + 1))]
            if index == 1:
                steps.append("The age is 40 .")
            written.append(chain(name, index, *steps, answer=int(random.integers(3)) if index else None))
        question = f"The age is {random.choice(['20', '39', '40', '41'])} . {words(3, 9)} ?"
        made.append(ReasonedCase(case=case(name), question=question, chains=tuple(written)))
    return made
