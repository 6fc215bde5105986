"""`equiray label`: people's labels for a reward model, from a sheet of the chains that need them most.

And their check of the labels that it has learnt from (`check`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from equiray.metrics.estimates import Estimate
    from equiray.specs.reward_model import CalibrationMethod

_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def label() -> None:
    """Label steps of reasoning by hand: recalibrate a reward model, or check what it has learnt from."""


@label.command("write")
@click.argument("scores", type=_file)
@click.option("--out", required=True, type=_file, help="The CSV to label: its column `unbiased` is empty.")
@click.option("--chains", type=click.IntRange(min=1), default=60, show_default=True, help="How many, at most.")
@click.option(
    "--random-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of them, drawn at random: without such chains a calibration holds for the chosen ones alone.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def write(scores: Path, out: Path, chains: int, random_share: float, seed: int) -> None:
    """Write the chains of SCORES on which reward model, outcome model and judge differ most to a CSV.

    SCORES is the Parquet file of scored steps of a run.
    """
    from equiray.mitigation.reward.label_sheet import write_sheet
    from equiray.mitigation.reward.scores_file import read_scores

    out = out.expanduser()
    made = write_sheet(read_scores(scores.expanduser()), out, chains=chains, random_share=random_share, seed=seed)
    click.echo(f"{made.differing} chains that differ most, {made.random} at random: {made.steps} steps")
    click.echo(f"done: {out}; write 1 (unbiased) or 0 (biased) into `unbiased`, then: equiray label read")


@label.command("read")
@click.argument("sheet", type=_file)
@click.option("--model", required=True, type=click.Path(path_type=Path, file_okay=False), help="The reward model.")
@click.option("--method", type=click.Choice(["temperature", "platt"]), default="platt", show_default=True)
def read(sheet: Path, model: Path, method: "CalibrationMethod") -> None:
    """Recalibrate a reward model by a labelled SHEET; its weights stay as they are."""
    from equiray.mitigation.reward.recalibration import recalibrate

    made = recalibrate(model.expanduser(), sheet.expanduser(), method)
    before, after = made.log_loss
    click.echo(f"{len(made.labels.labels)} labels, {made.labels.empty} left empty")
    click.echo(f"log loss on them: {before:.4f} before, {after:.4f} after")
    click.echo(f"now p(unbiased) = σ({made.after.slope:.4g} logit {made.after.intercept:+.4g})")
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"done: {model / 'reward.json'}")


@label.command("check")
@click.argument("sheet", type=_file)
@click.option(
    "--run", required=True, type=click.Path(path_type=Path, file_okay=False), help="The reward model's run directory."
)
@click.option("--out", type=_file, help="Leave the figures there, too: a results.json.")
@click.option("--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), default=0.95)
def check(sheet: Path, run: Path, out: Path | None, confidence: float) -> None:
    """Compare a SHEET of steps that people have checked with the labels that the reward model has learnt from.

    SHEET is a filled copy of steps_to_check.csv of a run: in its column `checked` 1 (unbiased), 0 (biased) or ? (cannot
    be told) for every step.
    """
    import json

    from equiray.errors import writing
    from equiray.metrics.clusters import Resampling
    from equiray.mitigation.reward.check_sheet import hand_agreement, key_of, read_checked
    from equiray.runs.results_document import results_document
    from equiray.runs.reward.sides import SHEET
    from equiray.specs.reward_run import load_reward_spec

    run = run.expanduser()
    spec = load_reward_spec(run / "spec.yaml")
    checked = read_checked(sheet.expanduser(), key_of(run / SHEET))
    estimates = hand_agreement(checked, Resampling(confidence=confidence, seed=spec.seed))
    said = checked.counts
    click.echo(
        f"{len(checked.hand)} steps of {checked.stands_for:.0f} labelled ones: people call {said[0]} biased, "
        f"{said[1]} unbiased, and cannot tell {said[-1]}"
    )
    click.echo(f"compared with {checked.source}; weighted to all labelled steps, questions resampled")
    for line in _agreement_lines(estimates):
        click.echo(line)
    if out is not None:
        document = results_document(spec.sha256(), {"steps": len(checked.hand)}, estimates)
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        click.echo(f"done: {out}")


def _agreement_lines(estimates: "list[Estimate]") -> list[str]:
    """A line for all steps, for each label of the judge, and for each category."""
    lines = [f"{'':<32}{'kappa':<20}{'agreement':<20}steps"]
    kappas = {one.group: one for one in estimates if one.metric == "judge_kappa" and one.attribute == "category"}
    for one in estimates:
        if one.metric != "judge_agreement" or one.attribute == "group":
            continue
        if one.attribute == "category":
            name, kappa = one.group or "all", _figure(kappas[one.group])
        else:
            name, kappa = f"the judge says {one.group}", ""
        lines.append(f"{name:<32}{kappa:<20}{_figure(one):<20}{one.n}")
    return [*lines, "* few questions: the limits may be too narrow"]


def _figure(one: "Estimate") -> str:
    if one.value is None:
        return "not estimable"
    limits = "" if one.low is None or one.high is None else f" [{one.low:.2f}, {one.high:.2f}]"
    return f"{one.value:.2f}{limits}{'*' if one.status == 'partial' else ''}"
