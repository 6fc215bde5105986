"""Token sequences that share prefixes, laid out so that every shared token is computed once.

Rows of a table, their counterfactual twins, both orders of two answers, eighteen fillers of one sentence: what
equiray asks of a language model nearly always begins alike. Sorted, such sequences form a tree; its nodes in
preorder are one flat run of tokens, in which each token sees its own ancestors only. There is no padding at all.

Pure numpy: the attention that reads this layout is in `equiray.models.tree_attention`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TreeBatch:
    """What one forward pass computes.

    Attributes
    ----------
    tokens, positions : int64 [T]
        The nodes' tokens in preorder, and their depths.
    subtree_end : int64 [T]
        Where each node's subtree ends: node j is i or an ancestor of i iff j <= i < subtree_end[j].
    sequences : int64 [S]
        Index of each sequence in the caller's list.
    paths : tuple of int64 [len(sequence)]
        For each of them, its nodes from the root on.
    """

    tokens: np.ndarray
    positions: np.ndarray
    subtree_end: np.ndarray
    sequences: np.ndarray
    paths: tuple[np.ndarray, ...]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix of two token sequences."""
    n = min(len(a), len(b))
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n


def tree_batches(sequences: Sequence[Sequence[int]], *, batch_tokens: int) -> Iterator[TreeBatch]:
    """Cut token sequences into trees of at most `batch_tokens` nodes (more only for a single longer sequence).

    Sequences are taken in lexicographic order, so neighbours share the most, and equal sequences cost nothing. A
    batch repeats only the prefix that its first sequence shares with the batch before.

    Raises
    ------
    ValueError
        A sequence is empty.
    """
    if any(len(s) == 0 for s in sequences):
        raise ValueError("an empty token sequence has no hidden state")
    tree = _TreeBuilder()
    for index in sorted(range(len(sequences)), key=lambda i: tuple(sequences[i])):
        sequence = sequences[index]
        if tree.members and len(tree.tokens) + tree.new_nodes(sequence) > batch_tokens:
            yield tree.build()
            tree = _TreeBuilder()
        tree.add(index, sequence)
    if tree.members:
        yield tree.build()


class _TreeBuilder:
    """A tree that grows by one sequence after the other, in lexicographic order."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.depths: list[int] = []
        self.members: list[tuple[int, np.ndarray]] = []
        self._path: list[int] = []
        self._last: Sequence[int] = ()

    def new_nodes(self, sequence: Sequence[int]) -> int:
        return len(sequence) - common_prefix(self._last, sequence)

    def add(self, index: int, sequence: Sequence[int]) -> None:
        shared = common_prefix(self._last, sequence)
        del self._path[shared:]
        for depth in range(shared, len(sequence)):
            self._path.append(len(self.tokens))
            self.tokens.append(sequence[depth])
            self.depths.append(depth)
        self.members.append((index, np.asarray(self._path, dtype=np.int64)))
        self._last = sequence

    def build(self) -> TreeBatch:
        return TreeBatch(
            tokens=np.asarray(self.tokens, dtype=np.int64),
            positions=np.asarray(self.depths, dtype=np.int64),
            subtree_end=_subtree_ends(self.depths),
            sequences=np.asarray([index for index, _ in self.members], dtype=np.int64),
            paths=tuple(path for _, path in self.members),
        )


def _subtree_ends(depths: list[int]) -> np.ndarray:
    """In preorder a subtree ends where the next node is no deeper than its root."""
    ends = np.empty(len(depths), dtype=np.int64)
    open_nodes: list[int] = []
    for node, depth in enumerate(depths):
        while open_nodes and depths[open_nodes[-1]] >= depth:
            ends[open_nodes.pop()] = node
        open_nodes.append(node)
    ends[open_nodes] = len(depths)
    return ends
