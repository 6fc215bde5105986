"""Chains of questions, drawn in rounds and scored, until there are enough.

What is notable:

- Chain k of a question depends on its seed, its messages and k alone, so rounds draw what one call for all of them
  would draw, up to the last bits of matrix products.
- A round that has begun is finished: chains that are done early are short ones, and a vote among them would be of
  those who say little. So a round begins only if one as long as the longest so far would end within the budget.
- Questions that are asked together and sampled alike share rounds; each stops by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from equiray.bundles.manifest import RewardPart
from equiray.data.cases.record import Case
from equiray.errors import BadInput
from equiray.mitigation.reward.model import RewardModel
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import Chain, ReasonedCase
from equiray.models.engines.records import Request, Sampling
from equiray.serving.chat.engines import ChatEngine
from equiray.serving.chat.grouping import Grouped, ReadCompletion, Reader
from equiray.serving.chat.records import Asked, Stopped
from equiray.serving.chat.settings import ChatSettings
from equiray.serving.chat.voting import Ballot, stopping_rule

_CASE = Case(case_id="question", dataset="chat", category="", text="", options=("A", "B"), answer=None)
"""A reward model reads the question and the steps; of the case it reads nothing."""


@dataclass(kw_only=True)
class OpenQuestion:
    """A question that is being answered.

    `most` chains at most are drawn, those of `step_scores` are scored; `unreadable` says why the reward model cannot.
    """

    asked: Asked
    reader: Reader
    sampling: Sampling
    tau: float
    most: int
    prompt_tokens: int
    chains: list[ReadCompletion] = field(default_factory=list)
    step_scores: list[tuple[float, ...]] = field(default_factory=list)
    stopped: Stopped | None = None
    unreadable: BadInput | None = None


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Draws and scores with one engine and one reward model; `clock` tells seconds, ever rising."""

    engine: ChatEngine
    reward: RewardModel
    part: RewardPart
    clock: Callable[[], float]

    def fill(self, questions: Sequence[OpenQuestion], settings: ChatSettings) -> None:
        """Draw until every question has chains enough, and says why.

        Raises
        ------
        BadInput
            The engine cannot write: an endpoint keeps failing.
        """
        started, longest = self.clock(), 0.0
        while open_ := [each for each in questions if each.stopped is None and each.unreadable is None]:
            begun = self.clock()
            self._draw(open_, settings.round_chains)
            self._score(open_)
            now = self.clock()
            longest = max(longest, now - begun)
            budget = settings.latency_budget_s
            late = budget is not None and now - started + longest > budget
            for question in (each for each in open_ if each.unreadable is None):
                question.stopped = self._stopping(question, settings.risk, late)

    def ballot(self, question: OpenQuestion) -> Ballot:
        """The chains of a question so far."""
        grouped = Grouped.of(question.reader, question.chains)
        return Ballot.of(grouped, question.chains, question.step_scores, self.part.aggregator)

    def _draw(self, questions: Sequence[OpenQuestion], count: int) -> None:
        alike: dict[tuple[bool, Sampling], list[OpenQuestion]] = {}
        for question in questions:
            alike.setdefault((question.asked.plain, question.sampling), []).append(question)
        for (plain, sampling), members in alike.items():
            engine = self.engine.plain if plain else self.engine.chat
            assert engine is not None, "a plain prompt to an engine without is refused"
            requests = [
                Request(
                    request_id=str(place),
                    messages=question.asked.messages,
                    n=min(len(question.chains) + count, question.most),
                    skip=frozenset(range(len(question.chains))),
                )
                for place, question in enumerate(members)
            ]
            for completion in sorted(engine.generate(requests, sampling), key=lambda each: each.index):
                question = members[int(completion.request_id)]
                assert completion.index == len(question.chains), "an engine writes what is wanted, each once"
                question.chains.append(question.reader.read(completion))

    def _score(self, questions: Sequence[OpenQuestion]) -> None:
        """Score the steps of the chains that are new; a question that is too long spoils no other."""
        cases = [_reasoned(question) for question in questions]
        try:
            scores = iter(score_chains(self.reward, cases).probabilities.tolist())
        except BadInput as error:
            if len(questions) == 1:
                questions[0].unreadable = error
                return
            for question in questions:
                self._score([question])
            return
        for question, case in zip(questions, cases, strict=True):
            question.step_scores += [tuple(next(scores) for _ in chain.steps) for chain in case.chains]

    def _stopping(self, question: OpenQuestion, risk: float, late: bool) -> Stopped | None:
        if question.sampling.temperature == 0:
            return "deterministic"
        if len(question.chains) >= question.most:
            return "all_sampled"
        # which answer is second may still change when the first cannot
        if question.asked.choices == 1:
            rule = stopping_rule(question.most, question.tau, risk, self.part.aggregator)
            if self.ballot(question).settled(rule):
                return "settled"
        return "budget" if late else None


def _reasoned(question: OpenQuestion) -> ReasonedCase:
    """The chains that have no scores yet, as the reward model reads them."""
    scored = len(question.step_scores)
    chains = tuple(
        Chain(case_id=_CASE.case_id, index=scored + place, steps=chain.steps, answer=None, outcome="unparsed")
        for place, chain in enumerate(question.chains[scored:])
    )
    return ReasonedCase(case=_CASE, question=question.reader.question, chains=chains)
