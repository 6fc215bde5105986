"""`render`: the page of a run of chains."""

from equiray.reports.chains import sections, summary
from equiray.reports.chains.record import ChainsFile
from equiray.reports.evidence import run_environment
from equiray.reports.provenance import durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.templating import template
from equiray.reports.words import count


def render(run: RunRecord, document: ChainsFile) -> str:
    """The page as text; every string of the run is escaped."""
    return template("chains.html.j2").render(
        run=run,
        summary=summary.overview(document),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        verdicts=run.results.verdicts,
        note=sections.reader_note(document),
        tasks=sections.task_sections(document),
        methods=sections.method_facts(document),
        made=[*sections.reward_facts(document), *made_by(run, run_environment(run.path))],
        durations=durations(run),
        read_from="chains.json and results.json",
        count=count,
    )
