"""`ChoiceSet`: a data set's choices, whole or sampled, with what a reader of a figure must know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from equiray.data.cases.bbq import load_bbq
from equiray.data.cases.choices import Choice, option_choice, sample_choices
from equiray.data.cases.record import Case
from equiray.data.cases.sentence_pairs import Choices, load_crows_pairs, load_stereoset, load_winobias

BBQ = "bbq"


@dataclass(frozen=True, kw_only=True)
class ChoiceSet:
    """Choices and where they came from.

    Attributes
    ----------
    name, title : str
        How the data set is called in a spec, and in a report.
    choices : tuple of Choice
    whole : int
        How many choices the data set has.
    compared : str
        What is compared with what, in words that follow "compared are".
    source_sha256 : str
        Of the files that were read.
    warnings : tuple of str
    licence : str
    cases : tuple of Case
        Of BBQ: the questions, in the order of their choices; none otherwise.
    """

    name: str
    title: str
    choices: tuple[Choice, ...]
    whole: int
    compared: str
    source_sha256: str
    warnings: tuple[str, ...]
    licence: str
    cases: tuple[Case, ...] = ()


class _Pairs(NamedTuple):
    load: Callable[[], Choices]
    title: str
    compared: str
    licence: str
    warnings: tuple[str, ...]


_DISPUTED = "some items are no stereotypes or differ in more than the group (Blodgett et al. 2021)"
_PAIRS: Mapping[str, _Pairs] = {
    "crows_pairs": _Pairs(
        load_crows_pairs,
        "CrowS-Pairs",
        "whole sentences",
        "CC BY-SA 4.0",
        (_DISPUTED, "published figures of masked models compare words, not sentences: they are no yardstick here"),
    ),
    "stereoset": _Pairs(
        load_stereoset,
        "StereoSet, development half",
        "whole sentences, or continuations of a context, by their mean per token",
        "CC BY-SA 4.0",
        (_DISPUTED,),
    ),
    "winobias": _Pairs(
        load_winobias,
        "WinoBias, test halves",
        "the two pronouns of one sentence, with all that follows them",
        "MIT",
        ("pronouns are compared, not resolved: published figures of coreference systems are no yardstick here",),
    ),
}


def load_choice_set(name: str, items: int | None, seed: int) -> ChoiceSet:
    """Read a data set by its name in a spec: `items` choices, by category; all where it is None.

    Sentences are sampled in proportion to their categories, since their figures are of all of them, too. Of BBQ each
    category and context gives alike, as wherever BBQ is sampled.

    Raises
    ------
    BadInput
        A file is absent, changed or not in the official format, or there are fewer choices than asked for.
    """
    if name == BBQ:
        return _bbq(items, seed)
    pairs = _PAIRS[name]
    found = pairs.load()
    whole = len(found.choices)
    return ChoiceSet(
        name=name,
        title=pairs.title,
        choices=found.choices if items is None else sample_choices(found.choices, items, seed),
        whole=whole,
        compared=pairs.compared,
        source_sha256=found.source_sha256,
        warnings=(*pairs.warnings, *found.left_out),
        licence=pairs.licence,
    )


def _bbq(items: int | None, seed: int) -> ChoiceSet:
    whole = load_bbq()
    kept = whole if items is None else whole.sample(items, seed)
    return ChoiceSet(
        name=BBQ,
        title=whole.title,
        choices=tuple(map(option_choice, kept.cases)),
        whole=len(whole),
        compared="the three options after “Answer:”, by their mean per token, without instruction or letters",
        source_sha256=whole.source_sha256,
        warnings=whole.warnings,
        licence=whole.licence,
        cases=kept.cases,
    )
