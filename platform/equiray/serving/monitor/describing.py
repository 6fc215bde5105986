"""The document of ``GET /v1/fairness`` (docs/contracts/live_fairness.json): all that a monitor knows."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equiray.metrics.intervals.limits import Interval
from equiray.metrics.sequential import rate_limits
from equiray.serving.monitor.counts import FIRST, Counts
from equiray.serving.monitor.estimating import seen
from equiray.serving.monitor.kinds import KINDS
from equiray.serving.monitor.series import Series
from equiray.serving.monitor.watch import Watch

if TYPE_CHECKING:
    from equiray.serving.monitor.state import Monitor

SCHEMA = "equiray.live_fairness/1"
_BLOCKS = ("FAIL", "INCONCLUSIVE", "PASS")


def describe(monitor: "Monitor", serving: str | None, audit: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document; numbers that are not estimable are null."""
    settings = monitor.settings
    latest = max(monitor.watches.values(), key=lambda watch: watch.last_at, default=None)
    serving = serving or (latest.version if latest else None)
    versions = [_version(monitor, watch) for watch in monitor.watches.values()]
    return {
        "schema": SCHEMA,
        "as_of": {"seq": monitor.seq, "at": monitor.at or None},
        "serving": serving,
        "alpha": settings.alpha,
        "policy": {"name": settings.name, "about": settings.about, "not_watched": list(settings.not_watched)},
        "outcomes_for": settings.outcomes_for,
        "verdict": next((one["verdict"] for one in versions if one["model_version"] == serving), None),
        "action": vars(monitor.action(serving)) if serving else None,
        "versions": versions,
        "passed_over": {**monitor.unwatched, "problems": monitor.unread},
        "audit": {"read": monitor.seq, **(audit or {})},
    }


def _version(monitor: "Monitor", watch: Watch) -> dict[str, Any]:
    series = [_series(monitor, watch, one) for one in watch.series]
    answers = {one["verdict"] for one in series}
    return {
        "model_version": watch.version,
        "number": watch.number,
        "first_at": watch.first_at or None,
        "last_at": watch.last_at or None,
        "decisions": watch.decisions,
        "outcomes": watch.outcomes,
        "accepted": watch.version in monitor.accepted,
        "verdict": next((answer for answer in _BLOCKS if answer in answers), None),
        "series": series,
        "attributes": [_attribute(monitor, name, counts) for name, counts in watch.counts.items()],
        "gates": [gate.document(name, monitor.settings.alpha) for name, gate in watch.gates.items()],
        "minutes": watch.windows.to_json(),
    }


def _series(monitor: "Monitor", watch: Watch, series: Series) -> dict[str, Any]:
    bound = series.bound
    judged = series.judge(watch.counts[watch.attribute_of(series)], monitor.settings.outcomes_for)
    found, alarm = judged.figure, series.alarm
    return {
        "rule": bound.rule,
        "metric": bound.metric,
        "attribute": bound.attribute,
        "group": bound.group,
        "side": bound.side,
        "bound": bound.value,
        "source": bound.source,
        "bound_error": bound.error,
        "value": number(found.value),
        "low": number(found.low),
        "high": number(found.high),
        "n": found.n,
        "unknown": found.unknown,
        "status": found.status,
        "alpha": series.bets_alpha,
        "e_value": series.e_value,
        "e_needed": 1 / series.bets_alpha,
        "verdict": judged.answer,
        "reason": judged.reason,
        "alarm": None if alarm is None else alarm._asdict(),
    }


def _attribute(monitor: "Monitor", name: str, counts: Counts) -> dict[str, Any]:
    """Every group with every rate that it has rows for, at 1 - alpha each: limits for display, not for verdicts."""
    groups: list[dict[str, Any]] = [
        {"group": group, "compared": code >= FIRST, "n": int(counts.decided[code].sum()), "rates": []}
        for code, group in enumerate(counts.names)
    ]
    for kind in KINDS:
        open_to_doubt = not seen(kind, monitor.settings.outcomes_for)
        tally = counts.tally(kind, unseen=open_to_doubt)
        limits = rate_limits(tally.low_events, tally.low_trials, monitor.settings.alpha)
        high = rate_limits(tally.high_events, tally.high_trials, monitor.settings.alpha).high
        edges = _edges(tally.low_events, tally.low_trials, tally.high_events, tally.high_trials)
        for code, one in enumerate(groups):
            if not tally.high_trials[code]:
                continue
            unknown = bool(tally.low_trials[code] != tally.trials[code])
            status = "bounds" if open_to_doubt else "partial" if unknown else "estimated"
            one["rates"].append(
                {
                    "metric": kind,
                    "value": None if open_to_doubt else number(tally.value[code]),
                    "low": float(edges.low[code] if open_to_doubt else limits.low[code]),
                    "high": float(edges.high[code] if open_to_doubt else high[code]),
                    "n": int(tally.trials[code]),
                    "status": status,
                    "direction": KINDS[kind].direction,
                }
            )
    shown = [one for one in groups if one["n"] or one["rates"]]
    return {"attribute": name, "groups": sorted(shown, key=lambda one: not one["compared"])}


def _edges(low_events: Any, low_trials: Any, high_events: Any, high_trials: Any) -> Interval:
    """The least and the largest that rates of the rows so far may be, without any error of sampling."""
    return Interval(
        *((events / trials.clip(1)) for events, trials in ((low_events, low_trials), (high_events, high_trials)))
    )


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)
