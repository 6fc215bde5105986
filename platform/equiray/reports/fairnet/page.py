"""`write_fairnet_report`: the page of a FairNet run."""

from pathlib import Path

from equiray.reports.evidence import run_environment
from equiray.reports.fairnet import sections, summary
from equiray.reports.fairnet.facts import backbone_facts
from equiray.reports.fairnet.record import FairnetFile, load_fairnet
from equiray.reports.provenance import durations, made_by
from equiray.reports.run_directory import RunRecord, load_run
from equiray.reports.templating import template, write_page
from equiray.reports.words import count


def write_fairnet_report(run_dir: Path) -> Path:
    """Write the report of a finished FairNet run from the files in its directory.

    Parameters
    ----------
    run_dir : Path
        A directory with ``fairnet.json`` and ``results.json``; ``frontiers.json``, ``details.json`` and ``spec.yaml``
        enrich the report where they are.

    Returns
    -------
    Path
        ``run_dir / "report.html"``: no script, nothing loaded from elsewhere, the same bytes for the same run.

    Raises
    ------
    BadInput
        The directory or a file in it is absent, or does not follow its contract.
    Incomplete
        The run stopped before its results.
    """
    run = load_run(run_dir)
    return write_page(run_dir, render(run, load_fairnet(run_dir)))


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
