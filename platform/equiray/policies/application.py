"""A policy applied to evidence: which claims it makes, which groups it leaves out, and how all of it ends."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate, Verdict
from equiray.metrics.looks import Look
from equiray.metrics.tables import MISSING
from equiray.metrics.verdicts import Answer, Claim, Evidence, Unknown, judge, overall
from equiray.policies.document import EVERY, NamedPolicy, Rule, nearest
from equiray.policies.impact_ratios import PUBLISHED, ImpactRow, impact_rows


class Subject(NamedTuple):
    """What is judged: one model at one stage of one task."""

    task: str
    stage: str
    model: str


class LeftOut(NamedTuple):
    """A group that a rule does not judge, and `why`: its `rows` and their `share`, for the reader to check."""

    where: str
    metric: str
    attribute: str
    group: str
    rows: int
    share: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A policy's verdicts in the order of its rules, what it left out, and the answer of the whole.

    `not_asked` says which tasks do not report what a rule bounds; `impact_ratios` is the table that belongs to rules
    on impact ratios, empty without one.
    """

    policy: NamedPolicy
    look: Look
    verdicts: tuple[Verdict, ...]
    left_out: tuple[LeftOut, ...]
    not_asked: tuple[str, ...]
    impact_ratios: tuple[ImpactRow, ...]

    @property
    def answer(self) -> Answer:
        return overall(self.verdicts)


def apply_policy(policy: NamedPolicy, evidence: Mapping[Subject, Evidence], look: Look | None = None) -> Judgement:
    """Judge every rule, of every subject that reports its metric, for every group, as one family.

    A rule without `group` on a metric of groups is asked of each group but `MISSING`, which is no group of people;
    what its rows may be bounds the other figures. A rule is asked of the tasks in which its metric is reported, there
    of every subject; a metric that is reported nowhere, or not by one subject of such a task, is INCONCLUSIVE.

    Parameters
    ----------
    policy : of `load_policy`
    evidence : what is known about each subject
    look : which look at a growing table this is; default: the only one, at the policy's alpha

    Raises
    ------
    BadInput
        A rule names an attribute that no subject has, or a group for a metric that compares groups.
    """
    claims: list[Claim] = []
    left_out: list[LeftOut] = []
    not_asked: list[str] = []
    impact_ratios: list[ImpactRow] = []
    for number, rule in enumerate(policy.policy.rules):
        place = f"{policy.place}, rules.{number}"
        _check_attribute(rule, evidence, place)
        tasks = _tasks(rule, evidence)
        for subject, one in evidence.items():
            where = ", ".join(subject) if len(evidence) > 1 else ""
            for attribute in tasks.get(subject.task, ()):
                asked = _Asked(
                    rule=rule.model_copy(update={"attribute": attribute}), evidence=one, where=where, place=place
                )
                left_out += asked.left_out
                impact_ratios += asked.impact_rows()
                claims += asked.claims()
        if not tasks:
            nothing = _Asked(rule=rule, evidence=next(iter(evidence.values())), where="", place=place)
            claims.append(nothing.absent(rule.group, "the results hold no such estimate, so nothing decides this rule"))
        elif others := sorted({subject.task for subject in evidence} - tasks.keys()):
            not_asked.append(f"{rule.metric} of {rule.attribute or 'all rows'}: not reported by {', '.join(others)}")
    look = look or Look(alpha=policy.policy.alpha)
    return Judgement(
        policy=policy,
        look=look,
        verdicts=tuple(judge(claims, look)),
        left_out=tuple(left_out),
        not_asked=tuple(not_asked),
        impact_ratios=tuple(impact_ratios),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A rule asked of one attribute of one subject."""

    rule: Rule
    evidence: Evidence
    where: str
    place: str

    @cached_property
    def left_out(self) -> list[LeftOut]:
        """Groups below the rule's share of the rows whose group is known; and those rows whose group is not."""
        rule = self.rule
        if rule.attribute is None or rule.group is not None:
            return []
        rows = self.evidence.rows(rule.attribute)
        known = sum(n for group, n in rows.items() if group != MISSING)
        small = f"below {rule.min_share:.2%} of the rows whose group is known"
        listed = [
            LeftOut(self.where, rule.metric, rule.attribute, group, n, n / known, small)
            for group, n in rows.items()
            if group != MISSING and n < rule.min_share * known
        ]
        if unknown := rows.get(MISSING, 0):
            share, why = unknown / (known + unknown), "rows of no known group are not judged as one"
            listed.append(LeftOut(self.where, rule.metric, rule.attribute, MISSING, unknown, share, why))
        return listed

    def impact_rows(self) -> list[ImpactRow]:
        """The published table, where the rule is about it."""
        rule = self.rule
        rate = PUBLISHED.get(rule.metric)
        if rate is None or rule.attribute is None:
            return []
        rates = [e for e in self.evidence.estimates if (e.metric, e.attribute) == (rate, rule.attribute)]
        return impact_rows(self.where, rule.attribute, rates, frozenset(left.group for left in self.left_out))

    def claims(self) -> Iterator[Claim]:
        """One claim for each group, or for the comparison of them; never none."""
        rule = self.rule
        found = {
            e.group: e for e in self.evidence.estimates if (e.metric, e.attribute) == (rule.metric, rule.attribute)
        }
        left_out = frozenset(group.group for group in self.left_out)
        if rule.group is None:
            for group, estimate in found.items():
                if group not in left_out | {MISSING}:
                    yield self._claim(estimate, left_out - {MISSING})
            if not found.keys() - left_out - {MISSING}:
                reason = "every group is left out" if found else "the results do not hold it for this subject"
                yield self.absent(None, reason)
        elif found.keys() == {None}:
            fix = f"remove `group: {rule.group}`"
            raise BadInput(f"{rule.metric} compares all groups of {rule.attribute}", place=self.place, fix=fix)
        elif rule.group in found:
            yield self._claim(found[rule.group], frozenset())
        else:
            names = sorted(group for group in found if group is not None)
            known = f": the groups are {', '.join(names[:12])}" if names else ""
            yield self.absent(rule.group, f"no row has that group{nearest(rule.group, names)}{known}")

    def absent(self, group: str | None, reason: str) -> Claim:
        """A claim that nothing answers."""
        return self._of(group, Unknown(reason), self.evidence)

    def _claim(self, estimate: Estimate, left_out: frozenset[str]) -> Claim:
        """The estimate as it stands, or computed anew where it compares groups that are left out."""
        evidence: Evidence = self.evidence
        found: Estimate | Unknown = estimate
        rests_on = evidence.denominators(estimate) if left_out else {}
        if isinstance(rests_on, Unknown):
            found = rests_on
        elif left_out & rests_on.keys() and estimate.attribute is not None:
            rest = evidence.without(estimate.attribute, left_out)
            if isinstance(rest, Unknown):
                found = rest
            else:
                again = rest.find(estimate.metric, estimate.attribute, estimate.group)
                evidence, found = rest, again or Unknown("too few groups are left to compare")
        return self._of(estimate.group, found, evidence)

    def _of(self, group: str | None, found: Estimate | Unknown, evidence: Evidence) -> Claim:
        rule = self.rule
        return Claim(
            metric=rule.metric,
            attribute=rule.attribute,
            group=group,
            side=rule.side,
            bound=rule.bound,
            min_n=rule.min_n,
            found=found,
            evidence=evidence,
            where=self.where,
        )


def _check_attribute(rule: Rule, evidence: Mapping[Subject, Evidence], place: str) -> None:
    known = {e.attribute for one in evidence.values() for e in one.estimates} - {None}
    if rule.attribute in known | {None, EVERY}:
        return
    names = sorted(name for name in known if name is not None)
    raise BadInput(
        f"unknown attribute {rule.attribute!r}{nearest(str(rule.attribute), names)}",
        place=f"{place}.attribute",
        fix=f"the results have: {', '.join(names[:12]) or 'no attribute'}",
    )


def _tasks(rule: Rule, evidence: Mapping[Subject, Evidence]) -> dict[str, list[str | None]]:
    """The tasks in which some subject reports what the rule bounds, and for which attributes."""
    tasks: dict[str, list[str | None]] = {}
    for subject, one in evidence.items():
        for e in one.estimates:
            wanted = e.attribute is not None if rule.attribute == EVERY else e.attribute == rule.attribute
            if e.metric == rule.metric and wanted and e.attribute not in tasks.setdefault(subject.task, []):
                tasks[subject.task].append(e.attribute)
    return {task: attributes for task, attributes in tasks.items() if attributes}
