"""What became of chains, counted: outcomes by category and group, tokens, steps."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from equiray.mitigation.reward.steps import ReasonedCase

OUTCOMES = ("answered", "unparsed", "refused")


def chain_counts(cases: Sequence[ReasonedCase], table: pa.Table) -> dict[str, Any]:
    """Numbers of cases, chains and steps, of outcomes by category and by group, and of tokens.

    `only_answer` chains say nothing but their answer, which then is their one step; `cut` ones ran out of tokens.
    """
    kept = {one.case.case_id for one in cases}
    rows = [row for row in table.select(_READ).to_pylist() if row["case_id"] in kept]
    chains = [chain for one in cases for chain in one.chains]
    return {
        "cases": len(cases),
        "chains": len(chains),
        "steps": sum(len(chain.steps) for chain in chains),
        "outcomes": _outcomes(Counter(chain.outcome for chain in chains)),
        "by_category": _by(cases, lambda one: [one.case.category]),
        "by_group": _by(cases, lambda one: [f"{name}: {group}" for name, group in one.case.groups.items()]),
        "only_answer": sum(row["only_answer"] for row in rows),
        "cut": sum(row["finish"] == "length" for row in rows),
        "tokens": sum(row["tokens"] for row in rows),
        "steps_a_chain": dict(sorted(Counter(str(len(chain.steps)) for chain in chains).items(), key=_number)),
    }


_READ = ["case_id", "only_answer", "finish", "tokens"]


def _number(item: tuple[str, int]) -> int:
    return int(item[0])


def _by(cases: Sequence[ReasonedCase], names: Any) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for one in cases:
        for name in names(one):
            found.setdefault(name, Counter()).update(chain.outcome for chain in one.chains)
    return {name: _outcomes(found[name]) for name in sorted(found)}


def _outcomes(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in OUTCOMES}
