"""Decisions of every method at one temperature and as many chains: what is compared, on the same cases."""

import math
from collections.abc import Mapping

from equiray.mitigation.voting.baselines import MAJORITY, OUTCOME, PROMPTED, SINGLE, baselines
from equiray.mitigation.voting.deciding import Decisions, decide
from equiray.runs.chains.scored import ScoredSide
from equiray.specs.chains import ChainsSpec

REWARD = "reward"
REFERENCE = "majority"
_STAGES = {SINGLE: "single", MAJORITY: "majority", PROMPTED: "fairness_prompt", OUTCOME: "outcome"}


def decided(side: ScoredSide, spec: ChainsSpec, tau: float | None, chains: int) -> dict[str, Decisions]:
    """Decisions by stage, those of the reward model last; None where no temperature was chosen: then without them.

    The model of whole chains is weighed at the same temperature. `majority` is always there: all is compared with it.
    """
    found = baselines(
        side.votes,
        chains,
        tau=math.inf if tau is None else tau,
        prompted=side.prompted,
        outcome=None if tau is None else side.outcome,
    )
    named: Mapping[str, Decisions] = {_STAGES[name]: decisions for name, decisions in found.items()}
    kept = {name: one for name, one in named.items() if name in spec.baselines or name == REFERENCE}
    return kept if tau is None else {**kept, REWARD: decide(side.votes, tau, chains)}


def chain_counts_of(chains: int) -> tuple[int, ...]:
    """Numbers of chains that are looked at: 1, 2, 4, ... and all."""
    doubled = [2**n for n in range(chains.bit_length()) if 2**n < chains]
    return (*doubled, chains)
