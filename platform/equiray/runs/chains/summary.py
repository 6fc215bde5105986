"""A finished run of chains on a terminal."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_SHOWN = (
    "accuracy",
    "demographic_parity_difference",
    "equalized_odds_difference_max",
    "bbq_bias_ambiguous",
    "bbq_bias_disambiguated",
)


def print_chains(out: Path, console: Console) -> None:
    """Print what was chosen, and how much each method changes against the majority of as many chains."""
    document = json.loads((out / "chains.json").read_text(encoding="utf-8"))
    console.print(f"[bold]{document['name']}[/bold]" + (" (smoke: too small to conclude from)" * document["smoke"]))
    for task in document["tasks"]:
        choice = task["choice"]
        point = choice["chosen"]
        at = "no temperature" if point is None else f"τ {point['tau']} and {point['chains']} chains"
        console.print(f"\n{task['title']}: {at} ({choice['status']}: {choice['reason']})")
        table = Table("change against the majority", "metric", "of", "value", "interval", box=None, pad_edge=False)
        for one in task["estimates"]:
            overall = one["attribute"] in (None, "all categories", *task["attributes"][:1])
            by_group = one["group"] is not None and one["attribute"] != "all categories"
            if one["stage"].endswith("-majority") and one["metric"] in _SHOWN and overall and not by_group:
                of = " ".join(filter(None, (one["attribute"], one["group"])))
                table.add_row(one["stage"].removesuffix("-majority"), one["metric"], of, *_figure(one))
        console.print(table)


def _figure(one: dict[str, Any]) -> tuple[str, str]:
    if one["value"] is None:
        return "not estimable", ""
    limits = "" if one["low"] is None else f"{one['low']:+.3f} to {one['high']:+.3f}"
    return f"{one['value']:+.3f}", limits
