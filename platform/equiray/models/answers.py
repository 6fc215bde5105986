"""Zero-shot decisions: how likely a language model answers yes rather than no about each row.

What is notable:

- The question is asked in every order of its two options and the probabilities are averaged: models prefer the first
  option, or the second, whatever it says.
- A model that is fine-tuned answers in words instead, in one order: by letters, each label has either letter as its
  right answer equally often, so nothing about a row moves the loss before the model reads the letters' choices; a small
  model does not come that far.
- What depends on the order comes last in the prompt. Instructions and the row's text are then the same prefix in both
  orders and are computed once (`equiray.models.prefix_tree`).
- The words are the same for a model in this process and for one behind an endpoint (`equiray.models.endpoint`).
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from equiray.data.text import Prompts
from equiray.models.embedding import Progress
from equiray.models.loading import CausalLM
from equiray.models.scoring import Scorer

Outcome = Literal["answered", "refused", "unparsed"]
"""What became of a question: one of its answers, a refusal, or words in which neither answer is found."""


class Answers(NamedTuple):
    """Decisions about rows.

    `probabilities`: float64 [rows], of the positive answer, NaN where `outcomes` [rows] is not ``answered``.
    """

    probabilities: NDArray[np.float64]
    outcomes: tuple[Outcome, ...]

    @classmethod
    def complete(cls, probabilities: NDArray[np.float64]) -> "Answers":
        """Decisions of a model that cannot but answer."""
        return cls(probabilities, ("answered",) * len(probabilities))


def joint_outcome(outcomes: Collection[Outcome]) -> Outcome:
    """What became of a row that was asked about in several ways: answered if all are, refused if one is.

    The answered part alone would decide by half of what was to be averaged: one of two orders, a row without its twin.
    """
    return "refused" if "refused" in outcomes else "unparsed" if "unparsed" in outcomes else "answered"


class Variant(NamedTuple):
    """One way to put the question: `tail` follows the row's text, then the model answers one of the two."""

    tail: str
    positive: str
    negative: str


def variants(prompts: Prompts) -> tuple[Variant, ...]:
    """The ways a task's question is put: its two answers as A and B, once in each order; or once, answered in words.

    They stand before the suffix's last line ("Answer:").
    """
    positive, negative = (answer.strip() for answer in prompts.answers)
    question, _, cue = prompts.suffix.rpartition("\n")
    if prompts.answered_in == "words":
        return (Variant(f"{question}\nChoices: {positive}, {negative}\n{cue}", positive, negative),)
    options = "{question}\nA. {first}\nB. {second}\n{cue}".format
    return (
        Variant(options(question=question, first=positive, second=negative, cue=cue), "A", "B"),
        Variant(options(question=question, first=negative, second=positive, cue=cue), "B", "A"),
    )


class Frame(NamedTuple):
    """What stands around a prompt and before its answer, and whether the tokenizer adds its special tokens itself."""

    before: str
    after: str
    answer_lead: str
    add_special_tokens: bool


def prompt_frame(lm: CausalLM) -> Frame:
    """An instruct model's chat template, opened for the assistant's turn; nothing around a base model's prompt."""
    if not lm.tokenizer.chat_template:
        return Frame("", "", " ", True)
    mark = "@prompt@"
    message = [{"role": "user", "content": mark}]
    chat = str(lm.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    before, _, after = chat.partition(mark)
    return Frame(before, after, "", False)  # the template has written the special tokens already


def score_answers(lm: CausalLM, prompts: Prompts, *, progress: Progress | None = None) -> NDArray[np.float64]:
    """Probability of the positive answer to each prompt.

    Within a variant the probabilities of the two answers are normalised to one (of an answer that a tokenizer cuts in
    pieces, the mean per token counts); the variants' probabilities are averaged. A chat template is used where the
    tokenizer has one.

    Parameters
    ----------
    lm : CausalLM
    prompts : Prompts
        `answers[0]` is the positive one.

    Returns
    -------
    float64 [rows], in row order
    """
    if not prompts.row_bodies:
        return np.empty(0)
    questions = encode_questions(lm, prompts)
    sequences = [head + tail for head, pair in zip(questions.heads, questions.answers, strict=True) for tail in pair]
    first = np.repeat([len(head) for head in questions.heads], 2)
    sums, counts = Scorer(lm=lm).sequence_logprobs(sequences, first, progress)
    by_answer = softmax((sums / counts).reshape(len(prompts.row_bodies), questions.orders, 2), axis=2)
    return by_answer[:, :, 0].mean(axis=1)


class Questions(NamedTuple):
    """Prompts in tokens: those of row i stand from ``orders * i`` on, one for each order of its options.

    `answers` holds the positive and the negative answer to each.
    """

    heads: list[list[int]]
    answers: list[tuple[list[int], list[int]]]
    orders: int


def encode_questions(lm: CausalLM, prompts: Prompts) -> Questions:
    """Tokenize prompts, as a model is asked and as one is trained."""
    asked = variants(prompts)
    frame = prompt_frame(lm)
    texts = [
        frame.before + prompts.task_prefix + body + variant.tail + frame.after
        for body in prompts.row_bodies
        for variant in asked
    ]
    heads = lm.tokenizer(texts, add_special_tokens=frame.add_special_tokens)["input_ids"] if texts else []
    pairs = [_answer_tokens(lm, frame, variant) for variant in asked]
    return Questions(heads, pairs * len(prompts.row_bodies), len(asked))


def _answer_tokens(lm: CausalLM, frame: Frame, variant: Variant) -> tuple[list[int], list[int]]:
    answers = [frame.answer_lead + answer for answer in (variant.positive, variant.negative)]
    positive, negative = lm.tokenizer(answers, add_special_tokens=False)["input_ids"]
    return positive, negative


def average_with_twins(own: Answers, twins: Answers, twin_of: Sequence[int] | NDArray[np.int64]) -> Answers:
    """Counterfactual data augmentation for a model that cannot be trained: decide on a row and its twins together.

    The probability of a row becomes the mean over itself and its counterfactual twins. A row and its twins are the same
    set whichever of them one starts from, so the flipped attribute cannot move the decision. The paper
    (arXiv 2509.16462) leaves open what this stage is for a black-box model; twins as few-shot examples would change the
    prompt's length and bring in shots, so that stage minus baseline would measure more than the augmentation.

    Parameters
    ----------
    own, twins : Answers
        A twin without an answer leaves its row without one (`joint_outcome`).
    twin_of : int [twins]
        Position of each twin's row in `own`. A row without a twin keeps its probability.

    Returns
    -------
    Answers, of the rows
    """
    sums, counts = own.probabilities.astype(np.float64), np.ones(len(own.probabilities))
    np.add.at(sums, twin_of, twins.probabilities)
    np.add.at(counts, twin_of, 1)
    heard: list[list[Outcome]] = [[outcome] for outcome in own.outcomes]
    for row, outcome in zip(twin_of, twins.outcomes, strict=True):
        heard[row].append(outcome)
    return Answers(sums / counts, tuple(joint_outcome(outcomes) for outcomes in heard))
