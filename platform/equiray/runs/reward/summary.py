"""A finished reward run on a terminal."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table


def print_reward(out: Path, console: Console) -> None:
    """Print how well each model tells biased steps from unbiased ones, and by how much the model leads."""
    document = json.loads((out / "reward.json").read_text(encoding="utf-8"))
    console.print(f"[bold]{document['name']}[/bold]" + (" (smoke: too small to conclude from)" * document["smoke"]))
    test = document["sides"]["test"]
    console.print(
        f"{test['cases']:,} questions of {', '.join(document['cases']['held_out'])}, which training never saw; "
        f"{test['labels'][document['labels']['judge']]['steps']:,} steps"
    )
    table = Table("view", "step AUC of", "value", "interval", box=None, pad_edge=False)
    for one in document["estimates"]:
        if one["metric"] == "step_auc":
            table.add_row(one["stage"], one["model"], _number(one["value"]), _limits(one))
    console.print(table)


def _number(value: float | None) -> str:
    return "not estimable" if value is None else f"{value:.3f}"


def _limits(estimate: dict[str, float | None]) -> str:
    low, high = estimate["low"], estimate["high"]
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
