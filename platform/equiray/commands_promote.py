"""`equiray promote`: whether the shadow bundle may take the primary's place; the exit code is the answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from equiray.commands_audit import names
from equiray.errors import BadInput, writing

if TYPE_CHECKING:
    from equiray.serving.audit import AuditLog
    from equiray.serving.promotion.pairing import Versions
    from equiray.specs.serve_config import ServeConfig

EXIT_CODES = {"PROMOTE": 0, "KEEP": 1, "INCONCLUSIVE": 2}
_APPLICATION = "equiray.serving:build"


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--margin", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="What is not worse.")
@click.option("--attributes", multiple=True, callback=names, metavar="A,B", help="Compare groups of these; a*b joins.")
@click.option(
    "--outcomes-for",
    type=click.Choice(["accepted", "every"]),
    default="accepted",
    show_default=True,
    help="Whose outcomes come: those of selected rows, or any row's, whatever was decided.",
)
@click.option("--apply", is_flag=True, help="Where it says PROMOTE: swap `bundle` and `shadow` in CONFIG.")
@click.option("--keep-fallback", is_flag=True, help="With --apply: the former bundle becomes `fallback`, too.")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the document.")
def promote(
    config: Path,
    margin: float,
    attributes: Sequence[str],
    outcomes_for: str,
    apply: bool,
    keep_fallback: bool,
    out: Path | None,
) -> int:
    """Compare the shadow of CONFIG with its bundle on the rows that both decided, as its audit log says.

    PROMOTE (0) if the shadow is shown to be not worse, KEEP (1) if it is shown to be worse, else INCONCLUSIVE (2): by
    limits, never by a value. Each look is recorded in the log, and look k is made at .05 / (k (k + 1)).
    """
    from rich.console import Console

    from equiray.serving.promotion import looking
    from equiray.serving.promotion.deciding import decide
    from equiray.serving.promotion.describing import document, show
    from equiray.serving.promotion.pairing import pair_log
    from equiray.serving.promotion.swapping import check_can_swap, swapped
    from equiray.specs.serve_config import load_serve_config

    if keep_fallback and not apply:
        raise BadInput("--keep-fallback without --apply", place="promote", fix="give both, or neither")
    loaded = load_serve_config(config, _APPLICATION)
    versions = _versions(loaded, apply=apply)
    if apply:
        check_can_swap(loaded, _APPLICATION, keep_fallback=keep_fallback)
    log = _checked_log(loaded)
    try:
        paired = pair_log(loaded.spec.audit.store, versions, attributes or None)
        look = looking.next_look(log, paired, outcomes_for)  # type: ignore[arg-type]  # one of click's choices
        decision = decide(paired, look=look, margin=margin, outcomes_for=outcomes_for)  # type: ignore[arg-type]
        show(paired, decision, Console())
        if out is not None:
            _write(out.expanduser(), json.dumps(document(paired, decision), indent=2, allow_nan=False) + "\n")
        if apply and decision.answer == "PROMOTE":
            with swapped(loaded, _APPLICATION, keep_fallback=keep_fallback):
                seq = looking.record_applied(log, versions, look, rows=paired.rows, fallback=keep_fallback)
            click.echo(f"done: {config} serves {versions.shadow}, as record {seq:,} says; a running `equiray serve`")
            click.echo(f"of it takes it over, a cluster at `serve deploy {config}`")
        elif apply:
            click.echo(f"{config} is left as it is")
    finally:
        log.close()
    return EXIT_CODES[decision.answer]


def _versions(config: "ServeConfig", *, apply: bool) -> "Versions":
    """Of both bundles with their live settings, as the service writes them into its records."""
    from equiray.bundles.checking import version_of
    from equiray.serving.promotion.pairing import Versions

    spec = config.spec
    if spec.bundle is None or spec.shadow is None:
        missing = "bundle" if spec.bundle is None else "shadow"
        raise BadInput(f"no `{missing}`", place=str(config.path), fix="name the bundle that answers, and its shadow")
    live = [_live(config, name) for name in ("Decider", "Shadow")]
    if apply and live[0] != live[1]:
        problem = "the deployments Decider and Shadow have other `user_config`s, so the swap is not what was compared"
        raise BadInput(problem, place=str(config.path), fix="change the file by hand, or give both the same")
    both = zip((spec.bundle, spec.shadow), live, strict=True)
    return Versions(*(version_of(Path(path)) + digest for path, digest in both))


def _live(config: "ServeConfig", deployment: str) -> str:
    """What live settings add to a version."""
    from pydantic import ValidationError

    from equiray.specs.documents import as_bad_input
    from equiray.specs.serving import LiveSpec

    ours = next(each for each in config.document["applications"] if each.get("import_path") == _APPLICATION)
    said = [each.get("user_config") for each in ours.get("deployments") or () if each.get("name") == deployment]
    try:
        live = LiveSpec.model_validate(next(iter(said), None) or {})
    except ValidationError as error:
        raise as_bad_input(error, f"{config.path}, deployments {deployment}", "user_config") from error
    return "" if live == LiveSpec() else f"+{live.sha256()[:8]}"


def _checked_log(config: "ServeConfig") -> "AuditLog":
    """The log, once it is found to be what was written: a promotion must not rest on changed records."""
    from equiray.serving.audit import AuditLog, verify_log
    from equiray.serving.audit.keys import load_key

    audit = config.spec.audit
    secrets = Path(audit.secrets)
    checkpoints = None if audit.checkpoints is None else Path(audit.checkpoints)
    keys = {"key": load_key("audit", secrets), "checkpoints": checkpoints}
    keys["checkpoint_key"] = None if checkpoints is None else load_key("checkpoint", secrets)
    found = verify_log(audit.store, **keys)
    if found.problems:
        fix = f"`equiray verify --audit {audit.store}` lists all {len(found.problems)}"
        raise BadInput(f"the log is not what was written: {found.problems[0].message}", place=audit.store, fix=fix)
    return AuditLog.open(audit.store, **keys)


def _write(file: Path, text: str) -> None:
    with writing(file):
        file.write_text(text, encoding="utf-8")
