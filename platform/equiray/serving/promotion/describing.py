"""A look as a JSON document (docs/contracts/promotion.json) and as tables in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from equiray.metrics.estimates import Estimate
from equiray.serving.promotion.deciding import RULE, Decision
from equiray.serving.promotion.pairing import Paired

SCHEMA = "equiray.promotion/1"
_COLOURS = {"PROMOTE": "green", "PASS": "green", "KEEP": "red", "FAIL": "red", "INCONCLUSIVE": "yellow"}
_MOST_ROWS = 60
_NO_ACCURACY = {
    "none": "no outcome has come for these rows: accuracy and equalized odds are not judged",
    "selected": "outcomes have come for some of these rows, which do not stand for all: TPR, FPR and equalized odds "
    "are not estimable; accuracy's limits hold whatever the others are (--outcomes-for every: any row's outcome comes)",
}


def document(paired: Paired, decision: Decision) -> dict[str, Any]:
    """What `--json` writes."""
    look, compared = decision.look, decision.compared
    return {
        "schema": SCHEMA,
        **paired.versions._asdict(),
        "task": paired.task,
        "decision": decision.answer,
        "reason": decision.reason,
        "policy": {"name": RULE, "margin": decision.margin},
        "look": {"number": look.number, "alpha": look.alpha, "level": look.level},
        "rows": {"paired": paired.rows, "labelled": paired.labelled, "needed": decision.rows_needed},
        "records": {"paired": paired.records, "log_length": paired.length},
        "left_out": dict(vars(paired.left_out)),
        "outcomes": compared.outcomes,
        "families": compared.families._asdict(),
        "verdicts": [each.to_json() for each in decision.verdicts],
        "estimates": [each.to_json() for each in (*compared.judged, *compared.shown)],
        "notes": notes(paired, decision),
    }


def notes(paired: Paired, decision: Decision) -> list[str]:
    """What a reader must know beside the figures."""
    left = paired.left_out
    found = [_NO_ACCURACY[decision.compared.outcomes]] if decision.compared.outcomes in _NO_ACCURACY else []
    if left.erased_records:
        said = f"{left.erased_records:,} records ({left.erased_rows:,} rows) are left out: their payloads were erased"
        found.append(f"{said}, and with them the groups")
    if left.not_shadowed > 0:
        found.append(f"{left.not_shadowed:,} records of the primary have no shadow: a busy shadow is not asked")
    if left.other_versions:
        found.append(f"{left.other_versions:,} rows were decided by other versions of either side: left out")
    if left.repeated:
        found.append(f"{left.repeated:,} shadow records repeat an earlier one: counted once")
    return found


def show(paired: Paired, decision: Decision, console: Console) -> None:
    """Print verdicts, changes, what was left out, and the answer last."""
    versions, look = paired.versions, decision.look
    console.print(
        f"[bold]{escape(versions.shadow)}[/bold] (shadow) against {escape(versions.primary)} (primary)", soft_wrap=True
    )
    labelled = f"{paired.labelled:,} of them with an outcome"
    console.print(
        f"{paired.rows:,} rows of {escape(paired.task)} that both decided, {labelled}; {look.remark}", soft_wrap=True
    )
    console.print()
    console.print(_verdicts(decision))
    console.print(_estimates("Changes, shadow minus primary", decision.compared.shown))
    for note in notes(paired, decision):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    answer = decision.answer
    console.print(f"[bold {_COLOURS[answer]}]{answer}[/]: {escape(decision.reason)}", soft_wrap=True)


def _verdicts(decision: Decision) -> Table:
    level = f"{1 - decision.look.level:.2%}"
    table = _table(f"What decides (limits hold at once with {level})", ("change of", "change", "limits", "bound", ""))
    for each in decision.verdicts:
        verdict = f"[{_COLOURS[each.verdict]}]{each.verdict}[/]"
        table.add_row(
            escape(_name(each.metric, each.attribute, each.group)),
            _number(each.value),
            _limits(each.low, each.high),
            f"{each.bound:+.4g}",
            verdict,
        )
    return table


def _estimates(title: str, estimates: Sequence[Estimate]) -> Table:
    table = _table(title, ("of", "change", "limits", "rows"))
    for each in estimates[:_MOST_ROWS]:
        name = escape(_name(each.metric, each.attribute, each.group))
        table.add_row(name, _number(each.value), _limits(each.low, each.high), f"{each.n:,}")
    if len(estimates) > _MOST_ROWS:
        table.add_row(f"... {len(estimates) - _MOST_ROWS} more: --json FILE lists all", "", "", "")
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, overflow="fold", justify="left" if not place or not name else "right")
    return table


def _name(metric: str, attribute: str | None, group: str | None) -> str:
    if attribute is None:
        return metric
    return f"{metric}, {attribute}" if group is None else f"{metric}, {attribute} {group}"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:+.4f}"


def _limits(low: float | None, high: float | None) -> str:
    return "none" if low is None or high is None else f"{low:+.4f} .. {high:+.4f}"
