"""`write_model_card`: a run or an audit as a model card, in Markdown with Hugging Face's `model-index` on top.

Notable: every figure names where it stands in ``results.json`` (a JSON pointer, RFC 6901) and the card names that
file's sha256, so a reader can follow each number, and find out if either file was changed since.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from equiray.errors import writing
from equiray.metrics.estimates import Estimate
from equiray.reports.described import described_overview, load_described
from equiray.reports.evidence import run_environment
from equiray.reports.fairnet import FAIRNET_NAME, is_fairnet, load_fairnet
from equiray.reports.fairnet.card import (
    fairnet_changes,
    fairnet_methods,
    fairnet_trainings,
    fairnet_uses,
    fairnet_warnings,
)
from equiray.reports.fairnet.summary import overview
from equiray.reports.figures import INTRINSIC_METRICS, Figures, is_effect
from equiray.reports.fine_tuning import fine_tuning_warnings
from equiray.reports.key_figures import task_words
from equiray.reports.left_out import dropped_lines
from equiray.reports.likelihood import is_likelihood
from equiray.reports.markdown_parts import bullets, escaped, pipe_table
from equiray.reports.provenance import made_by
from equiray.reports.run_directory import RunRecord, TaskDetails
from equiray.reports.summary import write_summary
from equiray.reports.words import attribute_words, bracket, count, metric_words, model_words, number, stage_words

CARD_NAME = "model_card.md"
RESULTS = "results.json"

_USES = """The figures say how the systems named here decided on the test rows named here, with their uncertainty.
They do not say that a system is fair, lawful or fit for use: other people, another time or another threshold may give
other figures, and a disparity that could not be told from 0 may still be there. A system that decides about people
needs figures of those people, and somebody who answers for it."""

_USES_OF_TEXTS = """The figures say which of two texts the model finds likelier, for the sentences named here, with
their uncertainty. They are a leaning inside the model: how it decides, or what it writes, was not measured, and a
leaning that could not be told from none may still be there."""


class Figure(NamedTuple):
    """An estimate and where it stands: ``results.json#/estimates/12``."""

    estimate: Estimate
    source: str


def write_model_card(run_dir: Path) -> Path:
    """Write the model card of a finished run or audit; on the Hugging Face Hub it becomes ``README.md``.

    Write it before ``evidence.json``, which then records it too.

    Parameters
    ----------
    run_dir : Path
        A directory with ``results.json``; ``details.json``, ``spec.yaml`` and ``evidence.json`` enrich the card.

    Returns
    -------
    Path
        ``run_dir / "model_card.md"``: the same bytes for the same run in the same environment.

    Raises
    ------
    BadInput
        The directory or ``results.json`` is absent, or a file does not follow its contract.
    Incomplete
        The run stopped before its results, or the card cannot be written.
    """
    run = load_described(run_dir)
    path = run_dir / CARD_NAME
    draft = path.with_suffix(".md.part")
    with writing(path):
        draft.write_text(model_card(run), encoding="utf-8")
        draft.replace(path)
    return path


def model_card(run: RunRecord) -> str:
    """The card as text; what the run says in its own words is escaped."""
    figures = [Figure(e, f"{RESULTS}#/estimates/{i}") for i, e in enumerate(run.results.estimates)]
    fairnet = load_fairnet(run.path) if is_fairnet(run.path) else None
    indexed = [f for f in figures if f.estimate.stage == "fairnet"] if fairnet else figures
    metadata = {
        "library_name": "equiray",
        "tags": ["equiray", "fairness", "bias"],
        "model-index": [{"name": run.name, "results": _index(run, indexed)}],
    }
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
    told = overview(fairnet, run.frontiers) if fairnet else described_overview(run.path)
    told = told or write_summary(run, Figures(run.results.estimates))
    sections = (
        [f"# {escaped(run.name)}", *map(escaped, told)],
        _warnings(run, fairnet_warnings(fairnet) if fairnet else []),
        ["## Uses", _USES_OF_TEXTS if is_likelihood(run.path) else _USES, *(fairnet_uses(fairnet) if fairnet else [])],
        fairnet_methods(fairnet) if fairnet else [],
        _data(run),
        fairnet_changes(fairnet, _sha256(run.path / FAIRNET_NAME)) if fairnet else [],
        fairnet_trainings(fairnet, RESULTS, _sha256(run.path / RESULTS)) if fairnet else _figures(run, figures),
        _verdicts(run),
        _left_out(run, figures),
        _provenance(run),
    )
    return f"---\n{front}---\n\n" + "\n\n".join(part for section in sections for part in section) + "\n"


def _index(run: RunRecord, figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Levels over all groups, task by task; rates of single groups and paired changes stand in the tables below."""
    digest = _sha256(run.path / RESULTS)
    shown = [f for f in figures if f.estimate.value is not None and not f.estimate.group and not is_effect(f.estimate)]
    results = []
    for task in dict.fromkeys(f.estimate.task for f in shown):
        of_task = [f for f in shown if f.estimate.task == task]
        intrinsic = all(f.estimate.metric in INTRINSIC_METRICS for f in of_task)
        kind, name = (
            "text-generation" if intrinsic or is_likelihood(run.path) else "tabular-classification",
            task_words(run, task),
        )
        results.append(
            {
                "task": {"type": kind, "name": name},
                "dataset": {"type": task, "name": name} | _dataset(run.details.tasks.get(task)),
                "metrics": [_index_entry(f, digest) for f in of_task],
            }
        )
    return results


def _dataset(details: TaskDetails | None) -> dict[str, Any]:
    if details is None:  # template sets have no rows
        return {}
    split = {"split": "test"} if details.splits.get("test") else {}  # of undivided rows nobody knows which they are
    return split | ({"args": {"sha256": details.source_sha256}} if details.source_sha256 else {})


def _index_entry(figure: Figure, digest: str) -> dict[str, Any]:
    e = figure.estimate
    by = f" by {attribute_words(e.attribute)}" if e.attribute else ""
    kept = ("stage", "model", "attribute", "low", "high", "confidence", "n", "status", "direction")
    return {
        "type": e.metric,
        "name": f"{metric_words(e.metric).label}{by} ({model_words(e.model)}, {stage_words(e.stage)})",
        "value": e.value,
        "args": {key: getattr(e, key) for key in kept} | {"source": figure.source, "sha256": digest},
    }


def _warnings(run: RunRecord, more: Sequence[str]) -> list[str]:
    details = run.details
    found = [f"{task_words(run, task)}: {line}" for task, told in details.tasks.items() for line in told.warnings]
    found += [f"Unlearning: {line}" for line in (details.unlearning.warnings if details.unlearning else [])]
    found += [f"Fine-tuning: {line}" for line in fine_tuning_warnings(run)]
    if details.smoke:
        found.insert(0, "This is a smoke run: too small for conclusions about people.")
    if not details.tasks:
        found.append("The data are not described here: whether they have known defects is unknown to this card.")
    found = list(dict.fromkeys([*found, *more]))
    return ["## Warnings", bullets(found)] if found else []


def _data(run: RunRecord) -> list[str]:
    parts = ["## Data"] if run.details.tasks else []
    for task, details in run.details.tasks.items():
        parts += [f"### {escaped(task_words(run, task))}", bullets(_data_lines(details))]
    return parts


def _data_lines(details: TaskDetails) -> Iterable[str]:
    splits = ", ".join(f"{count(n)} {name}" for name, n in details.splits.items())
    named = {
        "Rows": None if details.rows is None else count(details.rows) + (f" ({splits})" if splits else ""),
        "Source": details.source,
        "Source sha256": details.source_sha256,
        "Licence": details.licence,
    }
    yield from (f"{name}: {value}" for name, value in named.items() if value)
    for attribute, groups in details.attributes.items():
        yield f"By {attribute_words(attribute)}: {', '.join(f'{group} {count(n)}' for group, n in groups.items())}"


def _figures(run: RunRecord, figures: Sequence[Figure]) -> list[str]:
    levels = sorted({f.estimate.confidence for f in figures})
    parts = [
        "## Figures",
        f"Brackets are {' and '.join(f'{level * 100:g} %' for level in levels)} intervals. `#/estimates/N` is the "
        f"place of a figure in `{RESULTS}` (sha256 `{_sha256(run.path / RESULTS)}`).",
    ]
    kinds: dict[str, Callable[[Estimate], bool]] = {
        "Over all groups": lambda e: e.group is None and not is_effect(e),
        "Paired changes on the same rows or prompts": lambda e: e.group is None and is_effect(e),
        "Single groups": lambda e: e.group is not None,
    }
    for task in dict.fromkeys(f.estimate.task for f in figures):
        parts.append(f"### {escaped(task_words(run, task))}")
        for title, belongs in kinds.items():
            rows = [_row(f) for f in figures if f.estimate.task == task and belongs(f.estimate)]
            if rows:
                columns = ("Model", "Stage", "Figure", "Of", "Value", "Interval", "n", "Better", "Status", "Source")
                parts += [f"#### {title}", pipe_table(columns, rows)]
    return parts if figures else []


def _row(figure: Figure) -> list[str]:
    e = figure.estimate
    whose = " = ".join(part for part in (attribute_words(e.attribute or ""), e.group) if part)
    better = {"lower": "lower", "higher": "higher", "zero": "near 0", "half": "near 0.5"}.get(e.direction, "–")
    words = (model_words(e.model), stage_words(e.stage), metric_words(e.metric).label, whose or "all rows")
    numbers = (number(e.value, e.metric), bracket(e), count(e.n), better, e.status.replace("_", " "))
    return [*map(escaped, (*words, *numbers)), f"`{figure.source.removeprefix(RESULTS)}`"]


def _verdicts(run: RunRecord) -> list[str]:
    rows = [
        [*map(escaped, (v.verdict, v.rule, v.reason)), f"`#/verdicts/{i}`"] for i, v in enumerate(run.results.verdicts)
    ]
    return ["## Verdicts", pipe_table(("Verdict", "Rule", "Why", "Source"), rows)] if rows else []


def _left_out(run: RunRecord, figures: Sequence[Figure]) -> list[str]:
    missing = sum(f.estimate.status == "not_estimable" for f in figures)
    lines = dropped_lines(run)
    if missing:
        lines.insert(0, f"{count(missing, 'figure')} not estimable: marked so above, never counted as 0")
    return ["## Left out", bullets(lines)] if lines else []


def _provenance(run: RunRecord) -> list[str]:
    sources = [name for name in (RESULTS, FAIRNET_NAME, "details.json", "spec.yaml") if (run.path / name).is_file()]
    rows = [[f"`{name}`", f"`{_sha256(run.path / name)}`"] for name in sources]
    return [
        "## Provenance",
        bullets(f"{fact.name}: {fact.value}" for fact in made_by(run, run_environment(run.path))),
        pipe_table(("Made from", "sha256"), rows),
        "`evidence.json`, kept beside this card, records the sha256 of every file of the run. If it records another "
        f"one for `{RESULTS}` than this card does, one of the two was changed since.",
    ]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
