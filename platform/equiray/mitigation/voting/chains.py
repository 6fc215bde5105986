"""`ScoredChains`: of each case the sampled chains, their answers, and of each step how likely it is to be fair.

Notable: everything else in this room follows from these arrays, without a model. Chains stand in the order in which
they were drawn, so the first n of a case are what a run with n chains would have had. Cases may have fewer chains than
others, as early stopping leaves them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import SPLITS
from equiray.errors import BadInput

OUTCOMES = ("answered", "unparsed", "refused", "absent")
"""What became of a chain, by its code; `absent`: it was never sampled."""

ANSWERED, UNPARSED, REFUSED, ABSENT = range(len(OUTCOMES))

NO_ANSWER = -1


class ScoredChain(NamedTuple):
    """One chain: the option it ends in (None without one), its outcome, and its steps' probabilities of being fair."""

    answer: int | None
    outcome: str
    steps: Sequence[float]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredChains:
    """Chains of C cases of one split, at most N a case, S steps in all.

    Attributes
    ----------
    split : "train", "validation" or "test"
    case_ids : tuple of str, length C
    options : int64 [C]
        How many answers each case offers.
    answers : int64 [C, N]
        From 0 to `options` - 1; `NO_ANSWER` where there is none.
    outcomes : int8 [C, N]
        Places in `OUTCOMES`; absent chains come after all others of their case.
    step_offsets : int64 [C * N + 1]
        Steps of chain n of case c are ``step_fair[step_offsets[c * N + n] : step_offsets[c * N + n + 1]]``.
    step_fair : float64 [S]
        Probability that a step is fair (label 1, unbiased).

    Raises
    ------
    BadInput
        Shapes or values do not fit; an answered chain has no step, an absent one has some; a case has no chain.
    """

    split: str
    case_ids: tuple[str, ...]
    options: NDArray[np.int64]
    answers: NDArray[np.int64]
    outcomes: NDArray[np.int8]
    step_offsets: NDArray[np.int64]
    step_fair: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_shapes(self)
        check_ballots(self.case_ids, self.options, self.answers, self.outcomes)
        _check_steps(self)

    @classmethod
    def of(cls, split: str, cases: Mapping[str, tuple[int, Sequence[ScoredChain]]]) -> "ScoredChains":
        """From the number of options and the chains, in the order they were drawn, of each case id.

        Raises
        ------
        BadInput
            As the class; or an outcome is unknown, or does not fit whether there is an answer.
        """
        width = max((len(chains) for _, chains in cases.values()), default=0)
        answers = np.full((len(cases), width), NO_ANSWER, np.int64)
        outcomes = np.full((len(cases), width), ABSENT, np.int8)
        lengths = np.zeros((len(cases), width), np.int64)
        steps: list[float] = []
        for row, (case_id, (_, chains)) in enumerate(cases.items()):
            for place, chain in enumerate(chains):
                if chain.outcome not in OUTCOMES:
                    where = f"case {case_id!r}, chain {place}"
                    raise _refused(f"outcome {chain.outcome!r}", where, f"name one of: {', '.join(OUTCOMES)}")
                outcomes[row, place] = OUTCOMES.index(chain.outcome)
                answers[row, place] = NO_ANSWER if chain.answer is None else chain.answer
                lengths[row, place] = len(chain.steps)
                steps += chain.steps
        return cls(
            split=split,
            case_ids=tuple(cases),
            options=np.array([options for options, _ in cases.values()], np.int64),
            answers=answers,
            outcomes=outcomes,
            step_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            step_fair=np.array(steps, np.float64),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """C, N."""
        cases, chains = self.answers.shape
        return cases, chains

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each chain, [C, N]."""
        return np.diff(self.step_offsets).reshape(self.shape)


def check_ballots(
    case_ids: Sequence[str], options: NDArray[Any], answers: NDArray[Any], outcomes: NDArray[Any]
) -> None:
    """Refuse answers and outcomes [C, N] that do not fit each other or the cases."""
    if len(set(case_ids)) < len(case_ids):
        twice = next(name for place, name in enumerate(case_ids) if name in case_ids[:place])
        raise _refused(f"case {twice!r} stands there twice", "case_ids", "give each case once")
    few = options < 2
    if few.any():
        place = int(np.argmax(few))
        raise _refused(f"{options[place]} options", f"case {case_ids[place]!r}", "a vote needs two or more")

    def check(unfit: NDArray[np.bool_], values: NDArray[Any], what: str, fix: str) -> None:
        if unfit.any():
            row, chain = (int(place) for place in np.argwhere(unfit)[0])
            raise _refused(f"{what} {values[row, chain]}", f"case {case_ids[row]!r}, chain {chain}", fix)

    check((outcomes < 0) | (outcomes >= len(OUTCOMES)), outcomes, "outcome code", f"codes are 0 to {len(OUTCOMES) - 1}")
    there = (answers >= 0) & (answers < options[:, None])
    check((outcomes == ANSWERED) & ~there, answers, "answered with option", "count options from 0")
    check((outcomes != ANSWERED) & (answers != NO_ANSWER), answers, "no answer, yet option", f"give {NO_ANSWER}")
    absent = outcomes == ABSENT
    late = absent[:, :-1] & ~absent[:, 1:]
    check(np.pad(late, [(0, 0), (1, 0)]), outcomes, "sampled after an absent one, outcome", "move absent chains last")
    if absent[:, :1].all(1).any():
        place = int(np.argmax(absent.all(1)))
        raise _refused("no chain was sampled", f"case {case_ids[place]!r}", "leave the case out, or sample it")


def _check_shapes(of: ScoredChains) -> None:
    if of.split not in SPLITS:
        raise _refused(f"split {of.split!r}", "split", f"name one of: {', '.join(SPLITS)}")
    cases = len(of.case_ids)
    if not cases or of.answers.ndim != 2 or not of.answers.shape[1]:
        raise _refused(f"answers of shape {of.answers.shape} of {cases} cases", "answers", "give a chain of some case")
    shape = (cases, of.answers.shape[1])
    shapes = {"options": (cases,), "answers": shape, "outcomes": shape, "step_offsets": (shape[0] * shape[1] + 1,)}
    for name, expected in shapes.items():
        if (found := np.shape(getattr(of, name))) != expected:
            raise _refused(f"shape {found}", name, f"{cases} cases of up to {shape[1]} chains take {expected}")


def _check_steps(of: ScoredChains) -> None:
    offsets, steps = of.step_offsets, of.step_fair
    if steps.ndim != 1 or offsets[0] != 0 or offsets[-1] != len(steps) or (np.diff(offsets) < 0).any():
        raise _refused(
            f"offsets run from {offsets[0]} to {offsets[-1]} over {steps.shape} steps",
            "step_offsets",
            "let them ascend from 0 to the number of steps",
        )
    unfit = ~((steps >= 0) & (steps <= 1))  # NaN too
    if unfit.any():
        step = int(np.argmax(unfit))
        chain = int(np.searchsorted(offsets, step, "right")) - 1
        row, place = divmod(chain, of.shape[1])
        where = f"case {of.case_ids[row]!r}, chain {place}, step {step - offsets[chain]}"
        raise _refused(f"probability {steps[step]}", where, "give the sigmoid of the step's logit, 0 to 1")
    lengths = of.lengths
    for wrong, problem in (
        ((of.outcomes == ANSWERED) & (lengths == 0), "answered in no step"),
        ((of.outcomes == ABSENT) & (lengths > 0), "absent, yet it has steps"),
    ):
        if wrong.any():
            row, place = (int(each) for each in np.argwhere(wrong)[0])
            fix = "every chain that was sampled and answered has a step, an absent one has none"
            raise _refused(problem, f"case {of.case_ids[row]!r}, chain {place}", fix)


def _refused(problem: str, where: str, fix: str) -> BadInput:
    return BadInput(problem, place=f"scored chains, {where}", fix=fix)
