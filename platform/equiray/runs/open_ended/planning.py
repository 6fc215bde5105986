"""The prompts of a run, and who rates what is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from equiray.data.cases.open_ended import OpenPrompt, load_open_ended
from equiray.data.cases.prompt_sample import groups_of, sample_prompts
from equiray.errors import BadInput
from equiray.models.raters import Rater, rater_of
from equiray.specs.open_ended import MOST_GROUPS, OpenEndedSpec, PromptsSpec, RatingSpec

_TITLES = {"bold": "BOLD", "holistic_bias": "HolisticBias", "honest": "HONEST", "reddit_bias": "RedditBias"}
_WARNINGS = {
    "bold": "BOLD's prompts are beginnings of sentences from Wikipedia, each about another person or thing: what they "
    "say differs between groups before a model writes a word.",
    "reddit_bias": "RedditBias's prompts are biased comments: they are rated along with what the model adds where the "
    "whole text is read.",
}


@dataclass(frozen=True, kw_only=True)
class PlannedPrompts:
    """One source's prompts about the groups of one attribute."""

    spec: PromptsSpec
    groups: tuple[str, ...]
    available: Mapping[str, int]
    prompts: tuple[OpenPrompt, ...]
    source_sha256: str
    licence: str

    @property
    def name(self) -> str:
        """How results call it."""
        return f"{self.spec.source}_{self.spec.attribute}"

    @property
    def title(self) -> str:
        """How a report calls it."""
        return f"{_TITLES[self.spec.source]}, {self.spec.attribute.replace('_', ' ')}"

    @property
    def warnings(self) -> list[str]:
        """What a reader of any figure must know."""
        return [_WARNINGS[self.spec.source]] if self.spec.source in _WARNINGS else []


def plan_prompts(spec: OpenEndedSpec) -> list[PlannedPrompts]:
    """Load and draw the prompts of a spec.

    Raises
    ------
    BadInput
        Files are absent or changed, there is no such attribute or group, or a group has too few prompts.
    """
    planned = []
    for wanted in spec.prompts:
        found = load_open_ended(wanted.source, folder=None if wanted.path is None else Path(wanted.path))
        available = groups_of(found, wanted.attribute)
        groups = wanted.groups or tuple(available)
        if len(groups) > MOST_GROUPS:
            raise BadInput(
                f"{wanted.source} has {len(groups)} groups of {wanted.attribute}, at most {MOST_GROUPS} are compared",
                place="prompts.groups",
                fix=f"name some of: {', '.join(groups)}",
            )
        planned.append(
            PlannedPrompts(
                spec=wanted,
                groups=groups,
                available={group: available[group] for group in groups if group in available},
                prompts=tuple(sample_prompts(found, wanted.attribute, groups, wanted.per_group, spec.seed)),
                source_sha256=found.source_sha256,
                licence=found.licence,
            )
        )
    return planned


def plan_raters(spec: RatingSpec) -> dict[str, Rater]:
    """Who rates ``toxicity`` and ``sentiment``; raises BadInput where a package is not installed."""
    named = {"toxicity": spec.toxicity, "sentiment": spec.sentiment}
    return {measure: rater_of(name) for measure, name in named.items() if name is not None}
