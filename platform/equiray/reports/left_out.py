"""What never reached the figures, and which figures could not be estimated: every line of it is shown."""

from collections import Counter

from equiray.reports.figures import Figures
from equiray.reports.key_figures import task_words
from equiray.reports.run_directory import RunRecord
from equiray.reports.words import count, enumerate_words, metric_words, setting_words

_MOST_LINES = 500


def dropped_lines(run: RunRecord) -> list[str]:
    """What never reached the figures: features cut from texts, twins that could not be made, unreadable files."""
    lines = []
    for task, how in run.details.serialization.items():
        budget = f" to stay within {how.max_tokens} tokens" if how.max_tokens else ""
        for feature, rows in how.dropped.items():
            lines.append(f"{task_words(run, task)}: “{feature}” left out of {count(rows, 'text')}{budget}")
    for task, details in run.details.tasks.items():
        for reason, rows in (details.twins.skipped if details.twins else {}).items():
            lines.append(f"{task_words(run, task)}: {count(rows, 'row')} without a counterfactual twin: {reason}")
        if details.files > 1 and details.ids is None:
            lines.append(
                f"{task_words(run, task)}: nothing of what stands in more than one of the {details.files:,} files. "
                "Such rows count once for each file, for no column says which row is which (--id)"
            )
    lines += [f"{file}: the file cannot be read" for file, rows in run.predictions.items() if rows is None]
    return lines


def not_estimable_lines(run: RunRecord, figures: Figures) -> list[str]:
    """Every figure that could not be estimated, equal ones over stages and models counted together.

    Metrics that fail for the same reason, a denominator of so many rows of one group, share a line.
    """
    cases = Counter((e.task, e.metric, e.attribute, e.group, e.n) for e in figures.all if e.status == "not_estimable")
    alike: dict[tuple[str, str | None, str | None, int, int], list[str]] = {}
    for (task, metric, attribute, group, n), times in cases.items():
        alike.setdefault((task, attribute, group, n, times), []).append(metric_words(metric).label)
    lines = []
    for (task, attribute, group, n, times), metrics in alike.items():
        whose = " = ".join(part for part in (attribute, group) if part)
        counted = f" ({count(n)} in its denominator; {count(times, 'stage–model pair')})"
        lines.append(f"{task_words(run, task)}: {enumerate_words(metrics)}{f', {whose}' if whose else ''}{counted}")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"… and {count(len(lines) - _MOST_LINES, 'more line')}: see results.json"]
    return lines + [setting_words(item) for item in run.details.not_estimable]
