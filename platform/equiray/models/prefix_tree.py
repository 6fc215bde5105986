"""Token sequences that share prefixes, laid out so that every shared token is computed once.

Rows of a table, their counterfactual twins, both orders of two answers, eighteen fillers of one sentence: what
equiray asks of a language model nearly always begins alike. Sorted, such sequences form a tree. The tree is
walked in preorder and cut into *packs* of bounded length; a pack is one run of tokens in which each token sees
its own ancestors only. There is no padding at all, and a prefix common to every sequence (the task's
instructions) is the *trunk*, computed once a batch and seen by all packs.

Pure numpy: the attention that reads this layout is in `equiray.models.tree_attention`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SHORTEST_TRUNK = 16
"""Tokens below which repeating a shared prefix in each pack costs less than keeping its keys beside every pack's."""


class Pack(NamedTuple):
    """One run of tree nodes in a batch: ``[start, stop)`` in the flat token axis, and where each subtree ends."""

    start: int
    stop: int
    subtree_end: np.ndarray
    """int64 [stop - start], relative to `start`: node j is an ancestor of i (or i) iff j <= i < subtree_end[j]"""


@dataclass(frozen=True, kw_only=True)
class TreeBatch:
    """What one forward pass computes.

    Attributes
    ----------
    tokens, positions : int64 [T]
        Flat token axis: the trunk first, then the packs.
    trunk : int
        Number of trunk tokens, 0 if there is none.
    packs : tuple of Pack
    sequences : int64 [S]
        Index of each sequence in the caller's list.
    paths : tuple of int64 [len(sequence)]
        For each of them, where its tokens lie on the flat axis (the trunk's included).
    """

    tokens: np.ndarray
    positions: np.ndarray
    trunk: int
    packs: tuple[Pack, ...]
    sequences: np.ndarray
    paths: tuple[np.ndarray, ...]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix of two token sequences."""
    n = min(len(a), len(b))
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n


def tree_batches(sequences: Sequence[Sequence[int]], *, batch_tokens: int, pack_tokens: int) -> Iterator[TreeBatch]:
    """Cut token sequences into batches of about `batch_tokens` new tokens, in packs of about `pack_tokens`.

    Sequences are taken in lexicographic order, so neighbours share the most; equal sequences cost nothing. A pack
    is closed when the next sequence would outgrow `pack_tokens`, and repeats the prefix it needs: longer packs
    share more but pay attention's quadratic price.

    Parameters
    ----------
    sequences : sequences of token ids, none empty
    batch_tokens, pack_tokens : int
        Upper limits, exceeded only by a single sequence that is longer.
    """
    if any(len(s) == 0 for s in sequences):
        raise ValueError("an empty token sequence has no hidden state")
    order = sorted(range(len(sequences)), key=lambda i: tuple(sequences[i]))
    trunk = _trunk(sequences, order)
    head = np.asarray(sequences[order[0]][:trunk], dtype=np.int64) if order else np.empty(0, np.int64)
    batch = _BatchBuilder(head)
    for pack in _packs(sequences, order, trunk, pack_tokens):
        if batch.packs and batch.length + len(pack.tokens) > batch_tokens:
            yield batch.build()
            batch = _BatchBuilder(head)
        batch.add(pack)
    if batch.packs:
        yield batch.build()


def _trunk(sequences: Sequence[Sequence[int]], order: list[int]) -> int:
    """Length of the prefix that all share; at least one token of every sequence stays outside it."""
    if len(order) < 2:
        return 0
    shared = common_prefix(sequences[order[0]], sequences[order[-1]])
    trunk = min(shared, min(len(s) for s in sequences) - 1)
    return trunk if trunk >= SHORTEST_TRUNK else 0


class _PackNodes(NamedTuple):
    tokens: list[int]
    depths: list[int]
    subtree_end: np.ndarray
    members: list[tuple[int, np.ndarray]]


def _packs(sequences: Sequence[Sequence[int]], order: list[int], trunk: int, pack_tokens: int) -> Iterator[_PackNodes]:
    tokens: list[int] = []
    depths: list[int] = []
    members: list[tuple[int, np.ndarray]] = []
    path: list[int] = []
    previous: Sequence[int] = ()
    for index in order:
        sequence = sequences[index]
        shared = max(common_prefix(previous, sequence) - trunk, 0) if members else 0
        if members and len(tokens) + len(sequence) - trunk - shared > pack_tokens:
            yield _PackNodes(tokens, depths, _subtree_ends(depths), members)
            tokens, depths, members, path, shared = [], [], [], [], 0
        path = path[:shared]
        for depth in range(trunk + shared, len(sequence)):
            path.append(len(tokens))
            tokens.append(sequence[depth])
            depths.append(depth)
        members.append((index, np.asarray(path, dtype=np.int64)))
        previous = sequence
    if members:
        yield _PackNodes(tokens, depths, _subtree_ends(depths), members)


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


class _BatchBuilder:
    def __init__(self, trunk: np.ndarray) -> None:
        self.trunk = trunk
        self.length = len(trunk)
        self.packs: list[_PackNodes] = []

    def add(self, pack: _PackNodes) -> None:
        self.packs.append(pack)
        self.length += len(pack.tokens)

    def build(self) -> TreeBatch:
        trunk_path = np.arange(len(self.trunk), dtype=np.int64)
        tokens, positions = [self.trunk], [trunk_path]
        packs, sequences, paths = [], [], []
        start = len(self.trunk)
        for nodes in self.packs:
            tokens.append(np.asarray(nodes.tokens, dtype=np.int64))
            positions.append(np.asarray(nodes.depths, dtype=np.int64))
            packs.append(Pack(start, start + len(nodes.tokens), nodes.subtree_end))
            for index, path in nodes.members:
                sequences.append(index)
                paths.append(np.concatenate([trunk_path, path + start]))
            start += len(nodes.tokens)
        return TreeBatch(
            tokens=np.concatenate(tokens),
            positions=np.concatenate(positions),
            trunk=len(self.trunk),
            packs=tuple(packs),
            sequences=np.asarray(sequences, dtype=np.int64),
            paths=tuple(paths),
        )
