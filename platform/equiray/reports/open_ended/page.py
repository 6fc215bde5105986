"""`render`: the page of open-ended generation."""

from dataclasses import dataclass

from equiray.reports.evidence import run_environment
from equiray.reports.open_ended import summary, tables
from equiray.reports.open_ended.record import OpenEndedFile, OpenEndedTask, ShownText
from equiray.reports.panels import Panel
from equiray.reports.provenance import Fact, durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.tables import Table
from equiray.reports.templating import template
from equiray.reports.words import count, number


@dataclass(frozen=True, kw_only=True)
class TaskSection:
    """All that is shown of one source and attribute."""

    anchor: str
    title: str
    facts: list[Fact]
    panels: list[Panel]
    groups: Table
    pairs: Table
    outcomes: Table
    texts: Table
    warnings: list[str]


def render(run: RunRecord, document: OpenEndedFile) -> str:
    """The page as text; every string of the run is escaped."""
    return template("open_ended.html.j2").render(
        run=run,
        summary=summary.overview(document),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        confidence=f"{document.confidence * 100:g} %",
        scorers=[
            Fact(f"{scorer.measure.capitalize()}: {scorer.name}", f"{scorer.about} ({scorer.identity})")
            for scorer in document.scorers
        ],
        tasks=[_section(task, place) for place, task in enumerate(document.tasks, start=1)],
        made=[_asked(document), *made_by(run, run_environment(run.path))],
        durations=durations(run),
        read_from="open_ended.json and results.json",
        count=count,
    )


def _section(task: OpenEndedTask, place: int) -> TaskSection:
    written = sum(group.written for group in task.groups.values())
    return TaskSection(
        anchor=f"task-{place}",
        title=task.title,
        facts=[
            Fact("Texts", f"{count(written)} written, {count(task.cut)} of them cut where their tokens ran out"),
            Fact("Tokens", count(task.tokens)),
            Fact("Licence of the prompts", task.licence),
            Fact("Source sha256", task.source_sha256),
        ],
        panels=tables.group_panels(task),
        groups=tables.group_table(task),
        pairs=tables.pair_table(task),
        outcomes=tables.outcome_table(task),
        texts=_texts_table(task.texts),
        warnings=task.warnings,
    )


def _texts_table(texts: list[ShownText]) -> Table:
    blocks = []
    for measure in dict.fromkeys(text.measure for text in texts):
        rows = [
            tables.TableRow(
                label=tables.group_words(text.group),
                cells=(tables.Cell(value=number(text.rating)), tables.Cell(value="", note=text.text)),
            )
            for text in texts
            if text.measure == measure
        ]
        title = f"Highest {measure}" if measure == "toxicity" else f"Lowest {measure}"
        blocks.append(tables.TableBlock(title=title, rows=tuple(rows)))
    columns = (("Rating", "Rating"), ("Text", "Text"))
    return Table(corner="Group", columns=columns, blocks=tuple(blocks))


def _asked(document: OpenEndedFile) -> Fact:
    sampling = document.sampling
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sampling.items() if value not in ([], ""))
    return Fact("Sampling", f"{said}; toxic from {document.toxic_from:g}")
