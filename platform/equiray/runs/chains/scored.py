"""`ScoredSide`: the chains of one data set's split, with the scores of the reward models; sampled and scored once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.mitigation.reward.likelihoods import AnswerLikelihoods
from equiray.mitigation.reward.model import Base
from equiray.mitigation.reward.scoring import causal_effects, score_chains
from equiray.mitigation.reward.steps import ReasonedCase
from equiray.mitigation.reward.store import load_reward_model
from equiray.mitigation.voting.aggregation import chain_scores
from equiray.mitigation.voting.chains import ScoredChain, ScoredChains
from equiray.mitigation.voting.store import load_chains, save_chains
from equiray.mitigation.voting.votes import Votes
from equiray.runs.chains.planning import PlannedCases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.directory import RunDirectory
from equiray.runs.sampling.chains import Sampler, reasoned_cases
from equiray.specs.chains import ChainsSpec


@dataclass(frozen=True, kw_only=True)
class ScoredSide:
    """One split of a data set.

    Attributes
    ----------
    cases : tuple of ReasonedCase
    table : pa.Table
        The chains as they were read.
    chains : ScoredChains
    votes : Votes
        By the steps' scores; `outcome` by the model of whole chains, `prompted` are chains that were asked to be fair,
        whose scores say nothing. None where the spec does not ask for them.
    """

    cases: tuple[ReasonedCase, ...]
    table: pa.Table
    chains: ScoredChains
    votes: Votes
    outcome: Votes | None
    prompted: Votes | None


@dataclass(frozen=True, kw_only=True)
class ChainScorer:
    """Samples and scores; `base` is what both reward models were trained on."""

    spec: ChainsSpec
    reward: RewardRun
    base: Base
    sampler: Sampler
    directory: RunDirectory

    def side(self, planned: PlannedCases, side: str) -> ScoredSide:
        """Chains of a split; what is on disk is read."""
        name, cases = f"{planned.name}.{side}", planned.parts[side]
        table = self.sampler.chains(cases, name, self.directory)
        reasoned = tuple(reasoned_cases(cases, self.sampler.questions(cases), table))
        with self.directory.step(f"{name}: score steps"):
            chains = self._chains(name, side, reasoned)
            outcome = self._outcome(name, reasoned) if "outcome" in self.spec.baselines else None
            votes = Votes.of(chains, self._aggregated(name, reasoned, chains))
        return ScoredSide(
            cases=reasoned,
            table=table,
            chains=chains,
            votes=votes,
            outcome=None if outcome is None else Votes.of(chains, outcome),
            prompted=self._prompted(planned, side),
        )

    def scored_anew(self, side: str, cases: Sequence[ReasonedCase]) -> ScoredChains:
        """Scores of all steps, computed."""
        with load_reward_model(self.reward.process, self.base) as model:
            scores = score_chains(model, cases)
        return scored_chains(side, cases, scores.probabilities)

    def _chains(self, name: str, side: str, cases: Sequence[ReasonedCase]) -> ScoredChains:
        file = f"scored/{name}.parquet"
        if not (self.directory.path / file).is_file():
            with self.directory.atomic(file) as scratch:
                save_chains(self.scored_anew(side, cases), scratch)
        return load_chains(self.directory.path / file)

    def _outcome(self, name: str, cases: Sequence[ReasonedCase]) -> NDArray[np.float64]:
        """Scores of whole chains, [C, N]."""
        assert self.reward.outcome is not None, "a reward run without one is refused"
        file = f"scored/{name}.outcome.parquet"
        table = self.directory.read_table(file)
        if table is None:
            with load_reward_model(self.reward.outcome, self.base) as model:
                found = score_chains(model, cases).probabilities
            table = pa.table({"unbiased": found})
            self.directory.write_table(file, table)
        return table["unbiased"].to_numpy().reshape(len(cases), -1)

    def _aggregated(self, name: str, cases: Sequence[ReasonedCase], chains: ScoredChains) -> NDArray[np.float64]:
        decision = self.spec.decision
        if decision.step_weights == "uniform":
            return chain_scores(chains, decision.aggregate)
        file = f"scored/{name}.effects.parquet"
        table = self.directory.read_table(file)
        if table is None:
            table = pa.table({"effect": causal_effects(AnswerLikelihoods(lm=self.sampler.engines.lm()), cases)})
            self.directory.write_table(file, table)
        effects = np.nan_to_num(table["effect"].to_numpy())  # of chains without an answer, which have no vote
        return chain_scores(chains, decision.aggregate, effects=effects)

    def _prompted(self, planned: PlannedCases, side: str) -> Votes | None:
        """Chains of the fairness prompt, of test cases alone: nothing is chosen by them."""
        if side != "test" or "fairness_prompt" not in self.spec.baselines:
            return None
        name, cases = f"{planned.name}.fair", planned.parts[side]
        with self.directory.step(f"{name}: sample chains"):
            table = self.sampler.chains(cases, name, self.directory, "fair")
        reasoned = reasoned_cases(cases, self.sampler.questions(cases, "fair"), table)
        steps = sum(len(chain.steps) for one in reasoned for chain in one.chains)
        chains = scored_chains(side, reasoned, np.ones(steps))
        return Votes.of(chains, np.ones(chains.shape))


def scored_chains(side: str, cases: Sequence[ReasonedCase], probabilities: NDArray[np.float64]) -> ScoredChains:
    """Chains with the probabilities [S] of their steps, which stand in the order of `step_records`."""
    found, first = {}, 0
    for one in cases:
        chains = []
        for chain in one.chains:
            part = probabilities[first : first + len(chain.steps)]
            first += len(chain.steps)
            chains.append(ScoredChain(chain.answer, chain.outcome, part.tolist()))
        found[one.case.case_id] = (len(one.case.options), chains)
    return ScoredChains.of(side, found)
