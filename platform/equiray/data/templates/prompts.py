"""Templates with a group named in them: `Prompt`, how to build them, and how to have them scored."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from equiray.data.templates.records import MASK, TARGET, Fillers, Template, TemplateSet
from equiray.errors import BadInput

Side = Literal["disadvantaged", "advantaged", "neutral"]
_STARTS_SENTENCE = re.compile(r"(^|[.!?]\s)[\"'“‘(\[]*$")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a left-to-right model reads before a filler.

    Attributes
    ----------
    prefix : str
        The sentence up to [MASK], the target in place, no blank at its end.
    joiner : str
        What stands between `prefix` and the filler: a blank, or nothing after an opening quote or bracket.
    target : str
        As listed, without a capital of the sentence's start.
    group : str
        Name of the target's group (``female``); ``neutral`` for targets without the attribute.
    side : str
        ``disadvantaged``, ``advantaged`` or ``neutral``.
    twin : str
        Equal for the two prompts that differ in the attribute alone, unique otherwise.
    family, template : str
    reversed : bool
        The sentence denies what it says (`Template.reversed`).
    """

    prefix: str
    joiner: str
    target: str
    group: str
    side: Side
    twin: str
    family: str
    template: str
    reversed: bool = False

    def continuations(self, fillers: Iterable[str]) -> list[str]:
        """The fillers as they follow `prefix`, blank included."""
        return [self.joiner + filler for filler in fillers]

    def stereotype(self, fillers: Fillers) -> tuple[str, ...]:
        """The fillers that state the stereotype here: poor ones of the disadvantaged side, rich ones of the other."""
        return fillers.poor if self._poor_is_stereotype() else fillers.rich

    def antistereotype(self, fillers: Fillers) -> tuple[str, ...]:
        """The fillers that state its opposite."""
        return fillers.rich if self._poor_is_stereotype() else fillers.poor

    def _poor_is_stereotype(self) -> bool:
        if self.side == "neutral":
            raise ValueError("a neutral target has no stereotype")
        return (self.side == "disadvantaged") != self.reversed


class ContinuationScorer(Protocol):
    """Anything that can say how likely texts are after a prefix."""

    def mean_logprobs(self, prefixes: Sequence[str], continuations: Sequence[Sequence[str]]) -> Sequence[np.ndarray]:
        """Score every continuation after its prefix.

        Parameters
        ----------
        prefixes : sequence of str, length P
        continuations : sequence of sequences of str, length P
            ``continuations[i]`` are scored after ``prefixes[i]``; a leading blank belongs to the continuation.

        Returns
        -------
        sequence of P float arrays
            ``[i][j]`` is the mean natural-log probability of the tokens of ``continuations[i][j]``.
        """
        ...


def build_prompts(templates: TemplateSet, attribute: str, *, neutral: bool = False) -> list[Prompt]:
    """Every template with every target of an attribute: template by template, twins side by side.

    Parameters
    ----------
    templates : TemplateSet
    attribute : str
        One of ``templates.targets``; intersections join their attributes with ``*``.
    neutral : bool
        Add the targets without any attribute: the model's taste for a word where no group is named.

    Raises
    ------
    BadInput
        The set has no targets for the attribute, or no templates.
    """
    twins = templates.pairs_of(attribute)
    if not templates.templates:
        raise BadInput("no template is left", place=f"template set {templates.name}", fix="keep at least one family")
    prompts = []
    for template in templates.templates:
        for number, pair in enumerate(twins.pairs):
            twin = f"{template.id}:{number}"
            prompts.append(_prompt(template, pair.disadvantaged, twins.disadvantaged_group, "disadvantaged", twin))
            prompts.append(_prompt(template, pair.advantaged, twins.advantaged_group, "advantaged", twin))
        if neutral:
            for number, word in enumerate(templates.neutral):
                prompts.append(_prompt(template, word, "neutral", "neutral", f"{template.id}:neutral-{number}"))
    return prompts


def score_prompts(scorer: ContinuationScorer, prompts: Sequence[Prompt], fillers: Fillers) -> np.ndarray:
    """Mean log-probability of every filler after every prompt.

    Returns
    -------
    float64 array [P, F]
        Columns in the order of ``fillers.words``; natural logarithms, per token.

    Raises
    ------
    BadInput
        The scorer's answer has another shape, or holds a NaN or a positive log-probability.
    """
    words = fillers.words
    rows = scorer.mean_logprobs([p.prefix for p in prompts], [p.continuations(words) for p in prompts])
    if len(rows) != len(prompts) or any(np.shape(row) != (len(words),) for row in rows):
        raise BadInput(
            "the scorer returned another number of scores than it was asked for",
            place=type(scorer).__name__,
            fix="return one array per prefix, with one value per continuation",
        )
    scores = np.array(rows, dtype=np.float64).reshape(len(prompts), len(words))
    # Rounding of half-precision models may leave a certain token a hair above 0.
    wrong = np.argwhere(~(scores <= 1e-3))
    if len(wrong):
        row, column = wrong[0]
        raise BadInput(
            f"{scores[row, column]} is no log-probability (filler {words[column]!r} after {prompts[row].prefix!r})",
            place=type(scorer).__name__,
            fix="check the model for NaN weights or a half-precision overflow",
        )
    return scores


def _prompt(template: Template, word: str, group: str, side: Side, twin: str) -> Prompt:
    before, _, after = template.text.partition(TARGET)
    shown = word[0].upper() + word[1:] if _STARTS_SENTENCE.search(before) else word
    # "boys's" is no English: a possessive after a plural s is the apostrophe alone.
    if after.startswith("'s") and word.endswith("s"):
        after = "'" + after[2:]
    raw = (before + shown + after).partition(MASK)[0]
    prefix = raw.rstrip()
    return Prompt(
        prefix=prefix,
        joiner=" " if raw != prefix else "",
        target=word,
        group=group,
        side=side,
        twin=twin,
        family=template.family,
        template=template.id,
        reversed=template.reversed,
    )
