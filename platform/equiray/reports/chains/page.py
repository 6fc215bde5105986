"""`write_chains_report`: the page of a run of chains."""

from pathlib import Path

from equiray.reports.chains import sections, summary
from equiray.reports.chains.record import ChainsFile, load_chains
from equiray.reports.described import load_described
from equiray.reports.evidence import run_environment
from equiray.reports.provenance import durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.templating import template, write_page
from equiray.reports.words import count


def write_chains_report(run_dir: Path) -> Path:
    """Write the report of a finished run of chains from the files in its directory.

    Parameters
    ----------
    run_dir : Path
        A directory with ``chains.json`` and ``results.json``; ``spec.yaml`` enriches the report where it is.

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
    return write_page(run_dir, render(load_described(run_dir), load_chains(run_dir)))


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
