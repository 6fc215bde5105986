"""How a run was made: command, model, seed, hashes, and where its time went."""

from typing import Any, NamedTuple

from equiray.reports.run_directory import RunRecord
from equiray.reports.words import duration


class Fact(NamedTuple):
    """A line of a fact list."""

    name: str
    value: str


def made_by(run: RunRecord, environment: dict[str, Any]) -> list[Fact]:
    """Command, model, seed, hashes: what it takes to make the run again."""
    model = run.details.language_model
    described = [] if model is None else [model.name, _parameters(model.parameters), model.dtype]
    described += [f"{model.pooling} pooling"] if model and model.pooling else []
    facts = (
        ("Command", run.details.command),
        ("Seed", None if run.seed is None else str(run.seed)),
        ("Language model", ", ".join(part for part in described if part) or None),
        ("Model source", model.source if model else None),
        ("Spec sha256", run.results.spec_sha256),
        ("Python", f"{environment.get('python', 'unknown')} on {environment.get('platform', 'unknown')}"),
        ("Source commit", environment.get("git_commit")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())),
    )
    return [Fact(name, value) for name, value in facts if value]


def durations(run: RunRecord) -> list[tuple[str, str, float]]:
    """Step, time in words, and its length in percent of the longest."""
    longest = max(run.details.durations_s.values(), default=0) or 1
    return [
        (step.replace("_", " "), duration(s), round(100 * s / longest, 1))
        for step, s in run.details.durations_s.items()
    ]


def _parameters(n: int | str | None) -> str | None:
    return f"{n / 1e6:,.1f} M parameters" if isinstance(n, int) else n
