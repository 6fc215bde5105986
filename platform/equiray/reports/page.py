"""`write_report`: one HTML file that opens offline, on a phone, in the dark and on paper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from equiray.reports import left_out, sections
from equiray.reports.chains import is_chains, load_chains
from equiray.reports.chains.page import render as render_chains
from equiray.reports.comparison import comparison_note
from equiray.reports.described import load_described
from equiray.reports.evidence import run_environment
from equiray.reports.fairnet import is_fairnet, load_fairnet
from equiray.reports.fairnet.page import render as render_fairnet
from equiray.reports.figures import Figures
from equiray.reports.fine_tuning import CAPTION, fine_tuning_section, is_short
from equiray.reports.key_figures import key_figures
from equiray.reports.likelihood import is_likelihood, load_likelihood
from equiray.reports.likelihood.page import render as render_likelihood
from equiray.reports.open_ended import is_open_ended, load_open_ended
from equiray.reports.open_ended.page import render as render_open_ended
from equiray.reports.provenance import durations, made_by
from equiray.reports.reward import is_reward, load_reward
from equiray.reports.reward.page import render as render_reward
from equiray.reports.run_directory import RunRecord, load_run
from equiray.reports.run_tables import FULL_CAPTION
from equiray.reports.search import is_search, load_search
from equiray.reports.search.page import render as render_search
from equiray.reports.summary import write_summary
from equiray.reports.templating import template, write_page
from equiray.reports.words import count

# How a run of each kind is told by what it left, its document read, and its page made; an evaluation is none of them.
_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Any], Callable[[RunRecord, Any], str]], ...] = (
    (is_fairnet, load_fairnet, render_fairnet),
    (is_chains, load_chains, render_chains),
    (is_open_ended, load_open_ended, render_open_ended),
    (is_reward, load_reward, render_reward),
    (is_likelihood, load_likelihood, render_likelihood),
    (is_search, load_search, render_search),
)


def write_report(run_dir: Path) -> Path:
    """Write the report of a finished run from the files in its directory.

    Parameters
    ----------
    run_dir : Path
        A directory with ``results.json`` and, of any kind but an evaluation, its own document (``fairnet.json``,
        ``chains.json``, ...); ``details.json``, ``unlearning/curve.jsonl``, ``predictions/*.parquet`` and
        ``spec.yaml`` enrich the report where they are.

    Returns
    -------
    Path
        ``run_dir / "report.html"``: no script, nothing loaded from elsewhere, the same bytes for the same run.

    Raises
    ------
    BadInput
        The directory or ``results.json`` is absent, or a file does not follow its contract.
    Incomplete
        The run stopped before its results.
    """
    for is_kind, load, render_kind in _KINDS:
        if is_kind(run_dir):
            return write_page(run_dir, render_kind(load_described(run_dir), load(run_dir)))
    run = load_run(run_dir)
    return write_page(run_dir, render(run))


def render(run: RunRecord) -> str:
    """The page as text; every string of the run is escaped."""
    figures = Figures(run.results.estimates)
    return template("report.html.j2").render(
        run=run,
        summary=write_summary(run, figures),
        tiles=key_figures(run, figures),
        verdicts=run.results.verdicts,
        intrinsic=sections.intrinsic_sections(run, figures),
        tasks=sections.task_sections(run, figures),
        unlearning=sections.unlearning_section(run),
        fine_tuning=fine_tuning_section(run),
        fine_tuning_caption=CAPTION,
        dropped=left_out.dropped_lines(run),
        not_estimable=left_out.not_estimable_lines(run, figures),
        others=sections.other_figures(run, figures),
        made=made_by(run, run_environment(run.path)),
        durations=durations(run),
        note=_note(run, figures),
        full_caption=FULL_CAPTION,
        badges=_badges(run, figures),
        count=count,
    )


def _note(run: RunRecord, figures: Figures) -> str:
    """How the figures are to be read, empty where there are none."""
    if any(figures.is_comparison(task) for task in figures.decision_tasks()):
        return comparison_note(run, figures)
    levels = " and ".join(f"{level * 100:g} %" for level in sorted({e.confidence for e in figures.all}))
    return levels and (
        f"Brackets and bars are {levels} intervals. A change between two stages is measured on the same rows or "
        "prompts, and is called clear only where its interval excludes 0. A difference between groups is never "
        "negative, so chance alone lifts it a little above 0: read the lower end of its interval with care."
    )


def _badges(run: RunRecord, figures: Figures) -> list[str]:
    label = run.details.unlearning.label if run.details.unlearning else None
    short = label == "short run" or is_short(run.details.fine_tuning)
    shown = {"smoke": run.details.smoke, "short run": short, "inversion": bool(figures.inversions())}
    return [badge for badge, holds in shown.items() if holds]
