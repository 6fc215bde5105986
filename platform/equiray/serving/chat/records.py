"""What is asked, and what was answered: plain data, so that a deployment can stand between router and model.

Notable: `Vote` holds numbers alone and stays in the audit log for ever; whatever is made of words stands in `Words`,
which can be erased.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from equiray.bundles.manifest import Threshold
from equiray.models.engines.records import Finish, Message, ScoredToken

Rule: TypeAlias = Literal["options", "final_answer", "best_chain"]
"""How chains are compared: by the option they answer, by the answer they state, or by their scores alone."""

Stopped: TypeAlias = Literal["all_sampled", "settled", "budget", "deterministic"]
"""Why no more chains were sampled; ``deterministic``: at temperature 0 every chain is the first."""

Outcome: TypeAlias = Literal["answered", "unparsed", "refused"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question.

    Attributes
    ----------
    messages : tuple of Message
        The conversation; of a plain prompt, one user's message.
    plain : bool
        A prompt that is continued as it stands, without a chat template.
    choices : int
        Distinct answers that are wanted, the best by weight.
    temperature, top_p, max_tokens, stop
        None: as the bundle was evaluated.
    seed : int or None
        None: one is drawn.
    likeliest : int or None
        Log-probabilities of the chosen chains' tokens are wanted, and of so many others at each place.
    """

    messages: tuple[Message, ...]
    plain: bool = False
    choices: int = 1
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    likeliest: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChainVote:
    """One chain, in the order in which they were drawn.

    `answer` is its place among the answers, `score` its aggregated steps and `weight` its part of the vote; None and 0
    for a chain that has no vote.
    """

    outcome: Outcome
    answer: int | None
    score: float | None
    weight: float
    tokens: int
    finish: Finish


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens: of the prompt, of all chains, and of those chains that nobody was shown."""

    prompt_tokens: int
    completion_tokens: int
    unseen_tokens: int


@dataclass(frozen=True, kw_only=True)
class Vote:
    """How an answer was decided.

    Attributes
    ----------
    rule : {"options", "final_answer", "best_chain"}
    vote_shares : tuple of float
        Each answer's part of the weight, the heaviest first; empty where chains are compared by their scores alone.
    answer_chains : tuple of int
        Chains that give each answer.
    majority : int or None
        Place of the answer that equal weights would give.
    chains : tuple of ChainVote
    step_scores : tuple of tuple of float
        Of each chain, the probability of every step that it is unbiased.
    chosen : tuple of int
        Chains that were returned, the best first.
    stopped : {"all_sampled", "settled", "budget", "deterministic"}
    most : int
        Chains that there could have been.
    tau : float
    aggregator : str
    seed : int
    as_evaluated : bool
        Whether sampling and temperature are those that the bundle was evaluated with.
    usage : Usage
    """

    rule: Rule
    vote_shares: tuple[float, ...]
    answer_chains: tuple[int, ...]
    majority: int | None
    chains: tuple[ChainVote, ...]
    step_scores: tuple[tuple[float, ...], ...]
    chosen: tuple[int, ...]
    stopped: Stopped
    most: int
    tau: Threshold
    aggregator: str
    seed: int
    as_evaluated: bool
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Words:
    """What was said.

    Attributes
    ----------
    answers : tuple of str
        In the order of `Vote.vote_shares`.
    texts : tuple of str
        Of the chosen chains.
    majority_text : str or None
        The first chain that gives the majority's answer.
    tokens : tuple of tuple of ScoredToken, or None
        Of the chosen chains, where they were asked for.
    """

    answers: tuple[str, ...]
    texts: tuple[str, ...]
    majority_text: str | None
    tokens: tuple[tuple[ScoredToken, ...], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer of a model, named by its bundle and that bundle's version."""

    model: str
    version: str
    vote: Vote
    words: Words


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A question that cannot be answered as it was asked: the caller's to mend."""

    message: str
    param: str | None = None
    code: str | None = None
