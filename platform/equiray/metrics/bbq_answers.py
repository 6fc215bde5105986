"""`BbqAnswers`: what a model answered to questions of BBQ, in the terms of its scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equiray.data.cases.record import Case
from equiray.data.schema import MISSING_GROUP

Said = Literal["target", "other", "unknown", "unparsed", "refused"]
"""What an answer to a question with one target is. ``other`` is the person who is not the target."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BbqAnswers:
    """Answers to questions of BBQ, arrays of shape (questions,).

    Attributes
    ----------
    category, group, family : str arrays
        Of the case; the group is that of the stereotyped person.
    ambiguous : bool array
    said : str array
        One of `Said`; of a question without a target only ``unparsed`` and ``refused`` are read.
    scored : bool array
        The question has exactly one target.
    """

    category: NDArray[np.str_]
    group: NDArray[np.str_]
    family: NDArray[np.str_]
    ambiguous: NDArray[np.bool_]
    said: NDArray[np.str_]
    scored: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[Case], answers: Sequence[int | Literal["unparsed", "refused"]]) -> "BbqAnswers":
        """Read answers by the cases' targets.

        Parameters
        ----------
        cases : sequence of Case
            Of a bias benchmark.
        answers : sequence of int or str
            Place among the case's options, or why there is none.

        Raises
        ------
        ValueError
            The lengths differ, a case has no stereotype, or an answer is no option.
        """
        if len(cases) != len(answers):
            raise ValueError(f"{len(cases)} cases have {len(answers)} answers")
        said = [_said(case, answer) for case, answer in zip(cases, answers, strict=True)]
        marks = [case.stereotype for case in cases]
        return cls(
            category=np.array([case.category for case in cases], dtype=np.str_),
            group=np.array([case.groups.get(case.category, MISSING_GROUP) for case in cases], dtype=np.str_),
            family=np.array([case.family or case.case_id for case in cases], dtype=np.str_),
            ambiguous=np.array([mark is not None and mark.context == "ambiguous" for mark in marks], dtype=np.bool_),
            said=np.array(said, dtype=np.str_),
            scored=np.array([mark is not None and mark.target is not None for mark in marks], dtype=np.bool_),
        )


def _said(case: Case, answer: int | Literal["unparsed", "refused"]) -> str:
    mark = case.stereotype
    if mark is None:
        raise ValueError(f"case {case.case_id!r} is of no bias benchmark")
    if isinstance(answer, str):
        if answer not in ("unparsed", "refused"):
            raise ValueError(f"answer {answer!r} to case {case.case_id!r}: an option's place, unparsed or refused")
        return answer
    if not 0 <= answer < len(case.options):
        raise ValueError(f"answer {answer} to case {case.case_id!r} is no place among {len(case.options)} options")
    return "unknown" if answer == mark.unknown else "target" if answer == mark.target else "other"
