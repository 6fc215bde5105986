"""Columns as codes: whatever holds a value, and however fast it is found, its code stands for that value."""

import numpy as np
import pyarrow as pa
import pytest

from equiray.errors import BadInput
from equiray.metrics.counting.cells import combine
from equiray.metrics.counting.encoding import Place, encode
from equiray.metrics.counting.short_texts import encode_texts

MANY = 1 << 18  # rows enough for every short cut
RNG = np.random.default_rng(5)


def decoded(column) -> list[str | None]:
    """The value that each row's code stands for."""
    found = encode(pa.chunked_array([column]), "x", Place("f", 0), digits=False)
    return [found.names[code] for code in found.codes.tolist()]


def some_null(values: np.ndarray, kind=None) -> pa.Array:
    return pa.array(values, kind, mask=RNG.random(len(values)) < 0.2)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("low", [0, 5, 100])
@pytest.mark.parametrize("span", [1, 3, 20, 100, 253, 254, 255, 300])
def test_whole_numbers_of_any_type_and_span(kind, low, span):
    top = np.iinfo(kind).max
    for first in {low, -low, top - span} if np.iinfo(kind).min < 0 else {low, top - span}:
        if not np.iinfo(kind).min <= first <= top - span:
            continue
        numbers = np.append(RNG.integers(0, span, 500, endpoint=True), [0, span]).astype(np.uint64)
        column = (numbers + np.uint64(first % 2**64)).astype(kind)
        assert decoded(pa.array(column)) == [str(v) for v in column.tolist()]
        missing = some_null(column)
        assert decoded(missing) == [None if v is None else str(v) for v in missing.to_pylist()]


def test_a_late_whole_number_is_not_taken_for_a_small_one():
    column = RNG.integers(0, 2, 100_000)
    for last in (15, 16, 200, 256, 257, -1, 2**32, 2**40 + 1):
        column[-1] = last
        assert decoded(pa.array(column)) == [str(v) for v in column.tolist()]


@pytest.mark.parametrize("known", [0, 1, 127, 128, 255, 256, 300, 9_999])
def test_dictionaries_of_any_size_with_and_without_nulls(known):
    names = [f"name {i}" for i in range(known)]
    index = RNG.integers(0, max(known, 1), 2_000)
    kinds = [kind for kind in ("int8", "uint8", "int16", "int32") if np.iinfo(kind).max >= known - 1]
    for kind in kinds:
        for mask in (np.ones(len(index), bool), RNG.random(len(index)) < 0.1, None)[: 3 if known else 1]:
            indices = pa.array(index.astype(kind), mask=mask)
            column = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
            assert decoded(column) == column.to_pylist()


def test_of_a_large_dictionary_only_what_occurs_counts():
    names = pa.array([f"name {i}" for i in range(20_000)])
    column = pa.DictionaryArray.from_arrays(pa.array([19_999, 3, None, 3], pa.int32()), names)
    assert decoded(column) == ["name 19999", "name 3", None, "name 3"]
    with pytest.raises(BadInput, match="'x' has 10,001 different values"):
        decoded(pa.DictionaryArray.from_arrays(pa.array(range(10_001), pa.int32()), names))


TEXTS = {
    "few": ["no", "yes"],
    "empty": ["", "a", "\0", "a\0", "aa", "\0a"],  # a view ends in zeros, too
    "twelve": ["twelve bytes", "twelve byteS", "Twelve bytes", "thirteen byte"[:12], "größer", "größe", "日本語"],
    "one is long": ["short", "a text of more than twelve bytes", "a text of more than twelve Bytes"],
    "many": [f"{i:x}" for i in range(64)],
    "too many": [f"{i:x}" for i in range(65)],
}


@pytest.mark.parametrize("names", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("late", [[], ["late", "a late text of more than twelve bytes", ""]])
@pytest.mark.parametrize("nulls", [False, True])
def test_texts_are_what_they_were(names, kind, late, nulls):
    index = np.append(RNG.integers(0, len(names), 20_000), len(names) + RNG.integers(0, max(len(late), 1), 50))
    values = np.array([*names, *late, *([] if late else names[:1])], object)[index]
    column = (some_null(values, pa.string()) if nulls else pa.array(values, pa.string())).cast(kind)
    for part in (column, column.slice(7, 19_500), column.slice(20_040)):
        assert encode_texts(part).dictionary_decode().cast(kind).equals(part)
    assert decoded(column) == [value or None for value in column.to_pylist()]


@pytest.mark.parametrize("rows", [MANY, MANY + 1])
@pytest.mark.parametrize("sizes", [(2, 4), (2, 128), (2, 8, 16), (257, 1), (3, 5, 7, 11), (40, 40, 41), (300, 300)])
def test_every_combination_is_counted_in_bytes_in_pairs_of_bytes_or_sparsely(rows, sizes):
    columns = [RNG.integers(0, size, rows, dtype=np.int16) for size in sizes]
    coded = [encode(pa.chunked_array([pa.array(c)]), "x", Place("f", 0), digits=False) for c in columns]
    found = combine(coded)
    values = [np.array(each.names, int)[codes] for each, codes in zip(coded, found.codes.T, strict=True)]
    order = np.lexsort(values[::-1])
    names, counts = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    assert np.column_stack(values)[order].tolist() == names.tolist() and found.counts[order].tolist() == counts.tolist()
    for value, column in zip(values, columns, strict=True):
        assert (found.to_rows(value) == column).all()
