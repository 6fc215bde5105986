"""Token trees: every path spells its sequence, every node sees its ancestors and nothing else, nothing is padded."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.models.prefix_tree import TreeBatch, common_prefix, tree_batches
from equiray.models.tree_attention import tiling

# few distinct tokens, so that random sequences share prefixes, repeat, and contain one another
sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=25)
shared_starts = st.sampled_from([[], list(range(5)), list(range(90))])  # longer than one tile of attention, too


def visible(batch: TreeBatch) -> np.ndarray:
    """bool [T, T]: which key each query sees, read off the tiles that attention runs on."""
    seen = np.zeros((len(batch.tokens), len(batch.tokens)), dtype=bool)
    next_query = 0
    for tile in tiling(batch, device=torch.device("cpu"), dtype=torch.float32):
        mask = tile.mask[0, 0].numpy()
        assert set(np.unique(mask)) <= {0.0, -np.inf}
        assert tile.queries.start == next_query  # attention's output is the tiles' outputs one after the other
        next_query = tile.queries.stop
        keys = tile.keys.numpy()
        assert len(set(keys.tolist())) == len(keys)
        seen[np.ix_(np.arange(tile.queries.start, tile.queries.stop), keys)] = mask == 0
    assert next_query == len(batch.tokens)
    return seen


@settings(max_examples=150, deadline=None)
@given(shared_starts, sequences, st.integers(1, 150))
def test_every_path_spells_its_sequence_and_sees_itself(start, tails, batch_tokens):
    texts = [start + tail for tail in tails]
    done = []
    for batch in tree_batches(texts, batch_tokens=batch_tokens):
        seen = visible(batch)
        used = np.zeros(len(batch.tokens), dtype=bool)
        for index, path in zip(batch.sequences, batch.paths, strict=True):
            assert batch.tokens[path].tolist() == texts[index]
            assert batch.positions[path].tolist() == list(range(len(path)))
            for depth, node in enumerate(path):
                assert np.flatnonzero(seen[node]).tolist() == path[: depth + 1].tolist()
            used[path] = True
        assert used.all()  # no padding: every token belongs to some sequence
        distinct = {tuple(texts[index]) for index in batch.sequences}
        assert len(batch.tokens) <= batch_tokens or len(distinct) == 1
        done += batch.sequences.tolist()
    assert sorted(done) == list(range(len(texts)))


@settings(max_examples=100, deadline=None)
@given(shared_starts, sequences)
def test_in_one_batch_every_distinct_prefix_is_computed_once(start, tails):
    texts = [start + tail for tail in tails]
    (batch,) = tree_batches(texts, batch_tokens=10_000)
    prefixes = {tuple(text[:length]) for text in texts for length in range(1, len(text) + 1)}
    assert len(batch.tokens) == len(prefixes)


def test_nothing_and_empty():
    assert list(tree_batches([], batch_tokens=10)) == []
    with pytest.raises(ValueError, match="empty token sequence"):
        list(tree_batches([[1], []], batch_tokens=10))
    assert common_prefix([1, 2, 3], [1, 2]) == 2
