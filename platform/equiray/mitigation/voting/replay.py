"""What a stopping rule would have saved, and changed, on chains that were sampled in full."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.intervals.limits import Limits, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.stopping import StoppingRule
from equiray.mitigation.voting.votes import Votes


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """C cases sampled under a rule.

    Attributes
    ----------
    used, there : int64 [C]
        Chains until the rule stops, and chains that were to be had.
    stopped, full : int64 [C]
        The decision by either.
    """

    used: NDArray[np.int64]
    there: NDArray[np.int64]
    stopped: NDArray[np.int64]
    full: NDArray[np.int64]

    @property
    def saved(self) -> float:
        """Share of all chains that need not have been sampled. Range 0..1; higher is better; 0 = all were needed."""
        return 1 - float(self.used.sum() / self.there.sum())

    @property
    def changed(self) -> float:
        """Share of cases decided otherwise than by all chains. Range 0..1; lower is better; 0 = none."""
        return float((self.stopped != self.full).mean())

    def changed_limits(self, confidence: float = 0.95) -> Limits:
        """Limits of `changed`."""
        number = int((self.stopped != self.full).sum())
        low, high = mean_interval(Moments(len(self.full), number, number, 0, 1), confidence)
        return Limits(float(low), float(high))


def replay(votes: Votes, rule: StoppingRule) -> Replay:
    """Sample cached chains one by one under a rule; cases with fewer than `StoppingRule.chains` end with their last.

    Raises
    ------
    BadInput
        A score lies above `StoppingRule.highest`.
    """
    above = votes.score > rule.highest
    if above.any():
        row, chain = (int(place) for place in np.argwhere(above)[0])
        where = f"case {votes.case_ids[row]!r}, chain {chain}"
        fix = f"the rule supposes scores of at most {rule.highest:g}: name the aggregator's highest"
        raise BadInput(f"score {votes.score[row, chain]}", place=where, fix=fix)
    there = np.minimum(votes.sampled, rule.chains)
    used = there.copy()
    running = np.ones(len(there), bool)
    for seen in range(1, int(there.max())):
        alive = running & (there > seen)
        kinds = np.stack([votes.options, there], axis=1)
        for options, most in np.unique(kinds[alive], axis=0).tolist():
            rows = np.flatnonzero(alive & (kinds == (options, most)).all(1))
            answers, scores = votes.answers[rows, :seen], votes.score[rows, :seen]
            enough = rows[rule.settled(answers, scores, options, most - seen)]
            used[enough] = seen
            running[enough] = False
    return Replay(
        used=used,
        there=there,
        stopped=_decided(votes, rule.tau, used),
        full=_decided(votes, rule.tau, there),
    )


def _decided(votes: Votes, tau: float, chains: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each case decided by its own number of chains, [C]."""
    found = np.empty(len(chains), np.int64)
    for count in np.unique(chains).tolist():
        rows = chains == count
        found[rows] = decide(votes, tau, count).answer[rows]
    return found
