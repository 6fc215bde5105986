"""Splits follow from row id, stratum and seed; shares and proportions are what they are said to be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.data.splits import _splitmix64, assign_splits, keyed_hash, subsample

seeds = st.integers(0, 2**32)


def some_rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    row_ids = rng.choice(10 * count, size=count, replace=False).astype(np.int64)
    return row_ids, rng.choice(["0|Female", "0|Male", "1|Female", "1|(missing)"], size=count, p=[0.5, 0.3, 0.15, 0.05])


def test_the_hash_is_splitmix64():
    def reference(state: int) -> int:  # Python integers and an explicit modulus, in place of wrapping arrays
        mixed = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        return mixed ^ (mixed >> 31)

    states = [0, 1, 12345, 2**64 - 1]
    assert _splitmix64(np.array(states, dtype=np.uint64)).tolist() == [reference(state) for state in states]
    assert reference(0) == 0xE220A8397B1DCDAF  # the first output of the published generator seeded with 0


def test_unlike_seeds_and_purposes_hash_unlike():
    ids = np.arange(100)
    hashes = [keyed_hash(ids, 0, "split"), keyed_hash(ids, 1, "split"), keyed_hash(ids, 0, "subsample")]
    assert len(np.unique(np.concatenate(hashes))) == 300


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 400), seed=seeds)
def test_each_stratum_is_split_60_20_20(count, seed):
    row_ids, strata = some_rows(count, seed)
    split = assign_splits(row_ids, strata, seed)
    for stratum in np.unique(strata):
        inside = split[strata == stratum]
        for name, share in [("train", 0.6), ("validation", 0.2), ("test", 0.2)]:
            assert abs(np.sum(inside == name) - share * len(inside)) < 1


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 400), seed=seeds)
def test_the_order_of_rows_does_not_matter(count, seed):
    row_ids, strata = some_rows(count, seed)
    order = np.random.default_rng(seed + 1).permutation(count)
    assert (assign_splits(row_ids, strata, seed)[order] == assign_splits(row_ids[order], strata[order], seed)).all()
    rows = count // 2
    chosen = subsample(row_ids, strata, rows, seed)
    assert (chosen[order] == subsample(row_ids[order], strata[order], rows, seed)).all()


@settings(max_examples=40, deadline=None)
@given(count=st.integers(4, 400), seed=seeds, share=st.floats(0.01, 1))
def test_a_subsample_has_exactly_the_rows_and_the_proportions(count, seed, share):
    row_ids, strata = some_rows(count, seed)
    rows = max(1, int(share * count))
    chosen = subsample(row_ids, strata, rows, seed)
    assert chosen.sum() == rows
    for stratum in np.unique(strata):
        inside = strata == stratum
        assert abs((chosen & inside).sum() - rows * inside.sum() / count) < 1


def test_another_seed_splits_otherwise():
    row_ids, strata = some_rows(1000, 3)
    same = (assign_splits(row_ids, strata, 0) == assign_splits(row_ids, strata, 1)).mean()
    assert abs(same - (0.6**2 + 0.2**2 + 0.2**2)) < 0.06  # what two independent splits share
