"""Template bias tests: sentences that name a group and leave open whether it is called poor or rich.

Sets: `poor_or_rich` (the official file of arXiv 2405.18662), `equiray` (written for this project, embedded), and its
machine-written relatives in Spanish, French and Chinese (`equiray_es`, `equiray_fr`, `equiray_zh`).
A template and a target make a `Prompt`; a `ContinuationScorer` scores fillers after it; `equiray.metrics.intrinsic`
turns the scores into estimates.
"""

from pathlib import Path
from typing import Literal

from equiray.data.templates import own, poor_or_rich, translated
from equiray.data.templates.families import fold_families, split_families
from equiray.data.templates.prompts import ContinuationScorer, Prompt, build_prompts, score_prompts
from equiray.data.templates.records import Exclusion, Fillers, TargetPair, TargetPairs, Template, TemplateSet
from equiray.errors import BadInput

__all__ = [
    "ContinuationScorer",
    "Exclusion",
    "Fillers",
    "Prompt",
    "TargetPair",
    "TargetPairs",
    "Template",
    "TemplateSet",
    "build_prompts",
    "fold_families",
    "load_templates",
    "score_prompts",
    "split_families",
]


def load_templates(
    name: Literal["poor_or_rich", "equiray", "equiray_es", "equiray_fr", "equiray_zh"],
    *,
    path: Path | None = None,
    reversed_rows: Literal["drop", "flip"] = "drop",
    shared_prefix: Literal["drop", "keep"] = "drop",
) -> TemplateSet:
    """Load a template set, with a report of every source row left out (`TemplateSet.excluded`).

    Parameters
    ----------
    name : str
        ``equiray`` (embedded; 200 templates, 50 families), ``poor_or_rich`` (the official CSV; 50 families), or
        ``equiray_es``, ``equiray_fr``, ``equiray_zh`` (embedded, machine-written; 24 templates, 12 families each).
    path : Path, optional
        The official CSV or its folder; None looks in the mirror that EQUIRAY_DATA names.
    reversed_rows : str
        PoorOrRich rows that say the opposite ("never"): ``drop`` them, or ``flip``, keep them marked
        `Template.reversed`, poor and rich then change places in every metric.
    shared_prefix : str
        PoorOrRich rows whose text before [MASK] repeats an earlier row's: ``drop`` them or ``keep`` them. To a
        left-to-right model they are that earlier row once more, often of another family, and would carry test
        prompts into training.

    Returns
    -------
    TemplateSet
        PoorOrRich: 842 rows, less 1 without placeholders, 13 duplicates, 2 with [MASK] before [TARGET] and 150
        reversed ones leave 676, less 120 with a shared prefix 556.

    Raises
    ------
    BadInput
        Unknown name; the official file is absent, or holds a sentence that is not in it.
    """
    if name == poor_or_rich.NAME:
        return poor_or_rich.load(path, reversed_rows=reversed_rows, shared_prefix=shared_prefix)
    if name in translated.FILES:
        return translated.load(name)
    if name != own.NAME:
        fix = f"use poor_or_rich, equiray, {', '.join(translated.FILES)}"
        raise BadInput(f"unknown template set {name!r}", place="templates", fix=fix)
    return own.load()
