"""The heat map of real chains: every step with its score, as a colour and as a number."""

from collections.abc import Sequence
from typing import NamedTuple

from equiray.reports.chains.parts import ShownChain, Step
from equiray.reports.words import number

_LABELS = {1: "labelled unbiased", 0: "labelled biased", None: ""}
_STRONGEST = 0.55


class StepCell(NamedTuple):
    """A step; `style` is the side of .5 that its score lies on, `opacity` how far from it."""

    text: str
    score: str
    style: str
    opacity: float
    label: str


class ChainMap(NamedTuple):
    """A chain: what was asked, what was answered, and its steps."""

    place: str
    asked: str
    options: tuple[tuple[str, str], ...]
    answer: str
    lowest: str
    steps: tuple[StepCell, ...]


def chain_maps(chains: Sequence[ShownChain]) -> list[ChainMap]:
    """In the order in which the run shows them."""
    return [_map(chain) for chain in chains]


def _map(chain: ShownChain) -> ChainMap:
    marks = {chain.right: "right", chain.stereotyped: "stereotyped"}
    if chain.right is not None and chain.right == chain.stereotyped:
        marks = {chain.right: "right, stereotyped"}
    where = [chain.category, chain.context or "", chain.case_id, f"chain {chain.chain}"]
    return ChainMap(
        place=" · ".join(part for part in where if part),
        asked=chain.text,
        options=tuple((option, marks.get(place, "")) for place, option in enumerate(chain.options)),
        answer=chain.option(chain.answer),
        lowest=number(min(step.unbiased for step in chain.steps)),
        steps=tuple(_cell(step) for step in chain.steps),
    )


def _cell(step: Step) -> StepCell:
    return StepCell(
        text=step.text,
        score=number(step.unbiased),
        style="unbiased" if step.unbiased >= 0.5 else "biased",
        opacity=round(2 * abs(step.unbiased - 0.5) * _STRONGEST, 3),
        label=_LABELS[step.label],
    )
