"""Families are dealt whole: no family in two parts, every family in exactly one test fold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equiray.data.templates import fold_families, split_families
from equiray.errors import BadInput

FIFTY = [f"family-{i}" for i in range(50)]


def sizes(split) -> list[int]:
    return [len(split[name]) for name in ("train", "validation", "test")]


def test_fifty_families_split_as_in_the_paper():
    split = split_families(FIFTY, seed=0)
    assert sizes(split) == [30, 8, 12]
    assert split == split_families(FIFTY, seed=0)
    assert split["test"] != split_families(FIFTY, seed=1)["test"]


def test_given_sizes_are_kept_and_other_numbers_are_proportional():
    assert sizes(split_families(FIFTY, 0, (20, 10, 20))) == [20, 10, 20]
    assert sizes(split_families(FIFTY[:25], 0)) == [15, 4, 6]
    assert sizes(split_families(FIFTY[:3], 0)) == [1, 1, 1]


@given(st.integers(3, 80), st.integers(0, 2**32 - 1))
def test_a_split_is_a_partition(count, seed):
    families = [f"f{i}" for i in range(count)]
    split = split_families(families, seed)
    assert sorted(sum(split.values(), ())) == sorted(families)
    assert min(sizes(split)) >= 1
    assert all(list(part) == sorted(part, key=families.index) for part in split.values())


@given(st.integers(5, 60), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_every_family_is_tested_once(count, k, seed):
    families = [f"f{i}" for i in range(count)]
    folds = fold_families(families, k, seed)
    assert len(folds) == k
    assert sorted(f for fold in folds for f in fold["test"]) == sorted(families)
    for fold in folds:
        assert sorted(sum(fold.values(), ())) == sorted(families)
        assert min(sizes(fold)) >= 1


def test_five_folds_of_fifty():
    folds = fold_families(FIFTY, 5, seed=3)
    assert [sizes(fold) for fold in folds] == [[32, 8, 10]] * 5
    assert len({fold["validation"] for fold in folds}) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_families(FIFTY[:2], 0), "2 template families are too few"),
        (lambda: split_families([*FIFTY, "family-0"], 0), "named twice"),
        (lambda: fold_families(FIFTY, 1, 0), "1 folds cannot hold anything out"),
        (lambda: fold_families(FIFTY[:4], 5, 0), "4 template families are too few"),
    ],
)
def test_impossible_splits_are_refused(call, message):
    with pytest.raises(BadInput, match=message):
        call()
