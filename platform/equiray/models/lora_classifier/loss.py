"""What a step of fine-tuning computes: the cross-entropy of the right answer's tokens, and of nothing else.

Rows share what they begin with, the two orders of a row that is answered by letters share the prompt up to the options,
and the right answer's last token predicts nothing: so all prompts of a step are one tree without padding, in which an
answer of one token costs no token at all.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.data.text import Prompts
from equiray.models.answers import encode_questions
from equiray.models.classifiers import check_two_classes
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.scoring import predicted_tokens, token_logprobs
from equiray.models.tree_attention import tree_hidden_states


def loss_parts(
    lm: CausalLM, prompts: Prompts, labels: NDArray[np.int64], weights: NDArray[np.float64], *, batch_tokens: int
) -> Iterator[torch.Tensor]:
    """Parts of a step's loss, one a forward pass, to be differentiated one after the other; their sum is

        L = 1/(N O) Σ_i w[y_i] Σ_o CE(tokens of the right answer | prompt of row i in order o)

    with the mean over an answer's tokens, as it is scored (`equiray.models.answers.score_answers`). The softmax is over
    the whole vocabulary (arXiv 2509.16462 fine-tunes on the instruction's answer).

    Parameters
    ----------
    lm : CausalLM
    prompts : Prompts, of N rows
    labels : int64 [N]
        1 where the positive answer is right.
    weights : float64 [2]
        Weight of each class; see `class_weights`.
    batch_tokens : int
        Tokens of a forward pass.
    """
    questions = encode_questions(lm, prompts)
    right = [questions.answers[i][1 - label] for i, label in enumerate(np.repeat(labels, questions.orders))]
    sequences = [head + answer for head, answer in zip(questions.heads, right, strict=True)]
    first = np.array([len(head) for head in questions.heads])
    share = np.repeat(weights[labels], questions.orders) / len(sequences) / [len(answer) for answer in right]
    for tree in tree_batches([sequence[:-1] for sequence in sequences], batch_tokens=batch_tokens):
        hidden = tree_hidden_states(lm.model, lm.backbone, tree)
        scored = predicted_tokens(tree, sequences, first, hidden.device)
        logprobs = token_logprobs(lm, hidden, scored)
        weight = torch.as_tensor(share[tree.sequences][scored.owner], dtype=logprobs.dtype, device=logprobs.device)
        yield -(weight * logprobs).sum()


def class_weights(labels: NDArray[np.int64], kind: str) -> NDArray[np.float64]:
    """Weights [negative, positive]: 1, or ``balanced`` n / (2 n_class), whose mean over the rows is 1, too.

    Raises
    ------
    BadInput
        All rows have one label.
    """
    check_two_classes(labels, place="training rows")
    counts = np.bincount(labels, minlength=2)
    return len(labels) / (2 * counts) if kind == "balanced" else np.ones(2)
