"""The report's sections as plain records, ready for the template: which tables, panels and lists each one holds."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from equiray.reports.audit_tables import DISPARITY_CAPTION, disparity_table, headline
from equiray.reports.comparison import (
    ATTRIBUTE_CAPTION,
    CAPTION,
    GROUPS_CAPTION,
    comparison_panels,
    comparison_table,
    groups_table,
)
from equiray.reports.curves import Chart, charts_of
from equiray.reports.figures import DISPARITIES, INTRINSIC_METRICS, QUALITIES, SIGNED_GAP, Figures
from equiray.reports.frontier_sections import FrontierSection, frontier_section
from equiray.reports.key_figures import task_words
from equiray.reports.panels import Panel, panels_of
from equiray.reports.provenance import Fact
from equiray.reports.run_directory import RunRecord
from equiray.reports.run_tables import full_table, group_changes, shown_of_groups
from equiray.reports.tables import MOST_GROUPS, Table, group_table, intrinsic_table, paper_table
from equiray.reports.words import (
    attribute_words,
    bracket,
    count,
    duration,
    enumerate_words,
    metric_words,
    model_words,
    number,
    setting_words,
    stage_words,
)

_PAPER_CAPTION = (
    "Test rows. ▲ or ▼ marks a figure clearly higher or lower than at the baseline of the same model (paired); blue is "
    "better, orange worse."
)
_RATES_CAPTION = (
    "“of” counts the rows a rate is taken over: all rows of the group for the selection rate, its positive rows for "
    "TPR, its negative rows for FPR, its selected rows for precision."
)


_LONG = 4
"""An attribute's section fills about a screen, with frontiers three; from more than so many on, those after the first
are folded."""


@dataclass(frozen=True, kw_only=True)
class IntrinsicSection:
    title: str
    caption: str
    table: Table
    panels: list[Panel]


@dataclass(frozen=True, kw_only=True)
class AttributeSection:
    name: str
    headline: str
    sizes: list[Fact]
    table: Table | None
    caption: str
    levels: list[Panel]
    effects: list[Panel]
    frontiers: FrontierSection | None
    groups: Table | None
    groups_caption: str
    unshown: str
    group_changes: Table | None
    full: Table | None


@dataclass(frozen=True, kw_only=True)
class TaskSection:
    anchor: str
    title: str
    facts: list[Fact]
    warnings: list[str]
    table: Table | None
    caption: str
    levels: list[Panel]
    effects: list[Panel]
    full: Table | None
    attributes: list[AttributeSection]

    @property
    def is_long(self) -> bool:
        """Whether its attributes would fill more than `_LONG` screens."""
        return sum(3 if section.frontiers else 1 for section in self.attributes) > _LONG


@dataclass(frozen=True, kw_only=True)
class UnlearningSection:
    label: str
    facts: list[Fact]
    warnings: list[str]
    charts: list[Chart]
    n_folds: int


def intrinsic_sections(run: RunRecord, figures: Figures) -> list[IntrinsicSection]:
    """One section for each template set."""
    sections, gaps = [], [m for m in INTRINSIC_METRICS if m.startswith("intrinsic_gap") and m != SIGNED_GAP]
    for templates in figures.intrinsic_sets():
        table = intrinsic_table(figures, templates)
        panels = [
            replace(panel, title=f"{panel.title}, {attribute_words(attribute)}")
            for attribute in figures.attributes(templates)
            # The signed gap is much the smallest: on the axis of the others its dots would all sit at 0.
            for metrics in (gaps, [SIGNED_GAP])
            for panel in panels_of(figures, templates, metrics, attribute, effects=False)
        ]
        if table:
            title, caption = task_words(run, templates), _intrinsic_caption(run, templates)
            sections.append(IntrinsicSection(title=title, caption=caption, table=table, panels=panels))
    return sections


def _intrinsic_caption(run: RunRecord, templates: str) -> str:
    sizes = sorted({len(families) for (name, _), families in run.families.items() if name == templates})
    # Attributes may have sets of their own; one number would then be wrong for some of the rows.
    known = f" ({sizes[0]} {'family' if sizes[0] == 1 else 'families'})" if len(sizes) == 1 else ""
    clustered = f"with intervals clustered by template family{known}, those of perplexity by text"
    return f"Before, after and the paired change, {clustered}."


def task_sections(run: RunRecord, figures: Figures) -> list[TaskSection]:
    """One section for each task."""
    return [_task_section(run, figures, task, i) for i, task in enumerate(figures.decision_tasks(), start=1)]


def _task_section(run: RunRecord, figures: Figures, task: str, position: int) -> TaskSection:
    details = run.details.tasks.get(task)
    facts = []
    if details:
        if details.rows is not None:
            splits = ", ".join(f"{count(n)} {name}" for name, n in details.splits.items())
            facts.append(Fact("Rows", count(details.rows) + (f" ({splits})" if splits else "")))
        named = (("Source", details.source), ("Licence", details.licence), ("Source sha256", details.source_sha256))
        facts += [Fact(name, value) for name, value in named if value]
    table = comparison_table(figures, task, None) if figures.is_comparison(task) else None
    return TaskSection(
        anchor=f"task-{position}",
        title=task_words(run, task),
        facts=facts,
        warnings=list(details.warnings) if details else [],
        table=table,
        caption=CAPTION,
        levels=[] if table else panels_of(figures, task, QUALITIES, None, effects=False),
        effects=[] if table else panels_of(figures, task, QUALITIES, None, effects=True),
        full=None if table else full_table(figures, task, None, details),
        attributes=[_attribute_section(run, figures, task, a) for a in figures.attributes(task)],
    )


def _attribute_section(run: RunRecord, figures: Figures, task: str, attribute: str) -> AttributeSection:
    details = run.details.tasks.get(task)
    sizes = details.attributes.get(attribute, {}) if details else {}
    shown = shown_of_groups(figures, task, attribute)
    section = AttributeSection(
        name=attribute_words(attribute),
        headline=headline(figures, task, attribute),
        sizes=[Fact(group, count(n)) for group, n in list(sizes.items())[:MOST_GROUPS]],
        table=paper_table(figures, task, attribute),
        caption=_PAPER_CAPTION,
        levels=panels_of(figures, task, DISPARITIES, attribute, effects=False),
        effects=panels_of(figures, task, DISPARITIES, attribute, effects=True),
        frontiers=frontier_section(run.frontiers, figures, task, attribute),
        full=full_table(figures, task, attribute, details),
        groups=group_table(figures, task, attribute, metrics=shown),
        groups_caption=_RATES_CAPTION,
        unshown=_unshown(figures.group_metrics(task, attribute), shown),
        group_changes=group_changes(figures, task, attribute, shown),
    )
    if figures.is_audit(task):
        at_equality = details.at_equality.get(attribute) if details else None
        table = disparity_table(figures, task, attribute, at_equality)
        every_rate = group_table(figures, task, attribute)
        return replace(section, table=table, caption=DISPARITY_CAPTION, full=None, groups=every_rate, unshown="")
    if figures.is_comparison(task):
        return replace(
            section,
            table=comparison_table(figures, task, attribute),
            caption=ATTRIBUTE_CAPTION,
            levels=comparison_panels(figures, task, attribute),
            effects=[],
            groups=groups_table(figures, task, attribute),
            groups_caption=GROUPS_CAPTION,
            full=None,
            group_changes=None,
            unshown="",
        )
    return section


def _unshown(metrics: Sequence[str], shown: Container[str]) -> str:
    """What the results hold of single groups beside the table."""
    names = [metric_words(metric).label for metric in metrics if metric not in shown]
    return f"Of each group, results.json also holds: {enumerate_words(names)}." if names else ""


def unlearning_section(run: RunRecord) -> UnlearningSection | None:
    """None where the run did not unlearn."""
    details = run.details.unlearning
    if details is None and not run.curve:
        return None
    facts = []
    if details:
        known = (
            ("Steps", None if details.steps_done is None else count(details.steps_done)),
            ("Time", None if details.seconds is None else duration(details.seconds)),
            ("Stopped by", details.stopped_by),
        )
        facts = [Fact(name, value) for name, value in known if value]
        facts += [Fact(key.replace("_", " "), setting_words(value)) for key, value in details.settings.items()]
    folds = {step.get("fold") or 0 for step in run.curve}
    return UnlearningSection(
        label=details.label or "" if details else "",
        facts=facts,
        warnings=list(details.warnings) if details else [],
        charts=charts_of(run.curve),
        n_folds=max(len(folds), details.folds or 1 if details else 1),
    )


def other_figures(run: RunRecord, figures: Figures) -> list[Fact]:
    """Estimates that no other section shows or names, so that none is lost: those of a group of no attribute."""
    lines = []
    for e in figures.all:
        if e.group is not None and e.attribute is None and e.metric not in INTRINSIC_METRICS:
            where = [task_words(run, e.task), stage_words(e.stage), model_words(e.model), e.group]
            name = " · ".join(where) + f": {metric_words(e.metric).label}"
            lines.append(Fact(name, f"{number(e.value, e.metric)} {bracket(e)}".strip()))
    return lines
