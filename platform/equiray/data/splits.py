"""Fixed stratified splits and subsamples: each row's place follows from its row id, its stratum and the seed.

No generator is drawn from: a keyed hash orders the rows of a stratum, so neither the order in which a file was read
nor the number of workers can move a row from one split to another.
"""

import hashlib

import numpy as np

from equiray.data.schema import SPLITS

TRAIN_SHARE, VALIDATION_SHARE = 0.6, 0.2


def keyed_hash(row_ids: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """A pseudo-random uint64 per row id, different for every (seed, purpose).

    Parameters
    ----------
    row_ids : int64 array, shape (rows,)
    seed : int
    purpose : str
        Keeps draws for unlike purposes independent of each other.

    Returns
    -------
    uint64 array, shape (rows,)
        Distinct for distinct row ids: splitmix64 (Steele, Lea, Flood 2014) is a bijection.
    """
    key = np.uint64(int.from_bytes(hashlib.sha256(f"{purpose}:{seed}".encode()).digest()[:8], "little"))
    return _splitmix64(row_ids.astype(np.uint64) ^ key)


def assign_splits(row_ids: np.ndarray, strata: np.ndarray, seed: int) -> np.ndarray:
    """Deal the rows of every stratum 60 / 20 / 20 into train, validation and test.

    Parameters
    ----------
    row_ids : int64 array, shape (rows,)
    strata : array, shape (rows,)
        The stratum of each row; any values that can be sorted.
    seed : int

    Returns
    -------
    str array, shape (rows,)
        ``train``, ``validation`` or ``test``; each share is off by less than one row per stratum.
    """
    codes = np.unique(strata, return_inverse=True)[1]
    rank, size = _rank_in_stratum(codes, keyed_hash(row_ids, seed, "split"))
    train_end = np.rint(TRAIN_SHARE * size)
    validation_end = np.rint((TRAIN_SHARE + VALIDATION_SHARE) * size)
    return np.array(SPLITS)[(rank >= train_end).astype(int) + (rank >= validation_end)]


def subsample(row_ids: np.ndarray, strata: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Mark exactly `rows` rows, each stratum in proportion (largest remainders).

    Parameters
    ----------
    row_ids : int64 array, shape (rows in all,)
    strata : array, shape (rows in all,)
    rows : int
        At most ``len(row_ids)``.
    seed : int

    Returns
    -------
    bool array, shape (rows in all,)
    """
    codes, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    exact = rows * counts / len(row_ids)
    quota = np.floor(exact).astype(np.int64)
    largest_first = np.argsort(-(exact - quota), kind="stable")
    quota[largest_first[: rows - quota.sum()]] += 1
    rank, _ = _rank_in_stratum(codes, keyed_hash(row_ids, seed, "subsample"))
    return rank < quota[codes]


def _rank_in_stratum(codes: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's position (from 0) by hash within its stratum, and its stratum's size."""
    order = np.lexsort((hashes, codes))
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - starts[codes[order]]
    return rank, counts[codes]


def _splitmix64(state: np.ndarray) -> np.ndarray:
    mixed = state + np.uint64(0x9E3779B97F4A7C15)  # array arithmetic wraps at 2**64, which is what the method wants
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
