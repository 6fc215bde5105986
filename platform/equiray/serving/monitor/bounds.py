"""Where bounds come from: a policy's rules, and what a bundle was measured to do on its test split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.tables import MISSING
from equiray.policies import NamedPolicy, Policy
from equiray.policies.document import EVERY
from equiray.serving.monitor.kinds import WATCHED
from equiray.serving.monitor.settings import Bound, Gate, Settings


def settings_for(
    attributes: Sequence[str],
    *,
    policy: NamedPolicy | None = None,
    test: Sequence[Estimate] = (),
    outcomes_for: Literal["accepted", "every"] = "accepted",
    gates: Mapping[str, Gate] | None = None,
) -> Settings:
    """Settings that watch a policy, and beside it whether a bundle stays within what its test says.

    Parameters
    ----------
    attributes : those that are counted
    policy : optional
        Its alpha is that of all bounds together; without one it is .05.
    test : estimates, optional
        `provenance.test` of the bundle's manifest; a metric that the policy bounds keeps the policy's bound.
    outcomes_for, gates
        As in `Settings`.
    """
    bounds, left_out = policy_bounds(policy.policy, attributes) if policy else ((), ())
    alpha = policy.policy.alpha if policy else 0.05
    found = validation_bounds(test, attributes, alpha, except_for=bounds)
    whole = Settings(attributes=tuple(attributes), bounds=(*bounds, *found), alpha=alpha)
    found = validation_bounds(test, attributes, whole.share(1), except_for=bounds)
    return replace(
        whole,
        bounds=(*bounds, *found),
        outcomes_for=outcomes_for,
        gates=dict(gates or {}),
        groups={name: _groups_of(name, test) for name in attributes},
        not_watched=left_out,
        name=policy.name if policy else "",
        about=(policy.policy.about or "") if policy else "",
    )


def _groups_of(attribute: str, test: Sequence[Estimate]) -> tuple[str, ...]:
    """Those that the bundle was tested on."""
    found = (each.group for each in test if each.attribute == attribute and each.group not in (None, MISSING))
    return tuple(dict.fromkeys(str(group) for group in found))


def policy_bounds(policy: Policy, attributes: Sequence[str]) -> tuple[tuple[Bound, ...], tuple[str, ...]]:
    """Bounds of a policy's rules, and in a sentence each what of it cannot be watched live.

    A rule on every attribute is a bound for each of `attributes`.
    """
    bounds: list[Bound] = []
    left_out: list[str] = []
    for rule in policy.rules:
        if rule.metric not in WATCHED:
            left_out.append(f"{rule.metric}: no bets on it are known that hold at any time; `equiray audit` judges it")
            continue
        named = attributes if rule.attribute == EVERY else [rule.attribute]
        for attribute in named:
            if attribute is not None and attribute not in attributes:
                left_out.append(f"{rule.metric} of {attribute}: the attribute is not among those that are counted")
                continue
            bounds.append(
                Bound(
                    metric=rule.metric,
                    attribute=attribute,
                    group=rule.group,
                    side=rule.side,
                    value=rule.bound,
                    min_n=rule.min_n,
                    min_share=rule.min_share,
                )
            )
    return tuple(bounds), tuple(left_out)


def validation_bounds(
    test: Sequence[Estimate], attributes: Sequence[str], share: float, *, except_for: Sequence[Bound] = ()
) -> tuple[Bound, ...]:
    """Upper limits of the disparities that a bundle's manifest reports (`provenance.test`).

    "Not worse than validation" is tested against the upper limit of what was estimated there, at confidence
    1 - `share`: it is too low with probability share / 2, and bets against it get the other half. Where the
    groups' rates are not stored, the stored upper limit is taken, whose error is shown and is no part of alpha.

    Parameters
    ----------
    test : estimates
    attributes : those that are counted
    share : float
        Alpha of one bound, for the first model version (`Settings.share`).
    except_for : bounds
        A metric and attribute that has one already keeps it.
    """
    taken = {(bound.metric, bound.attribute) for bound in except_for}
    bounds: list[Bound] = []
    for estimate in test:
        known = estimate.metric in WATCHED and WATCHED[estimate.metric].form == "difference"
        if not known or estimate.attribute not in attributes or estimate.group is not None:
            continue
        if estimate.high is None or (estimate.metric, estimate.attribute) in taken:
            continue
        own = _limit(test, estimate, share)
        bounds.append(
            Bound(
                metric=estimate.metric,
                attribute=estimate.attribute,
                side="max",
                value=min(estimate.high if own is None else own, 1.0),
                source="validation",
                error=(1 - estimate.confidence) / 2 if own is None else share / 2,
                spends=own is not None,
            )
        )
    return tuple(bounds)


def _limit(test: Sequence[Estimate], of: Estimate, share: float) -> float | None:
    """Upper limit of a disparity at confidence 1 - share from the rates of its groups; None if they are not stored."""
    rates: list[Counted] = []
    for kind in WATCHED[of.metric].kinds:
        same = [e for e in test if (e.metric, e.attribute, e.task) == (kind, of.attribute, of.task)]
        same = [e for e in same if (e.stage, e.model) == (of.stage, of.model) and e.group not in (None, MISSING)]
        if len(same) < 2 or any(e.value is None for e in same):
            return None
        rates.append(Counted([(e.value or 0.0) * e.n for e in same], [e.n for e in same]))
    return float(projected("max_difference", rates, 1 - share).high)
