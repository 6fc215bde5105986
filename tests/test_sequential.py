"""Bets against claims about a stream: by a second route, against an adversary, and how they err and find."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from equiray.metrics.sequential import (
    NO_CELL,
    Claims,
    Least,
    Rows,
    advance,
    at_least,
    at_most,
    begin,
    differences,
    extended,
    rate_limits,
    ratios,
)
from equiray.metrics.sequential.balance import CAP, UNIT, levels
from equiray.metrics.sequential.starts import spent
from equiray.metrics.sequential.wealth import ERA, LONGEST, PRIOR, STAKES

AT_ONCE = Least(rows=0)


def rows_of(cell: NDArray[np.int64], made: NDArray[np.float64]) -> Rows:
    return Rows(cell, made.astype(float), made.astype(float))


def drawn(rates: list[float], rows: int, *, streams: int = 1, seed: int = 0, shares: list[float] | None = None) -> Rows:
    rng = np.random.default_rng(seed)
    cell = rng.choice(len(rates), size=(rows, streams), p=shares)
    return rows_of(cell, rng.random((rows, streams)) < np.array(rates)[cell])


class ByHand:
    """One claim about two cells, row by row, as `wealth` describes it."""

    def __init__(self, scale: float, shift: float) -> None:
        self.scale, self.shift = scale, shift
        self.cash, self.pending, self.parts = 1.0, 0.0, [0.0] * len(STAKES)
        self.level, self.step, self.opened = 0, [UNIT, UNIT], 0
        self.seen, self.recent, self.era = [0, 0], [[0.5, 1.0], [0.5, 1.0]], [[0.0, 0.0], [0.0, 0.0]]
        self.mean, self.clock = 0.5, 0

    def discount(self, stake: float) -> float:
        worst = self.scale * (1 - self.mean) if self.level > 0 else self.scale * self.mean - self.shift
        return math.exp(-stake * worst * abs(self.level) / UNIT)

    def turn(self) -> None:
        for side in (0, 1):
            for i in (0, 1):
                self.recent[side][i] = 0.75 * self.recent[side][i] + self.era[side][i]
        self.era = [[0.0, 0.0], [0.0, 0.0]]
        if self.opened >= LONGEST:
            self.parts = [part * self.discount(stake) for part, stake in zip(self.parts, STAKES, strict=True)]
            self.level = 0
        if self.level == 0:
            self.opened = 0
            ratio = (self.seen[0] + 1) / (self.seen[1] + 1)
            self.step = [round(UNIT / 2 ** min(max(np.rint(math.log2(r)), 0), 4)) for r in (ratio, 1 / ratio)]
        self.opened += 1
        rate = [events / trials for events, trials in self.recent]
        middle = (rate[0] + (rate[1] + self.shift) / self.scale) / 2
        self.next_mean = min(max(middle, self.shift / self.scale), 1)

    def row(self, side: int, low: float, high: float) -> float:
        if self.clock % ERA == 0:
            self.turn()
        due = float(np.diff(spent(np.array([self.clock, self.clock + 1])))[0])
        self.clock += 1
        self.cash -= due
        self.pending += due
        if self.level == 0:
            self.mean = self.next_mean
            self.parts = [part + self.pending * share for part, share in zip(self.parts, PRIOR, strict=True)]
            self.pending = 0.0
        moved = min(max(self.level + (self.step[0] if side == 0 else -self.step[1]), -CAP), CAP)
        share, self.level = abs(moved - self.level) / UNIT, moved
        edge = self.scale * (low - self.mean) if side == 0 else self.scale * self.mean - self.shift - high
        self.parts = [part * (1 + stake * share * edge) for part, stake in zip(self.parts, STAKES, strict=True)]
        if self.level == 0:
            self.opened = 0
        self.seen[side] += 1
        self.era[side][0] += (low + high) / 2
        self.era[side][1] += 1
        kept = sum(part * self.discount(stake) for part, stake in zip(self.parts, STAKES, strict=True))
        return self.cash + self.pending + kept


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.0, 0.07), (0.8, 0.0)])
@pytest.mark.parametrize("share", [0.5, 0.12])
def test_the_arrays_do_what_the_rows_would_one_by_one(scale: float, shift: float, share: float) -> None:
    one = Claims(cells=2, up=np.array([0]), down=np.array([1]), scale=np.array([scale]), shift=np.array([shift]))
    rows = drawn([0.6, 0.45], 3000, shares=[share, 1 - share], seed=3)
    rows.cell[900 : 900 + (LONGEST + 2) * ERA] = 0  # one group stays away: its block is cut short
    unknown = np.random.default_rng(1).random(rows.low.shape) < 0.1
    rows = Rows(rows.cell, np.where(unknown, 0, rows.low), np.where(unknown, 1, rows.high))
    by_hand = ByHand(scale, shift)
    expected = [by_hand.row(int(side), low, high) for side, low, high in zip(*(of[:, 0] for of in rows), strict=True)]
    wealth, path = advance(one, begin(one), rows, least=AT_ONCE)
    assert path[:, 0] == pytest.approx(expected, rel=1e-9)
    assert wealth.clock == 3000 and path.max() - path.min() > 0.1, "something was won and lost"


def game(claims: Claims, rates: tuple[float, float], rows: int, *, before: Rows | None = None) -> float:
    """What an adversary who chooses every row's group and when to stop can make of the e-value, on average.

    All histories of so many rows are streams of their own; from the last row back, it takes the better group or stops.
    """
    every = np.array(list(itertools.product(range(4), repeat=rows))).T  # a row is 2 * group + outcome
    cell, made = every // 2, (every % 2).astype(float)
    wealth, at_first = begin(claims), 1.0
    if before is not None:
        wealth, path = advance(claims, wealth, before, least=AT_ONCE)
        at_first = float(path[-1, 0])
        assert (wealth.level == 0).all(), "in a block the e-value is less than what the bets are worth on average"
    same = {name: np.repeat(of, every.shape[1], axis=0) for name, of in vars(wealth).items() if name != "clock"}
    wealth = replace(wealth, **same)
    _, path = advance(claims, wealth, rows_of(cell, made), least=AT_ONCE)
    values = path[-1]
    for row in reversed(range(rows)):
        chances = np.array([[1 - p, p] for p in rates])
        by_group = (values.reshape(-1, 2, 2) * chances).sum(-1)
        stop = path[row - 1].reshape(-1, 4 ** (rows - row))[:, 0] if row else np.full(1, at_first)
        values = np.maximum(by_group.max(-1), stop)
    return float(values[0]) / at_first


def alternating(rows: int) -> Rows:
    cell = np.arange(rows)[:, None] % 2
    return rows_of(cell, np.random.default_rng(1).random(cell.shape) < 0.5)


PAST = alternating(2044)
ONE_SIDED = Claims(cells=2, up=np.array([0]), down=np.array([1]), scale=np.ones(1), shift=np.array([0.05]))


@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.1, 0.1), (0.97, 0.97), (0.55, 0.5), (0.3, 0.35)])
def test_no_order_of_groups_and_no_moment_to_stop_makes_money_under_the_null(rates: tuple[float, float]) -> None:
    both = differences(2, [(0, 1)], 0.05)
    assert game(both, rates, 8) <= 1 + 1e-12
    for claims in (both, ONE_SIDED):
        assert game(claims, rates, 7, before=PAST) <= 1 + 1e-12, "capital is staked slowly: a quarter of it is by now"


def test_the_adversary_does_make_money_where_the_claim_is_wrong() -> None:
    assert game(ONE_SIDED, (0.8, 0.3), 7, before=PAST) > 1.002


def test_levels_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    steps = rng.choice([-16, -4, 0, 2, 16], size=(ERA, 7, 3))
    start = rng.integers(-CAP, CAP, size=(7, 3))
    level, expected = start, []
    for row in steps:
        level = np.clip(level + row, -CAP, CAP)
        expected.append(level)
    assert (levels(steps, start) == np.array(expected)).all()
    assert (np.abs(expected) == CAP).any()


def test_all_capital_is_staked_in_the_end_and_never_more() -> None:
    moments = np.unique(np.geomspace(1, 1e15, 4000).astype(np.int64))
    shares = spent(np.concatenate([[0], moments]))
    assert shares[0] == 0 and (np.diff(shares) > 0).all() and 0.98 < shares[-1] < 1
    assert spent(np.array([256, 512, 1024, 2**20])) == pytest.approx([0.12, 0.18, 0.24, 0.84])
    assert spent(np.array([2**21, 2**22])) == pytest.approx([0.84 + 0.16 / 2, 0.84 + 0.16 * 2 / 3])
    assert spent(np.array([768])) == pytest.approx(0.21), "evenly within a doubling"


def test_the_calls_in_which_rows_come_do_not_matter() -> None:
    claims, rows = differences(3, [(0, 1), (0, 2), (1, 2)], 0.02), drawn([0.5, 0.45, 0.6], 1500)
    whole, path = advance(claims, begin(claims), rows)
    wealth, paths, place = begin(claims), [], 0
    for size in itertools.cycle([1, 7, 300, 0]):
        wealth, part = advance(claims, wealth, Rows(*(of[place : place + size] for of in rows)))
        paths.append(part)
        place += size
        if place >= 1500:
            break
    assert np.concatenate(paths) == pytest.approx(path, rel=1e-9)
    assert wealth.parts == pytest.approx(whole.parts, rel=1e-9) and (wealth.level == whole.level).all()


def test_a_group_that_has_not_come_yet_changes_nothing_and_one_that_comes_is_compared() -> None:
    two, three = differences(2, [(0, 1)], 0.0), differences(3, [(0, 1), (0, 2), (1, 2)], 0.0)
    rows = drawn([0.5, 0.5], 1000)
    wealth, path = advance(two, begin(two), rows)
    _, wider = advance(three, begin(three), rows)
    assert path == pytest.approx(wider)
    wealth, path = advance(three, extended(wealth, three), drawn([0.5, 0.5, 0.2], 6000, seed=2))
    assert path[-1, 0] > 1e6 and wealth.parts[0, :2].sum() < 1e-3 * wealth.parts[0, 2:].sum()


def test_rows_of_no_cell_and_too_few_rows_are_not_bet_on() -> None:
    claims = differences(2, [(0, 1)], 0.0)
    nobody = Rows(np.full((500, 1), NO_CELL), np.zeros((500, 1)), np.zeros((500, 1)))
    assert (advance(claims, begin(claims), nobody)[1] == 1).all()
    rows = drawn([1.0, 0.0], 600, shares=[0.96, 0.04])
    assert (advance(claims, begin(claims), rows, least=Least(rows=40))[1] == 1).all()
    assert (advance(claims, begin(claims), rows, least=Least(rows=1, share=0.2))[1] == 1).all()
    assert advance(claims, begin(claims), rows, least=Least(rows=1))[1][-1, 0] > 10


@pytest.mark.parametrize(
    ("claims", "within", "beyond"),
    [
        (at_most(1, [0], 0.3), [0.3], [0.4]),
        (at_least(1, [0], 0.3), [0.3], [0.2]),
        (ratios(2, [(0, 1)], 0.8), [0.5, 0.4], [0.5, 0.3]),
        (differences(2, [(0, 1)], 0.1), [0.5, 0.4], [0.5, 0.3]),
    ],
)
def test_each_form_of_claim_is_kept_and_broken(claims: Claims, within: list[float], beyond: list[float]) -> None:
    _, kept = advance(claims, begin(claims, 200), drawn(within, 4000, streams=200, seed=4))
    alarms = int((kept.max(0) >= 20).sum())
    assert binom.sf(alarms - 1, 200, 0.05) > 0.001, f"{alarms} of 200 streams within the bound"
    _, broken = advance(claims, begin(claims, 50), drawn(beyond, 6000, streams=50, seed=5))
    assert (broken.max(0) >= 20).all()


def test_what_is_not_known_is_read_in_favour_of_the_claim() -> None:
    claims = differences(2, [(0, 1)], 0.0)
    rows = drawn([0.9, 0.9], 4000, seed=6)
    refused = (rows.cell == 1) & (np.random.default_rng(0).random(rows.low.shape) < 0.5)
    hidden = Rows(rows.cell, np.where(refused, 0, rows.low), np.where(refused, 1, rows.high))
    assert advance(claims, begin(claims), hidden)[1].max() < 2
    counted_as_rejected = Rows(rows.cell, np.where(refused, 0, rows.low), np.where(refused, 0, rows.high))
    assert advance(claims, begin(claims), counted_as_rejected)[1].max() > 1e10


def test_rates_that_move_together_are_no_change_and_one_that_moves_alone_is_found() -> None:
    claims, rng, t = differences(2, [(0, 1)], 0.05), np.random.default_rng(7), np.arange(12_000)[:, None]
    level = 0.45 + 0.25 * np.sin(t / 900) + 0.1 * (t // 3000 % 2)
    cell = rng.integers(2, size=(12_000, 100))
    draws = rng.random(cell.shape)
    together = rows_of(cell, draws < level - 0.05 * cell)
    alone = rows_of(cell, draws < level - 0.05 * cell - 0.1 * cell * (t >= 4000))
    alarms = int((advance(claims, begin(claims, 100), together)[1].max(0) >= 20).sum())
    assert binom.sf(alarms - 1, 100, 0.05) > 0.001, f"{alarms} of 100"
    path = advance(claims, begin(claims, 100), alone)[1]
    assert np.median((path >= 200).argmax(0)[(path >= 200).any(0)] - 4000) < 3500


def test_capital_stays_a_number_however_clear_the_case() -> None:
    claims = differences(2, [(0, 1)], 0.0)
    cell = np.arange(60_000)[:, None] % 2
    wealth, path = advance(claims, begin(claims), rows_of(cell, 1.0 - cell))
    assert np.isfinite(path).all() and path[-1, 0] > 1e150 and np.isfinite(wealth.parts).all()
    wealth, path = advance(claims, wealth, rows_of(cell, 1.0 * cell))
    assert np.isfinite(path).all() and (path >= 0).all()


def test_limits_are_where_the_mixture_reaches_its_level() -> None:
    grid = 0.004 * 1.5 ** np.arange(19)
    low, high = rate_limits([13, 0, 40], [40, 40, 40], 0.1)
    for events, at in ((13, low[0]), (40, low[2])):
        mixture = np.mean(np.exp(grid * events - 40 * np.log(1 - at + at * np.exp(grid))))
        assert mixture == pytest.approx(20, rel=1e-6)
    assert low[1] == 0 and high[2] == 1 and high[1] == pytest.approx(1 - low[2])
    assert rate_limits(0, 0, 0.05) == (0, 1)


@pytest.mark.parametrize("drifts", [False, True])
def test_limits_hold_at_every_row_also_of_a_rate_that_drifts(drifts: bool) -> None:
    rng, t = np.random.default_rng(2), np.arange(2000)[:, None]
    rate = np.broadcast_to(0.1 + (0.5 * (t > 700) if drifts else 0), (2000, 400))
    trials, mean = np.arange(1, 2001)[:, None], rate.cumsum(0) / np.arange(1, 2001)[:, None]
    events = (rng.random(rate.shape) < rate).cumsum(0)
    at = np.unique(np.geomspace(1, 2000, 90).astype(int)) - 1
    low, high = rate_limits(events[at], trials[at], 0.1)
    missed = int(((mean[at] < low) | (mean[at] > high)).any(0).sum())
    assert binom.sf(missed - 1, 400, 0.1) > 0.001, f"{missed} of 400"
    assert (high[-1] - low[-1]).mean() < 0.11
