"""The sections of a chains page, one a data set, in the order in which a reader asks."""

from dataclasses import dataclass

from equiray.reports.chains.charts import frontier_charts, unfair_figure
from equiray.reports.chains.names import METHODS, figure_limits, method_words
from equiray.reports.chains.parts import ChainCounts
from equiray.reports.chains.record import ChainsFile, ChainsTask, Check
from equiray.reports.chains.steps import ChainMap, chain_maps
from equiray.reports.chains.summary import answer, choice_words, headline_attribute
from equiray.reports.chains.tables import (
    bound_table,
    change_panels,
    grid_table,
    group_table,
    methods_table,
    outcome_table,
    stopping_table,
    table_attributes,
)
from equiray.reports.panels import Panel
from equiray.reports.planes import PlaneChart
from equiray.reports.provenance import Fact
from equiray.reports.tables import Table
from equiray.reports.words import attribute_words, count, metric_words, number


@dataclass(frozen=True, kw_only=True)
class AttributeSection:
    """Methods and groups by one attribute (of BBQ all questions, or a category)."""

    title: str
    methods: Table | None
    panels: list[Panel]
    groups: Table | None


@dataclass(frozen=True, kw_only=True)
class TaskSection:
    """All that is shown of a data set; the first of `attributes` stands open, the others are folded."""

    anchor: str
    title: str
    answer: str
    facts: list[Fact]
    choice: list[str]
    attributes: list[AttributeSection]
    frontiers: list[PlaneChart]
    grids: list[Table]
    chains: list[ChainMap]
    outcomes: Table
    categories: Table
    bounds: list[tuple[str, Table]]
    stopping: Table | None
    length: str
    warnings: list[str]


def task_sections(document: ChainsFile) -> list[TaskSection]:
    """In the order of the document."""
    return [_section(document, task, place) for place, task in enumerate(document.tasks, start=1)]


def _section(document: ChainsFile, task: ChainsTask, place: int) -> TaskSection:
    sides = {"Test": task.sides.test, "Validation": task.sides.validation}
    said = answer(document, task)
    return TaskSection(
        anchor=f"task-{place}",
        title=task.title,
        answer=said[:1].upper() + said[1:],
        facts=_facts(task),
        choice=_choice(task),
        attributes=[
            AttributeSection(
                title=attribute_words(attribute),
                methods=methods_table(document, task, attribute),
                panels=change_panels(document, task, attribute),
                groups=group_table(document, task, attribute),
            )
            for attribute in _ordered_attributes(task)
        ],
        frontiers=frontier_charts(task),
        grids=_grids(task),
        chains=chain_maps(task.heat_map),
        outcomes=outcome_table({name: side.by_group for name, side in sides.items()}),
        categories=outcome_table({name: side.by_category for name, side in sides.items()}),
        bounds=[(attribute_words(name), bound_table(of)) for name, of in task.bounds.items()],
        stopping=stopping_table(task),
        length=_length(task),
        warnings=task.warnings,
    )


def _ordered_attributes(task: ChainsTask) -> list[str]:
    first = headline_attribute(task)
    return sorted(table_attributes(task), key=lambda name: name != first)


def _facts(task: ChainsTask) -> list[Fact]:
    return [
        Fact("Engine", task.model),
        Fact("Test", _side_words(task.sides.test)),
        Fact("Validation", _side_words(task.sides.validation)),
        Fact("Left out", f"{count(task.left_out, 'case')}, whose question trained the reward model"),
        Fact("Licence", task.licence),
        Fact("Source sha256", task.source_sha256),
    ]


def _side_words(side: ChainCounts) -> str:
    said = f"{count(side.cases, 'case')}, {count(side.chains, 'chain')}, {count(side.steps, 'step')}"
    said += f", {count(side.tokens, 'token')}; {count(side.outcomes.unparsed)} chains unparsed, "
    said += f"{count(side.outcomes.refused)} refused, {count(side.cut)} out of tokens"
    return said + (f", {count(side.only_answer)} with nothing but an answer" if side.only_answer else "")


def _choice(task: ChainsTask) -> list[str]:
    choice = task.choice
    words = choice_words(task)
    why = f": {choice.reason}" if choice.chosen else ""
    lines = [f"{words[:1].upper()}{words[1:]}{why}."]
    out = "; ".join(f"{count(n)} broke “{rule}”" for rule, n in choice.excluded.items())
    lines.append(
        f"{count(choice.feasible)} of {count(choice.candidates)} points keep the policy"
        + (f" ({out})." if out else ".")
    )
    return lines + [_check_words(check) for check in choice.checks]


def _check_words(check: Check) -> str:
    limit = f"at {check.side} {number(check.bound)}"
    figure = figure_limits(check.value, check.low, check.high)
    return f"{metric_words(check.metric).label} against majority, {limit} asked for: {figure} on validation cases."


def _grids(task: ChainsTask) -> list[Table]:
    grid = task.grid("test", headline_attribute(task))
    if grid is None:
        return []
    unfair = unfair_figure(grid)
    return [grid_table(grid, name) for name in (unfair, "share_right", "unanswered") if name and name in grid.figures]


def _length(task: ChainsTask) -> str:
    found = task.length_effect
    if found.value is None:
        return "Not estimable: within no case do chains differ in their number of steps."
    reading = "INCONCLUSIVE whether longer chains score otherwise"
    if found.low is not None and found.high is not None and not found.low <= 0 <= found.high:
        reading = "longer chains score higher" if found.value > 0 else "longer chains score lower"
    figure = figure_limits(found.value, found.low, found.high)
    what = f"Rank correlation of a chain’s score with its number of steps, within {count(found.cases, 'case')}"
    return f"{what}: {figure}; {reading}."


def method_facts(document: ChainsFile) -> list[Fact]:
    """What each method of the run is."""
    return [Fact(method_words(m), METHODS[m][1]) for m in document.methods if m in METHODS]


def reward_facts(document: ChainsFile) -> list[Fact]:
    """What scored the chains, and how good it was on categories that it never saw."""
    of = document.reward_model
    facts = [
        Fact(
            "Reward model",
            f"{of.name}{' (smoke)' if of.smoke else ''}: {of.process.base}, steps read {of.process.reading}",
        ),
        Fact("Step labels", f"judge {of.judge}"),
        Fact("Learnt", ", ".join(of.learnt)),
        Fact("Held out", ", ".join(of.held_out)),
        Fact("Weights sha256", of.process.weights_sha256),
    ]
    for e in of.step_auc:
        if e.model == "reward_model":
            facts.insert(1, Fact(f"Step AUC, {e.stage}", figure_limits(e.value, e.low, e.high)))
    decision = document.decision
    facts.append(
        Fact("Chain score", f"{decision.get('aggregate')} of its steps, step weights {decision.get('step_weights')}")
    )
    return facts


def reader_note(document: ChainsFile) -> str:
    """How changes are to be read."""
    levels = sorted({e.confidence for task in document.tasks for e in task.estimates})
    words = " and ".join(f"{100 * level:g} %" for level in levels)
    return (
        f"Brackets and bars are {words} intervals. A change is paired: the same test cases under both methods, as many "
        "chains, but for the single chain. Where its interval holds 0 it says INCONCLUSIVE, whatever the figure is."
    )
