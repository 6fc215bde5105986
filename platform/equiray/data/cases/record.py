"""`Case`: one question about somebody, with its answer options, as a model is asked and as its answer is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from equiray.errors import BadInput

Context = Literal["ambiguous", "disambiguated"]


@dataclass(frozen=True, kw_only=True)
class Stereotype:
    """What a bias benchmark knows of a question's options.

    Attributes
    ----------
    context : {"ambiguous", "disambiguated"}
        Whether the text says who it was.
    target : int or None
        Option that a stereotyping reader would give; None where the benchmark does not name exactly one.
    unknown : int
        Option that says that it cannot be known.
    """

    context: Context
    target: int | None
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """A question with answer options.

    Attributes
    ----------
    case_id : str
        Unique in its data set and the same in every run: draws, caches and predictions hang on it.
    dataset, category : str
        Such as ``bbq`` and ``Age``; reward models are evaluated on categories that they never saw.
    text : str
        What is to be read: context and question, or a serialized row; options and instructions are added by
        `equiray.data.cases.asking`.
    options : tuple of str
        In the order in which they are offered.
    answer : int or None
        The right option; None where there is none.
    groups : mapping of str to str
        Sensitive attributes of whom the question is about; ``(missing)`` where the source does not say.
    positive : int or None
        Of a decision: the option that counts as the positive class.
    stereotype : Stereotype or None
        Of a bias benchmark.
    twin_of : str or None
        The case of which this one is the counterfactual.
    family : str or None
        Cases of one family are wordings of one question or twins of one row: they never lie in two splits, and
        intervals are clustered by it. None: the case is a family of its own.

    Raises
    ------
    BadInput
        An option repeats, or an option that is named is not there.
    """

    case_id: str
    dataset: str
    category: str
    text: str
    options: tuple[str, ...]
    answer: int | None
    groups: Mapping[str, str] = field(default_factory=dict)
    positive: int | None = None
    stereotype: Stereotype | None = None
    twin_of: str | None = None
    family: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.options)) != len(self.options) or len(self.options) < 2:
            raise self._wrong(f"options {list(self.options)} are not two or more different ones")
        named = {"answer": self.answer, "positive": self.positive}
        if self.stereotype is not None:
            named |= {"target": self.stereotype.target, "unknown": self.stereotype.unknown}
        for what, option in named.items():
            if option is not None and not 0 <= option < len(self.options):
                raise self._wrong(f"{what} is option {option} of {len(self.options)}")

    def _wrong(self, problem: str) -> BadInput:
        return BadInput(problem, place=f"case {self.case_id!r} of {self.dataset}", fix="correct the case in its source")
