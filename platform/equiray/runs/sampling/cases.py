"""What a spec's cases are: BBQ is split later, tables and texts come in the splits that they have everywhere."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

from equiray.data.cases.bbq import load_bbq
from equiray.data.cases.bbq_files import CATEGORIES
from equiray.data.cases.bias_in_bios import load_bias_in_bios
from equiray.data.cases.case_set import CaseSet, family_of
from equiray.data.cases.civil_comments import load_civil_comments
from equiray.data.cases.decisions import decision_cases
from equiray.data.importance import feature_importance
from equiray.data.tasks.load import load_task
from equiray.data.text import CountTokens, Serializer
from equiray.errors import BadInput
from equiray.specs.generation import CasesSpec
from equiray.specs.run import SerializationSpec, TaskSpec

TEXTS = ("bias_in_bios", "civil_comments")
"""Data sets of texts in splits that their authors made."""


def load_bbq_cases(spec: CasesSpec, *, only: Collection[str] = CATEGORIES) -> CaseSet:
    """Questions of BBQ, stratified by category and context.

    Families are those of the whole benchmark, whichever categories are asked for, so that a question never counts as
    unseen because its other category was not loaded.

    Parameters
    ----------
    spec : CasesSpec
        Where it names no `categories`, it asks for `only`.

    Raises
    ------
    BadInput
        A category or file is absent, or there are fewer questions than asked for.
    """
    unknown = sorted(set(spec.categories) - set(CATEGORIES))
    if unknown:
        fix = f"name some of: {', '.join(CATEGORIES)}"
        raise BadInput(f"BBQ has no category {unknown[0]!r}", place="cases.categories", fix=fix)
    found = _whole_bbq(spec.path).of_categories(spec.categories or only)
    return found if spec.items is None else found.sample(spec.items, spec.seed)


def open_families(spec: CasesSpec, categories: Collection[str]) -> frozenset[str]:
    """Questions that stand in some categories of BBQ, whether they are sampled or not."""
    return frozenset(family_of(case) for case in _whole_bbq(spec.path).cases if case.category in categories)


@lru_cache(maxsize=1)
def _whole_bbq(path: str | None) -> CaseSet:
    return load_bbq(folder=None if path is None else Path(path))


def load_decisions(spec: CasesSpec, splits: Collection[str], count_tokens: CountTokens) -> Mapping[str, CaseSet]:
    """Decisions about a table's rows, a set for each split; `items` of each.

    Raises
    ------
    BadInput
        The table cannot be read, an attribute is not declared, or a split has fewer rows than asked for.
    """
    named = TaskSpec(name=spec.dataset, attributes=spec.attributes)
    task = load_task(named, spec.seed)
    attributes = spec.attributes or tuple(attribute.name for attribute in task.schema.sensitive)
    texts = SerializationSpec()
    serializer = Serializer.fit(
        task,
        template=texts.template,
        order=feature_importance(task, seed=spec.seed).order,
        max_tokens=texts.max_tokens,
        count_tokens=count_tokens,
    )
    found = {}
    for split in splits:
        cases = decision_cases(task, serializer, attributes, split=split)
        found[split] = cases if spec.items is None else cases.sample(spec.items, spec.seed)
    return found


def load_texts(spec: CasesSpec) -> Mapping[str, CaseSet]:
    """Biographies or comments, a set for validation and one for test; `items` of each, groups of `attributes` alike.

    Raises
    ------
    BadInput
        A file is absent or not in the official format, or a split has fewer texts than asked for.
    """
    folder = None if spec.path is None else Path(spec.path)
    if spec.dataset == "bias_in_bios":
        found = {
            "validation": load_bias_in_bios("dev", folder=folder),
            "test": load_bias_in_bios("test", folder=folder),
        }
    else:
        found = {
            "validation": load_civil_comments("val", folder=folder),
            "test": load_civil_comments("test", folder=folder),
        }
    if spec.items is None:
        return found
    return {side: cases.sample(spec.items, spec.seed, by=spec.attributes) for side, cases in found.items()}
