"""`equiray label`: people's labels for a reward model, from a sheet of the chains that need them most."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from equiray.specs.reward_model import CalibrationMethod

_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def label() -> None:
    """Label steps of reasoning by hand, and recalibrate a reward model by them."""


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
