"""A policy held against what a run will report, before the run computes anything: verdicts come last, hours later."""

from collections.abc import Collection, Sequence

from equiray.errors import BadInput
from equiray.policies import NamedPolicy
from equiray.policies.document import EVERY, Rule, nearest
from equiray.runs.decisions import Reported


def check_policy(policy: NamedPolicy, reported: Collection[Reported]) -> None:
    """Refuse a rule that no task of the run can answer.

    Raises
    ------
    BadInput
        A rule bounds a metric that the run does not report, or not of that attribute, or of one group where the metric
        compares groups; names the nearest that is reported.
    """
    for number, rule in enumerate(policy.policy.rules):
        _check(rule, reported, f"{policy.place}, rules.{number}")


def _check(rule: Rule, reported: Collection[Reported], place: str) -> None:
    metrics = sorted({each.metric for each in reported})
    if rule.metric not in metrics:
        raise BadInput(
            f"the run does not report {rule.metric}{nearest(rule.metric, metrics)}",
            place=f"{place}.metric",
            fix=f"it reports: {', '.join(metrics)}",
        )
    of_metric = [each for each in reported if each.metric == rule.metric]
    attributes = sorted({each.attribute for each in of_metric if each.attribute is not None})
    if rule.attribute is None and not any(each.attribute is None for each in of_metric):
        raise BadInput(
            f"{rule.metric} compares groups, and the rule names no attribute",
            place=f"{place}.attribute",
            fix=f"name one of {', '.join(attributes)}, or {EVERY!r} for each of them",
        )
    known = [each for each in of_metric if each.attribute is not None and rule.attribute in (EVERY, each.attribute)]
    if rule.attribute is not None and not known:
        fix = f"it does of: {', '.join(attributes)}" if attributes else "leave `attribute` out: it is one of all rows"
        raise BadInput(
            f"the run does not report {rule.metric} of attribute {rule.attribute!r}{_hint(rule.attribute, attributes)}",
            place=f"{place}.attribute",
            fix=fix,
        )
    if rule.group is not None and not any(each.by_group for each in known):
        fix = f"remove `group: {rule.group}`"
        raise BadInput(f"{rule.metric} compares all groups of {rule.attribute}", place=f"{place}.group", fix=fix)


def _hint(attribute: str, known: Sequence[str]) -> str:
    """The same intersection under its name here (``sex*race`` for ``race*sex``), else the nearest name."""
    parts = set(attribute.split("*"))
    turned = [name for name in known if set(name.split("*")) == parts]
    return f"; did you mean {turned[0]!r}?" if turned else nearest(attribute, known)
