"""Votes of served chains: the batch's decisions by a second route, rounds that stop early, words that are chosen."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import endpoints
from chat_made import loaded, scripted
from equiray.bundles.bundle import Bundle
from equiray.data.cases.asking import Asking, ask
from equiray.data.cases.chain_text import read_chain
from equiray.errors import BadInput
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import Chain, ReasonedCase
from equiray.mitigation.voting import ScoredChain, ScoredChains, Votes, chain_scores, decide
from equiray.models.chat_api import ChatServer
from equiray.models.engines.endpoint_engine import EndpointEngine
from equiray.models.engines.records import Message
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.records import Answered, Asked, Rejected
from equiray.serving.chat.settings import ChatSettings
from reward_cases import case
from tiny_models import WORDS

CHAINS = 6
QUESTION = ask(case("one"), Asking(examples=False))


@pytest.fixture
def answerer(bundle: Bundle) -> Iterator[ChatAnswerer]:
    """The tiny language model itself."""
    with closing(ChatAnswerer(bundle)) as made:
        yield made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return loaded(tmp_path_factory.mktemp("chat"))


def asked(text: str, **changes: object) -> Asked:
    return Asked(messages=(Message("user", text),), **changes)


Answers = Callable[..., Answered]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """What is answered where these texts are the chains."""
    own = loaded(tmp_path_factory.mktemp("scripted"))
    said: list[str] = []
    with closing(ChatAnswerer(own, engine=scripted(own, lambda _: said))) as answerer:

        def answered(texts: Sequence[str], question: str = QUESTION.text, **settings: object) -> Answered:
            said[:] = texts
            answerer.settings = ChatSettings(**settings)
            (found,) = answerer.answer([asked(question)])
            assert isinstance(found, Answered)
            return found

        yield answered


def invented(seed: int) -> list[str]:
    """Chains of random words; some answer none of the options, some refuse, one may be empty."""
    random = np.random.default_rng(seed)

    def step() -> str:
        return " ".join(random.choice(WORDS, size=random.integers(1, 7)))

    texts = []
    for _ in range(CHAINS):
        steps = [step() for _ in range(random.integers(0, 4))]
        ending = ["", "Answer: A or B", "I'm sorry, but I can't help with that."][random.integers(3)]
        said = f"Answer: {random.choice(['A', 'B', 'C'])}" if random.random() < 0.8 else ending
        texts.append("\n\n".join([*steps, said]).strip())
    return texts


def batch(bundle: Bundle, texts: Sequence[str], tau: float) -> tuple[int | None, dict[int, float]]:
    """The batch's way: a case, its question, chains that are read and scored at once, `decide`."""
    read = [read_chain(text, QUESTION) for text in texts]
    whole = [
        read_chain(text, QUESTION, keep_answer_line=True) if not one.steps and one.outcome == "answered" else one
        for text, one in zip(texts, read, strict=True)
    ]
    chains = tuple(
        Chain(case_id="one", index=index, steps=one.steps, answer=one.answer, outcome=one.outcome)
        for index, one in enumerate(whole)
    )
    with bundle.reward.opened() as model:
        scores = score_chains(model, [ReasonedCase(case=case("one"), question=QUESTION.text, chains=chains)])
    parts = np.split(scores.probabilities, scores.first[1:-1])
    rows = [ScoredChain(chain.answer, chain.outcome, part.tolist()) for chain, part in zip(chains, parts, strict=True)]
    scored = ScoredChains.of("test", {"one": (3, rows)})
    votes = Votes.of(scored, chain_scores(scored, bundle.reward.part.aggregator))
    found = decide(votes, tau)
    decided = int(found.answer[0])
    return (None if decided < 0 else decided), dict(enumerate(found.share[0].tolist()))


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.2, math.inf])
def test_the_vote_is_the_batch_decision_on_the_same_chains(bundle: Bundle, answer: Answers, tau: float):
    decided, by_hand = set(), 0
    for seed in range(25):
        texts = invented(seed)
        found = answer(texts, tau=tau, round_chains=CHAINS)
        option, shares = batch(bundle, texts, tau)
        decided.add(option)
        if option is None:
            assert found.vote.rule == "best_chain"
            continue
        place = QUESTION.order.index(option)
        assert found.vote.rule == "options"
        assert found.words.answers[0] == f"{'ABC'[place]}. {QUESTION.options[place]}"
        told = dict(zip(found.words.answers, found.vote.vote_shares, strict=True))
        for name, share in told.items():
            assert share == pytest.approx(shares[QUESTION.order["ABC".index(name[0])]])
        if math.isinf(tau) or tau == 0:
            continue
        # by hand: the least fair step of each chain, softmax over those that answer
        least = {
            index: min(steps)
            for index, (chain, steps) in enumerate(zip(found.vote.chains, found.vote.step_scores, strict=True))
            if chain.answer is not None
        }
        total = sum(math.exp(score / tau) for score in least.values())
        for index, score in least.items():
            assert found.vote.chains[index].weight == pytest.approx(math.exp(score / tau) / total)
        best = max((index for index in least if found.vote.chains[index].answer == 0), key=lambda index: least[index])
        assert found.vote.chosen == (best,) and found.words.texts == (texts[best],)
        by_hand += 1
    assert len(decided) > 2
    assert by_hand > 10 or tau in (0, math.inf)


@pytest.mark.parametrize("question", [QUESTION.text, "Who earns more ?"])
@pytest.mark.parametrize("tau", [0.3, 1.0, math.inf])
def test_stopping_early_never_changes_the_answer_that_all_chains_give(answer: Answers, question: str, tau: float):
    stopped = 0
    for seed in range(40):
        texts = invented(seed)
        early = answer(texts, question, tau=tau, round_chains=1)
        whole = answer(texts, question, tau=tau, round_chains=CHAINS)
        assert len(whole.vote.chains) == CHAINS and whole.vote.stopped == "all_sampled"
        assert early.words.answers[:1] == whole.words.answers[:1]
        assert early.vote.rule == whole.vote.rule
        for one, other in zip(early.vote.step_scores, whole.vote.step_scores, strict=False):
            assert one == pytest.approx(other, abs=1e-6)
        if len(early.vote.chains) < CHAINS:
            assert early.vote.stopped == "settled"
            stopped += 1
    assert stopped > 0


def test_with_a_risk_fewer_chains_are_drawn(answer: Answers):
    counts = {
        risk: sum(len(answer(invented(seed), risk=risk, round_chains=1).vote.chains) for seed in range(25))
        for risk in (0.0, 0.2)
    }
    assert counts[0.2] < counts[0.0]


def test_a_budget_begins_no_round_that_would_end_later(bundle: Bundle):
    times = iter([0.0, *(each for begun in range(9) for each in (begun * 1.0, begun + 1.0))])
    settings = ChatSettings(tau=0.05, round_chains=1, latency_budget_s=3.5)
    engine = scripted(bundle, ["Answer: A", "Answer: B", "Answer: C", "Answer: A", "Answer: B", "Answer: C"])
    with closing(ChatAnswerer(bundle, engine=engine, settings=settings, clock=lambda: next(times))) as answerer:
        (found,) = answerer.answer([asked(QUESTION.text)])
    assert isinstance(found, Answered)
    assert found.vote.stopped == "budget" and len(found.vote.chains) == 3
    assert [index for _, index in engine.chat.drawn] == [0, 1, 2]


def test_free_answers_are_grouped_by_what_they_state(answer: Answers):
    texts = ["It is so .\n\nAnswer: No", "No.", "The answer is no", "Yes it is .\n\nAnswer: Yes", "hours\n\nweek", "no"]
    found = answer(texts, "Does this person earn more ?", tau=math.inf, round_chains=CHAINS)
    assert found.vote.rule == "final_answer"
    assert found.words.answers == ("No", "Yes") and found.vote.answer_chains == (4, 1)
    assert found.vote.vote_shares == pytest.approx((0.8, 0.2))
    assert found.vote.chains[4].outcome == "unparsed" and found.vote.chains[4].weight == 0


def test_without_any_answer_the_best_scored_chain_is_returned(answer: Answers):
    texts = [f"{one} .\n\nhours worked {one} ." for one in ("Male", "Female", "Wife", "No", "Yes")]
    texts.append("I'm sorry, but I can't help with that.\n\nNo .")
    found = answer(texts, "Tell me more .")
    least = [min(steps) for steps in found.vote.step_scores[:5]]
    assert found.vote.rule == "best_chain" and found.vote.majority is None and found.words.majority_text is None
    assert found.vote.chosen == (int(np.argmax(least)),) and len(found.vote.chains) == CHAINS
    refused = answer([texts[-1]] * CHAINS, "Tell me more .")
    assert refused.words.texts == (texts[-1],)  # where all refuse, that is the answer
    empty = answer([""] * CHAINS, "Tell me more .")
    assert empty.words.texts == ("",) and empty.vote.chains[0].score is None


def test_several_choices_are_the_heaviest_answers_in_order(bundle: Bundle):
    texts = ["No", "Yes .", "No .", "Male", "yes", "No !"]
    settings = ChatSettings(tau=math.inf, round_chains=1)
    with closing(ChatAnswerer(bundle, engine=scripted(bundle, texts), settings=settings)) as answerer:
        question = "Does this person earn more ?"
        found, many = answerer.answer([asked(question, choices=4), asked(question, choices=7)])
    assert isinstance(found, Answered)
    assert len(found.vote.chains) == CHAINS  # which answer is second may change to the last
    assert found.words.answers == ("No", "Yes .", "Male") and len(found.words.texts) == 3
    assert isinstance(many, Rejected) and many.param == "n"


def test_with_several_choices_no_settled_winner_ends_the_drawing(bundle: Bundle):
    settings = ChatSettings(tau=math.inf, round_chains=1)
    engine = scripted(bundle, ["No", "No", "No", "No", "Yes", "Male"])
    with closing(ChatAnswerer(bundle, engine=engine, settings=settings)) as answerer:
        one, two = answerer.answer([asked("Yes ?"), asked("Yes ?", choices=2)])
    assert isinstance(one, Answered) and isinstance(two, Answered)
    assert (len(one.vote.chains), one.vote.stopped) == (3, "settled")
    assert (len(two.vote.chains), two.words.texts) == (CHAINS, ("No", "Yes"))


def test_a_question_that_the_reward_model_cannot_read_spoils_no_other(bundle: Bundle):
    long = {"Yes ?": ["Yes .\n\nAnswer: No"] * CHAINS, "No ?": ["No " * 600 + "\n\nAnswer: No"] * CHAINS}
    with closing(ChatAnswerer(bundle, engine=scripted(bundle, long.__getitem__))) as answerer:
        good, bad, other = answerer.answer([asked("Yes ?"), asked("No ?"), asked("Yes ?")])
    assert isinstance(good, Answered) and isinstance(other, Answered) and good.words == other.words
    assert isinstance(bad, Rejected) and bad.param == "messages" and "512" in bad.message


def test_an_endpoint_may_write(bundle: Bundle):
    """What an OpenAI-compatible server writes is voted on; what it cannot do is no fault of the question."""
    server = endpoints.Script(lambda prompt: f"So it is .\n\nAnswer: {'Yes' if 'earn' in prompt else 'No'}")
    with endpoints.serving(server) as url:
        engine = scripted(bundle, [])
        engine = replace(engine, chat=EndpointEngine(server=ChatServer(base_url=url, model="m", attempts=1)))
        with closing(ChatAnswerer(bundle, engine=engine)) as answerer:
            (found,) = answerer.answer([asked("Does this person earn more ?", temperature=0.5)])
            server.status = 500
            with pytest.raises(BadInput, match="500"):
                answerer.answer([asked("Yes ?")])
    assert isinstance(found, Answered)
    assert found.words.answers == ("Yes",) and found.vote.chains[5].tokens == 0
    assert all(body["temperature"] == 0.5 for body in server.requests if "earn" in body["messages"][0]["content"])


def test_questions_that_are_asked_together_are_answered_as_alone(bundle: Bundle, answer: Answers):
    by_question = {text: invented(seed) for seed, text in enumerate(["Yes or No ?", QUESTION.text, "Male or Female ?"])}
    with closing(ChatAnswerer(bundle, engine=scripted(bundle, by_question.__getitem__))) as together:
        found = together.answer([asked(text, seed=1) for text in by_question])
    for one, (text, texts) in zip(found, by_question.items(), strict=True):
        alone = answer(texts, text)
        assert isinstance(one, Answered)
        assert one.words == alone.words
        assert one.vote.vote_shares == pytest.approx(alone.vote.vote_shares)


def test_what_is_wrong_with_one_question_is_its_answer_alone(answerer: ChatAnswerer):
    long = "Yes " * 511
    found = answerer.answer([asked("Yes ?"), asked(long), asked("No ?"), asked("Yes ?", max_tokens=4096)])
    kinds = [type(each) for each in found]
    assert kinds == [Answered, Rejected, Answered, Rejected]
    assert found[1].code == "context_length_exceeded" and "512" in found[1].message
    assert found[3].param == "max_tokens"


def test_a_seed_gives_the_same_chains_and_another_one_others(answerer: ChatAnswerer):
    one, same, other, drawn = (answerer.answer([asked("Yes or No ?", seed=seed)])[0] for seed in (4, 4, 5, None))
    assert one == same
    assert other.words.texts != one.words.texts
    again = answerer.answer([asked("Yes or No ?", seed=drawn.vote.seed)])[0]
    assert again == drawn  # the seed that was drawn is told


def test_at_temperature_0_there_is_one_chain(answerer: ChatAnswerer):
    (found,) = answerer.answer([asked("Yes or No ?", temperature=0.0)])
    assert isinstance(found, Answered)
    assert found.vote.stopped == "deterministic" and len(found.vote.chains) == 1 and not found.vote.as_evaluated


def test_settings_may_change_between_two_answers(answerer: ChatAnswerer):
    before = answerer.answer([asked("Yes or No ?", seed=1)])[0]
    answerer.settings = ChatSettings(tau=math.inf)
    after = answerer.answer([asked("Yes or No ?", seed=1)])[0]
    assert before.vote.tau == 0.2 and before.vote.as_evaluated
    assert after.vote.tau == math.inf and not after.vote.as_evaluated


@pytest.mark.parametrize(
    "wrong", [{"tau": -1.0}, {"round_chains": 0}, {"risk": 1.0}, {"latency_budget_s": 0.0}, {"most_tokens": 0}]
)
def test_settings_out_of_range_are_named(wrong: dict[str, float]):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        ChatSettings(**wrong)


def test_a_reward_model_is_not_opened_twice(bundle: Bundle, answerer: ChatAnswerer):
    with pytest.raises(ValueError, match="open already"):
        ChatAnswerer(bundle)
    answerer.close()
    ChatAnswerer(bundle).close()


def test_a_conversation_that_the_template_refuses_is_the_callers_to_mend(bundle: Bundle):
    engine = scripted(bundle, ["Yes ."] * CHAINS)
    picky = copy.copy(engine.tokenizer)
    picky.chat_template = "{{ raise_exception('roles must alternate') }}"
    with closing(ChatAnswerer(bundle, engine=replace(engine, tokenizer=picky))) as answerer:
        (found,) = answerer.answer([asked("Yes ?")])
    assert isinstance(found, Rejected) and found.param == "messages" and "roles must alternate" in found.message


def test_a_bundle_without_a_reward_model_answers_no_chats(bundle: Bundle):
    with pytest.raises(BadInput, match="no reward model"):
        ChatAnswerer(replace(bundle, reward=None))
