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
shared_prefixes = st.sampled_from([[], list(range(5)), list(range(70))])  # 70: longer than one tile of queries
batch_sizes = st.integers(1, 80)


def visible(batch: TreeBatch) -> np.ndarray:
    """bool [T, T]: which key each query sees, read off the tiles that attention runs on."""
    cut = tiling(batch, device=torch.device("cpu"), dtype=torch.float32)
    seen = np.zeros((len(batch.tokens), len(batch.tokens)), dtype=bool)
    queries = np.zeros(len(batch.tokens), dtype=int)
    for tile in cut:
        mask = tile.mask[0, 0].numpy()
        assert set(np.unique(mask)) <= {0.0, -np.inf}
        seen[np.ix_(np.arange(tile.queries.start, tile.queries.stop), tile.keys.numpy())] = mask == 0
        queries[tile.queries] += 1
    assert (queries == 1).all()  # attention's output is the tiles' outputs one after the other
    return seen


@settings(max_examples=150, deadline=None)
@given(shared_prefixes, sequences, batch_sizes)
def test_every_path_spells_its_sequence_and_sees_itself(shared, tails, batch_tokens):
    texts = [shared + tail for tail in tails]
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
        done += batch.sequences.tolist()
    assert sorted(done) == list(range(len(texts)))


@settings(max_examples=100, deadline=None)
@given(shared_prefixes, sequences)
def test_in_one_batch_every_distinct_prefix_is_computed_once(shared, tails):
    texts = [shared + tail for tail in tails]
    (batch,) = tree_batches(texts, batch_tokens=10_000)
    prefixes = {tuple(text[:length]) for text in texts for length in range(1, len(text) + 1)}
    assert len(batch.tokens) == len(prefixes)


def test_limits_are_exceeded_by_one_long_sequence_only():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 50, size).tolist() for size in [3, 40, 8, 9, 10, 12, 5, 4, 17]]
    for batch in tree_batches(texts, batch_tokens=20):
        assert len(batch.tokens) <= 20 or len(batch.paths) == 1


def test_a_sequence_that_is_anothers_prefix_costs_no_token():
    (batch,) = tree_batches([[1, 2, 3], [1, 2, 3, 4], [1, 2, 3]], batch_tokens=100)
    assert batch.tokens.tolist() == [1, 2, 3, 4]
    assert sorted(batch.sequences.tolist()) == [0, 1, 2]


def test_nothing_and_empty():
    assert list(tree_batches([], batch_tokens=10)) == []
    with pytest.raises(ValueError, match="empty token sequence"):
        list(tree_batches([[1], []], batch_tokens=10))
    assert common_prefix([1, 2, 3], [1, 2]) == 2
