"""Which open-ended prompts a run uses: as many of each group, the same families for all groups wherever they can be."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from equiray.data.cases.open_ended import OpenPrompt, OpenPrompts
from equiray.errors import BadInput

LANGUAGE = "en"
"""What the scorers and the lists of groups' words read."""


def groups_of(prompts: OpenPrompts, attribute: str) -> Mapping[str, int]:
    """English prompts of each group.

    Raises
    ------
    BadInput
        No English prompt of the source has such an attribute.
    """
    found = Counter(p.groups[attribute] for p in prompts.prompts if p.language == LANGUAGE and attribute in p.groups)
    if not found:
        known = dict.fromkeys(name for p in prompts.prompts if p.language == LANGUAGE for name in p.groups)
        raise BadInput(
            f"{prompts.source} has no attribute {attribute!r}",
            place="prompts.attribute",
            fix=f"one of: {', '.join(known)}",
        )
    return found


def sample_prompts(
    prompts: OpenPrompts, attribute: str, groups: Sequence[str], per_group: int | None, seed: int
) -> list[OpenPrompt]:
    """`per_group` English prompts of each of the groups, group by group; all of them where it is None.

    Families that most of the groups share come first, and of these one prompt of each before a second one, so that
    groups are compared by the same sentences where a source has them, and by as many entities as there are where not.

    Raises
    ------
    BadInput
        There is no such attribute or group, or a group has fewer prompts than asked for.
    """
    available = groups_of(prompts, attribute)
    unknown = [group for group in groups if group not in available]
    if unknown:
        raise BadInput(
            f"{prompts.source} has no group {unknown[0]!r} of {attribute}",
            place="prompts.groups",
            fix=f"some of: {', '.join(available)}",
        )
    short = {group: available[group] for group in groups if per_group is not None and available[group] < per_group}
    if short:
        group, least = min(short.items(), key=lambda pair: pair[1])
        raise BadInput(
            f"{prompts.source} has {least} English prompts of {attribute} {group!r}, not {per_group}",
            place="prompts.per_group",
            fix=f"ask for at most {least}, or name other `groups`",
        )
    by_family: dict[str, dict[str, list[OpenPrompt]]] = defaultdict(lambda: defaultdict(list))
    for prompt in prompts.prompts:
        if prompt.language == LANGUAGE and prompt.groups.get(attribute) in groups:
            by_family[prompt.family][prompt.groups[attribute]].append(prompt)
    chosen = []
    for group in groups:
        ranked = [
            (-len(of), rank, _draw(seed, family), prompt)
            for family, of in by_family.items()
            for rank, prompt in enumerate(_shuffled(of[group], seed, family) if group in of else ())
        ]
        ranked.sort(key=lambda each: each[:3])
        chosen += [prompt for *_, prompt in ranked[:per_group]]
    return chosen


def _shuffled(prompts: list[OpenPrompt], seed: int, family: str) -> list[OpenPrompt]:
    """By place within family and group: the first of one group goes with the first of another."""
    return [prompts[place] for place in sorted(range(len(prompts)), key=lambda at: _draw(seed, f"{family} {at}"))]


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"prompts:{seed}:{name}".encode()).digest()
