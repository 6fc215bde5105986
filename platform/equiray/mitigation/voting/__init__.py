"""Decisions from scored chains: weights, votes, what to choose, and when to stop, from cached arrays alone.

votes = Votes.of(chains, chain_scores(chains, "low"))
cases = ValidationCases(votes=votes, right=right, positive=positive, groups=groups)
choice = choose(cases, "sex", taus, range(1, 33), FOUR_FIFTHS)
changes = vote_changes(held_out, Ballot(majority.answer, n), Ballot(ours.answer, n), setting)
"""

from equiray.mitigation.voting.aggregation import HIGHEST, Aggregator, chain_scores
from equiray.mitigation.voting.baselines import baselines
from equiray.mitigation.voting.bound import gap_bound, reach_of_answers, reach_of_scores
from equiray.mitigation.voting.cases import HeldOutCases, JudgedCases, ValidationCases
from equiray.mitigation.voting.chains import ScoredChain, ScoredChains
from equiray.mitigation.voting.choosing import FOUR_FIFTHS, Choice, Limit, VotePolicy, choose
from equiray.mitigation.voting.comparison import Ballot, predictions_table, vote_changes, vote_estimates
from equiray.mitigation.voting.deciding import Decisions, decide, decide_grid
from equiray.mitigation.voting.length import length_effect
from equiray.mitigation.voting.replay import Replay, replay
from equiray.mitigation.voting.stopping import Stopper, StoppingRule
from equiray.mitigation.voting.store import load_chains, save_chains
from equiray.mitigation.voting.sweep import VoteSweep, sweep
from equiray.mitigation.voting.votes import Votes

__all__ = [
    "FOUR_FIFTHS",
    "HIGHEST",
    "Aggregator",
    "Ballot",
    "Choice",
    "Decisions",
    "HeldOutCases",
    "JudgedCases",
    "Limit",
    "Replay",
    "ScoredChain",
    "ScoredChains",
    "Stopper",
    "StoppingRule",
    "ValidationCases",
    "VotePolicy",
    "VoteSweep",
    "Votes",
    "baselines",
    "chain_scores",
    "choose",
    "decide",
    "decide_grid",
    "gap_bound",
    "length_effect",
    "load_chains",
    "predictions_table",
    "reach_of_answers",
    "reach_of_scores",
    "replay",
    "save_chains",
    "sweep",
    "vote_changes",
    "vote_estimates",
]
