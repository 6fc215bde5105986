"""`equiray bundle` and `equiray verify`: the combined model as a directory, and whether it is what it was."""

from pathlib import Path

import click

from equiray.commands_log import verify_audit
from equiray.errors import BadInput

_directory = click.Path(path_type=Path, exists=True, file_okay=False)
_folder = click.Path(path_type=Path, file_okay=False)
_TERMINAL_LINES = 12
PROBLEMS = 1
"""Exit code where a bundle is not what its manifest says."""


@click.command()
@click.argument("directory", type=_directory)
@click.option(
    "--pick",
    required=True,
    help="Of a sweep: knee, fairest:0.005, or a point's id; of a FairNet run: seed0; of an evaluation: embedding.cda; "
    "of chains: a data set, bbq.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new directory.")
def bundle(directory: Path, pick: str, out: Path) -> None:
    """Write a trained configuration of DIRECTORY, a finished sweep or run, as a bundle.

    Points of a sweep are picked by their validation figures: `knee`, the best compromise; `fairest:X`, the fairest
    whose accuracy is within X of the best; or one by its id. Figures on test rows choose nothing: those that the
    bundle records are of rows that nobody looked at before.
    """
    from equiray.runs.bundling.bundle import bundle_directory

    out = out.expanduser().resolve()  # `.` has no name
    made = bundle_directory(directory, pick, out)
    provenance = made.provenance
    click.echo(f"{provenance.point} of {provenance.origin} {provenance.name}, picked by {provenance.pick}")
    for setting, value in provenance.settings.items():
        click.echo(f"  {setting}: {value}")
    shown = provenance.test[0].stage if provenance.test else ""  # of what is bundled, not of what it was compared with
    whole = [each for each in provenance.test if each.stage == shown and each.group is None and each.value is not None]
    for estimate in whole[:_TERMINAL_LINES]:
        of = f" ({estimate.attribute})" if estimate.attribute else ""
        limits = "" if estimate.low is None else f" [{estimate.low:.4f}, {estimate.high:.4f}]"
        click.echo(f"  {estimate.metric}{of}: {estimate.value:.4f}{limits} on test rows, n = {estimate.n:,}")
    if len(provenance.test) > len(whole[:_TERMINAL_LINES]):
        click.echo(f"  manifest.json has all {len(provenance.test)} figures on test rows")
    reward = made.parts.reward
    if reward is not None and reward.aggregator != "low":
        click.echo(f"  a chain's weight is the {reward.aggregator} of its steps: steps that are added may raise it")
        click.echo("  under `low` none can: repeat the run in a new directory with --set decision.aggregate=low, which")
        click.echo("  samples no chain again and chooses a temperature for it, and bundle that one")
    click.echo(f"done: {out}")


@click.command()
@click.argument("bundle", type=_directory, required=False)
@click.option("--replay", is_flag=True, help="Decide the test rows again, and compare with what the run put out.")
@click.option("--base", metavar="SOURCE", help="With --replay: where the base model lies on this machine.")
@click.option("--audit", metavar="URL", help="Check the audit log in this database instead.")
@click.option("--checkpoints", type=_folder, help="With --audit: the folder of the signed checkpoints.")
@click.option("--keys", type=_folder, help="With --audit: the folder of the keys, unless the variables are set.")
def verify(
    bundle: Path | None, replay: bool, base: str | None, audit: str | None, checkpoints: Path | None, keys: Path | None
) -> int:
    """Check that BUNDLE is what its manifest says, or an audit log what was written: exit 0, or 1 with the problems.

    The manifest is not signed. Whoever can rewrite a file can rewrite the manifest, too: keep its own sha256, which is
    printed, where they cannot. An audit log is compared with its chain, and with the checkpoints where they are named;
    the keys are in EQUIRAY_AUDIT_KEY and EQUIRAY_CHECKPOINT_KEY, or in the folder of the keys.
    """
    if (bundle is None) == (audit is None):
        raise BadInput("one thing is verified at a time", place="verify", fix="give BUNDLE, or --audit URL")
    if audit is not None:
        return verify_audit(audit, keys=keys, checkpoints=checkpoints)
    assert bundle is not None
    return _verify_bundle(bundle, replay, base)


def _verify_bundle(bundle: Path, replay: bool, base: str | None) -> int:
    from equiray.bundles.checking import read_manifest, verify_bundle
    from equiray.bundles.files import record_of
    from equiray.bundles.manifest import MANIFEST

    problems = verify_bundle(bundle)
    for problem in problems:
        click.echo(f"problem      {problem}")
    if problems:
        click.secho(f"{len(problems)} problems: {bundle} is not what its manifest says", bold=True)
        return PROBLEMS
    manifest = read_manifest(bundle)
    parts = [name for name, part in manifest.parts if part is not None]
    size = sum(file.bytes for file in manifest.files.values())
    click.echo(f"{manifest.name}: {', '.join(parts)}; made by {manifest.created_by}")
    click.echo(f"{len(manifest.files)} files, {size:,} bytes: each has the sha256 of the manifest, and none is added")
    click.echo(f"{MANIFEST}: sha256 {record_of(bundle / MANIFEST).sha256}")
    return _replayed(bundle, base) if replay else 0


def _replayed(path: Path, base: str | None) -> int:
    from equiray.bundles.bundle import load_bundle
    from equiray.runs.bundling.replay import replay

    found = replay(load_bundle(path, source=base))
    rows = f"{found.recorded.rows:,} test rows"
    if found.same_outputs:
        click.echo(f"replayed: every output for {rows} is the same, bit by bit")
        return 0
    if found.same_decisions:
        click.echo(
            f"replayed: {rows} are decided alike; probabilities differ in some bits (other processor or library)"
        )
        return 0
    click.secho(f"problem      replayed: {rows} are not decided as the run decided them", bold=True)
    return PROBLEMS
