"""`render`: the page of a FairNet run."""

from equiray.reports.evidence import run_environment
from equiray.reports.fairnet import sections, summary
from equiray.reports.fairnet.facts import backbone_facts
from equiray.reports.fairnet.record import FairnetFile
from equiray.reports.provenance import durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.templating import template
from equiray.reports.words import count


def render(run: RunRecord, document: FairnetFile) -> str:
    """The page as text; every string of the run is escaped."""
    return template("fairnet.html.j2").render(
        run=run,
        document=document,
        summary=summary.overview(document, run.frontiers),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        tasks=sections.task_sections(document, run.frontiers),
        made=[*backbone_facts(document), *made_by(run, run_environment(run.path))],
        durations=durations(run),
        read_from="fairnet.json and frontiers.json" if run.frontiers else "fairnet.json",
        count=count,
    )
