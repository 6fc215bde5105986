"""Unlearning in a run: one adapter per fold of template families, kept as it is finished."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.data.reference import ReferenceTexts, load_reference
from equiray.data.templates import Prompt, TemplateSet, build_prompts, load_templates
from equiray.mitigation.unlearning import unlearn
from equiray.runs.context import RunContext
from equiray.runs.directory import RunDirectory
from equiray.runs.intrinsic import Fold, training_folds
from equiray.specs.run import RunSpec

CURVE = "unlearning/curve.jsonl"


@dataclass(frozen=True, kw_only=True)
class UnlearningPlan:
    """Template families by fold, and the reference texts that hold the model in place."""

    templates: TemplateSet
    folds: tuple[Fold, ...]
    reference: ReferenceTexts

    def prompts(self, fold: int, part: str, attributes: tuple[str, ...]) -> list[Prompt]:
        """Prompts of one part (``train`` or ``validation``) of a fold, for all trained attributes."""
        chosen = self.templates.select(self.folds[fold][part])
        return [prompt for attribute in attributes for prompt in build_prompts(chosen, attribute)]


def plan_unlearning(spec: RunSpec) -> UnlearningPlan:
    """Read templates and reference texts and deal the families.

    Raises
    ------
    BadInput
        A template set or reference is absent, or has no targets for an attribute.
    """
    templates = load_templates(spec.unlearning.templates)
    for attribute in spec.unlearning.attributes:
        templates.pairs_of(attribute)
    reference, _ = load_reference(spec.unlearning.reference).split(spec.seed)
    return UnlearningPlan(templates=templates, folds=tuple(training_folds(spec, templates)), reference=reference)


def unlearn_folds(plan: UnlearningPlan, run: RunContext) -> tuple[Path, ...]:
    """Train what is not trained yet; the adapters' directories in fold order."""
    spec = run.spec.unlearning
    adapters = []
    for fold in range(len(plan.folds)):
        out = _fold_directory(run.directory, fold)
        with run.directory.step(f"unlearning, fold {fold + 1} of {len(plan.folds)}"):
            unlearn(  # a finished training is read back, another's is refused
                run.models.trainable(spec.dtype),
                plan.prompts(fold, "train", spec.attributes),
                plan.prompts(fold, "validation", spec.attributes),
                plan.templates.fillers,
                plan.reference,
                spec,
                out,
                seed=run.spec.seed + fold,
                fold=fold,
                say=run.directory.say,
            )
        adapters.append(out / "adapter")
    _join_curves(plan, run.directory)
    return tuple(adapters)


def _fold_directory(directory: RunDirectory, fold: int) -> Path:
    return directory.path / "unlearning" / f"fold{fold}"


def _join_curves(plan: UnlearningPlan, directory: RunDirectory) -> None:
    curves = [_fold_directory(directory, fold) / "curve.jsonl" for fold in range(len(plan.folds))]
    directory.write_text(CURVE, "".join(curve.read_text(encoding="utf-8") for curve in curves if curve.is_file()))


def unlearning_details(plan: UnlearningPlan, run: RunContext) -> dict[str, Any]:
    """What the report says about the training."""
    folds = [
        json.loads((_fold_directory(run.directory, fold) / "result.json").read_text())
        for fold in range(len(plan.folds))
    ]
    short = any(result["stopped_by"] == "time budget" for result in folds)
    return {
        "steps_done": sum(result["steps"] for result in folds),
        "seconds": round(sum(result["seconds"] for result in folds), 1),
        "label": "short run" if short else "full",
        "stopped_by": ", ".join(sorted({result["stopped_by"] for result in folds})),
        "settings": run.spec.unlearning.model_dump(mode="json"),
        "warnings": [f"fold {fold}: {text}" for fold, result in enumerate(folds) for text in result["warnings"]],
        "folds": len(folds),
    }
