"""Verdicts as Markdown, for the job summary of a CI system or a pull request."""

import re
from pathlib import Path

from equiray.errors import writing
from equiray.metrics.estimates import Verdict
from equiray.policies import ImpactRow, Judgement, LeftOut
from equiray.reports.words import count, number

MOST_ROWS = 300
"""Rows of the table: CI systems refuse a summary of more than 1 MiB."""

_ORDER = ("FAIL", "INCONCLUSIVE", "PASS")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def verdict_markdown(judgement: Judgement) -> str:
    """The answer, one line for each verdict with what failed first, and what was left out."""
    parts = [f"## {headline(judgement)}"]
    if judgement.policy.policy.about:
        parts.append(_text(judgement.policy.policy.about))
    parts.append(family_line(judgement))
    verdicts = sorted(judgement.verdicts, key=lambda verdict: _ORDER.index(verdict.verdict))
    columns = ("Verdict", "Rule", "Value", "Simultaneous limits", "n", "n needed", "Why")
    parts += _table(columns, [_verdict_cells(verdict) for verdict in verdicts])
    columns = ("Group", "Attribute", "Rows", "Metric", "Rate", "Impact ratio")
    parts += _table(columns, [_impact_cells(row) for row in judgement.impact_ratios])
    columns = ("Left out", "Of", "Rows", "Share", "Why")
    parts += _table(columns, [_left_out_cells(left) for left in judgement.left_out])
    parts += [f"Not asked: {_text(line)}." for line in judgement.not_asked]
    return "\n\n".join(parts) + "\n"


def write_verdict_markdown(judgement: Judgement, file: Path) -> None:
    """Write `verdict_markdown` to a file.

    Raises
    ------
    Incomplete
        The file cannot be written.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(verdict_markdown(judgement), encoding="utf-8")


def headline(judgement: Judgement) -> str:
    """``FAIL: policy four_fifths, 1 FAIL, 0 INCONCLUSIVE, 3 PASS``."""
    found = [verdict.verdict for verdict in judgement.verdicts]
    counts = ", ".join(f"{found.count(answer):,} {answer}" for answer in _ORDER)
    return f"{judgement.answer}: policy {judgement.policy.name}, {counts}"


def family_line(judgement: Judgement) -> str:
    """What the verdicts hold at."""
    size, look = len(judgement.verdicts), judgement.look
    remark = f" ({look.remark})" if look.remark else ""
    if size == 1:
        return f"The verdict holds with confidence {1 - look.level:.6g}{remark}."
    return (
        f"All {count(size, 'verdict')} hold together with confidence {1 - look.level:.4g}{remark}: "
        f"each one's limits have confidence {1 - look.level / size:.6g}."
    )


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [columns, ("---",) * len(columns), *rows[:MOST_ROWS]]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    more = len(rows) - MOST_ROWS
    return [table, f"{more:,} more are not shown; the JUnit file (`--junit`) lists all."] if more > 0 else [table]


def _verdict_cells(verdict: Verdict) -> tuple[str, ...]:
    limits = "" if verdict.low is None else f"{number(verdict.low)} to {number(verdict.high)}"
    needed = "" if verdict.n_needed is None or verdict.verdict != "INCONCLUSIVE" else f"{verdict.n_needed:,}"
    rule, value = _text(verdict.rule), number(verdict.value, verdict.metric)
    return f"**{verdict.verdict}**", rule, value, limits, f"{verdict.n:,}", needed, _text(verdict.reason)


def _impact_cells(row: ImpactRow) -> tuple[str, ...]:
    attribute = ", ".join(filter(None, (row.where, row.attribute)))
    ratio = "not compared" if row.ratio is None else number(row.ratio)
    return _text(row.group), _text(attribute), f"{row.rows:,}", _text(row.metric), number(row.rate), ratio


def _left_out_cells(left: LeftOut) -> tuple[str, ...]:
    of = ", ".join(filter(None, (left.where, f"{left.metric} of {left.attribute}")))
    return _text(left.group), _text(of), f"{left.rows:,}", f"{left.share:.2%}", _text(left.why)


def _text(text: str) -> str:
    """Data in a document: nothing in it is markup, and it stays on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
