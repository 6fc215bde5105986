r"""`advance`: the capital of bets against claims about rates, after every row of a stream.

Notable: every claim, ``c p_up - p_down <= d``, is bet against by a mixture over stakes (`STAKES`) and over the moments
at which betting begins (`starts`). A row of the cell `up` with outcome x multiplies a part's capital by
1 + λ h c (x - m_up), one of the cell `down` by 1 + λ h (m_down - x), where h <= 1 is the share that `balance` stakes,
and c m_up - m_down = d. The e-value of a series is the capital that is left in cash, plus that of every part.

What is tested. Rows arrive one by one; F_t is all that is known after row t, the cell of row t + 1 included; p_t is
the probability, given F_t, that its outcome is 1. Which cells the rows belong to is arbitrary: it may depend on
anything, on earlier outcomes too. The null says of each claim: whenever two rows, s of cell `up` and t of cell `down`,
lie in the same block, c p_s - p_t <= d. A block lasts while more has been staked on one of the two cells than on the
other: a few dozen rows as a rule, and never more than `LONGEST` eras of `ERA` rows. So both rates may drift and jump as
far as they like, if they do so together to within the bound; rates that move apart by more count, and so may
a jump of both within a block, whose rows on either side of it are compared with each other.

Why it is valid. Let K be a part's capital and

.. math:: L_t = K_t \exp(-λ \sum_{s \le t} h_s e_s),  e_s = c (p_s - m_{up})  or  m_{down} - p_s.

Stakes h, means m and the moments of beginning are known before the outcome, so
:math:`E[L_t | F_{t-1}] = L_{t-1} (1 + λ h_t e_t) \exp(-λ h_t e_t) \le L_{t-1}`: L is a nonnegative supermartingale,
whatever the rates. A part begins, and m changes, only where a block begins. In a block the stakes on
both cells can be matched up to the level v that is left over; matched rows add
c p_s - p_t - d <= 0 to the sum of h e under the null, and what is left over at most v c (1 - m_up) or |v| m_down.
So under the null K_t exp(-λ |v_t| w_t), w_t that factor, is at most L_t at *every* row, and K itself where blocks end.
These are what is added up. Their sum is at most a supermartingale that begins at 1 - the capital in cash is a constant
until it is staked, and the sum of the claims' shares is 1 - so it is an e-process: its mean is at most 1 at any
stopping time, and by Ville's inequality it ever reaches 1 / α with probability at most α. A block that is cut short
goes on with K exp(-λ |v| w) for its capital, which the same inequality allows.
A claim about one rate has no partner: m is its bound, and every row ends its block.

An outcome that is not known (a refusal) is read as whichever value speaks for the claim: that lowers e, so the
argument holds for what would have been the outcome.

Waudby-Smith and Ramdas 2023 (arXiv 2010.09686) bet on bounded means; Shafer 2021 (doi 10.1111/rssa.12647) is the
language; that both cells get a factor of their own, with 1 + x <= exp(x) in place of matching rows in pairs, is what
uses every row at any order of arrival.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.sequential.balance import UNIT, levels
from equiray.metrics.sequential.claims import NO_CELL, Claims
from equiray.metrics.sequential.starts import spent

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ERA = 128
"""Rows of a series after which means, shares of stakes and which claims are bet on are looked at anew."""
LONGEST = 16
STAKES = np.array([0.04, 0.1, 0.22, 0.5, 0.9])
PRIOR = np.array([0.12, 0.25, 0.33, 0.2, 0.1])
_MOST = 1e200  # capital beyond is thrown away, before it overflows
_KEPT = 0.75  # of what is known about a rate, from era to era


class Least(NamedTuple):
    """Rows that a cell must have before it is bet on, and their share of those of all cells: looked at every era."""

    rows: int = 30
    share: float = 0.0


LEAST = Least()


class Rows(NamedTuple):
    """T rows of S streams.

    `cell` int64 [T, S], `NO_CELL` where the row is none of theirs; `low` and `high` [T, S] the least and the largest
    that its outcome, 0 or 1, may be: equal where it is known.
    """

    cell: Integers
    low: Array
    high: Array


@dataclass(frozen=True, kw_only=True)
class Wealth:
    """What is kept of S streams against A claims about C cells; its size does not grow with the rows.

    Attributes
    ----------
    clock : int
        Rows so far.
    cash, unspent : [S]
        Capital never staked, and how much of it was due while no claim could be bet on.
    parts : [S, A, L]
        Capital of each claim's parts, those of one stake together.
    pending : [S, A]
        Due to a claim, staked when its next block begins.
    level, step_up, step_down, blocked : int64 [S, A]
        Stakes on `up` less those on `down`, in UNITs; of a row of either; eras since a block last ended.
    mean : [S, A]
        m_up of the claim's block.
    rows : int64 [S, C]
        Of each cell.
    events, trials : [S, C]
        Fading sums of outcomes and rows, up to the era; `era_events`, `era_trials` in it.
    betting : bool [S, A]
        Whether both cells have enough rows.
    """

    clock: int
    cash: Array
    unspent: Array
    parts: Array
    pending: Array
    level: Integers
    step_up: Integers
    step_down: Integers
    blocked: Integers
    mean: Array
    rows: Integers
    events: Array
    trials: Array
    era_events: Array
    era_trials: Array
    betting: NDArray[np.bool_]


def begin(claims: Claims, streams: int = 1) -> Wealth:
    """Before the first row: all capital, 1, is cash."""
    by_claim, by_cell = (streams, len(claims.up)), (streams, claims.cells)
    return Wealth(
        clock=0,
        cash=np.ones(streams),
        unspent=np.zeros(streams),
        parts=np.zeros((*by_claim, len(STAKES))),
        pending=np.zeros(by_claim),
        level=np.zeros(by_claim, np.int64),
        step_up=np.full(by_claim, UNIT),
        step_down=np.full(by_claim, UNIT),
        blocked=np.zeros(by_claim, np.int64),
        mean=np.full(by_claim, 0.5),
        rows=np.zeros(by_cell, np.int64),
        events=np.full(by_cell, 0.5),
        trials=np.ones(by_cell),
        era_events=np.zeros(by_cell),
        era_trials=np.zeros(by_cell),
        betting=np.zeros(by_claim, bool),
    )


def extended(wealth: Wealth, claims: Claims) -> Wealth:
    """The same capital where cells and claims have been appended to those that it was staked against."""
    fresh, grown = begin(claims, len(wealth.cash)), {}
    for field in fields(Wealth):
        new, old = getattr(fresh, field.name), getattr(wealth, field.name)
        grown[field.name] = old
        if np.ndim(new) > 1:
            new[:, : old.shape[1]] = old
            grown[field.name] = new
    return Wealth(**grown)


def advance(claims: Claims, wealth: Wealth, rows: Rows, *, least: Least = LEAST) -> tuple[Wealth, Array]:
    """Capital after each of T rows, [T, S]: the e-values; how rows are cut into calls does not change them.

    Parameters
    ----------
    claims, wealth
        `wealth` of `begin` with these claims, or of the call before.
    rows : Rows
    least : Least
    """
    paths, place = [], 0
    while place < len(rows.cell):
        if wealth.clock % ERA == 0:
            wealth = _new_era(claims, wealth, least)
        until = place + ERA - wealth.clock % ERA
        part = Rows(rows.cell[place:until], rows.low[place:until], rows.high[place:until])
        wealth, path = _within_era(claims, wealth, part)
        paths.append(path)
        place = until
    return wealth, np.concatenate(paths) if paths else np.empty((0, len(wealth.cash)))


def _new_era(claims: Claims, wealth: Wealth, least: Least) -> Wealth:
    """What is decided from rows so far, for claims whose block has ended; blocks that last too long are cut."""
    events = _KEPT * wealth.events + wealth.era_events
    trials = _KEPT * wealth.trials + wealth.era_trials
    parts, level = wealth.parts, wealth.level
    cut = wealth.blocked >= LONGEST
    if cut.any():
        parts = np.where(cut[..., None], parts * _discount(claims, level, wealth.mean), parts)
        level = np.where(cut, 0, level)
    ended = level == 0
    enough = wealth.rows >= np.maximum(least.rows, least.share * wealth.rows.sum(-1, keepdims=True))
    up, down = _of(wealth.rows, claims.up), _of(wealth.rows, claims.down)
    ready = [_of(enough, side) | (side == NO_CELL) for side in (claims.up, claims.down)]
    betting = np.where(ended, ready[0] & ready[1], wealth.betting)
    return replace(
        wealth,
        parts=parts,
        level=level,
        blocked=np.where(ended, 0, wealth.blocked) + 1,
        step_up=np.where(ended, _steps(up, down), wealth.step_up),
        step_down=np.where(ended, _steps(down, up), wealth.step_down),
        betting=betting,
        events=events,
        trials=trials,
        era_events=np.zeros_like(events),
        era_trials=np.zeros_like(trials),
    )


def _steps(own: Integers, other: Integers) -> Integers:
    """Of a group k times as large as the other a k-th is staked, k the power of 2 nearest in logarithms, up to 16."""
    times = np.rint(np.log2((own + 1) / (other + 1)))
    return (UNIT / 2 ** np.clip(times, 0, 4)).astype(np.int64)


def _within_era(claims: Claims, wealth: Wealth, rows: Rows) -> tuple[Wealth, Array]:
    is_up, is_down = (rows.cell[..., None] == side for side in (claims.up, claims.down))  # [T, S, A]
    path = levels(
        np.where(wealth.betting & claims.paired, is_up * wealth.step_up - is_down * wealth.step_down, 0), wealth.level
    )
    before = np.concatenate([wealth.level[None], path[:-1]])
    stake = np.where(claims.paired, np.abs(path - before) / UNIT, (is_up | is_down) & wealth.betting)
    begins = before == 0
    fresh = np.logical_or.accumulate(begins)  # a block has begun in this era
    target = _mean(claims, wealth)
    mean = np.where(fresh, target, wealth.mean)
    down_mean = claims.scale * mean - claims.shift
    low, high = rows.low[..., None], rows.high[..., None]
    edge = stake * np.where(is_up, claims.scale * (low - mean), down_mean - high)

    cash, pending, entered, unspent = _due(wealth, begins)
    growth = np.cumprod(1 + edge[..., None] * STAKES, axis=0)  # [T, S, A, L]
    earlier = np.concatenate([np.ones_like(growth[:1]), growth[:-1]])
    parts = growth * (wealth.parts + np.cumsum(entered[..., None] * PRIOR / earlier, axis=0))
    value = cash + (pending + (parts * _discount(claims, path, mean)).sum(-1)).sum(-1)

    seen = rows.cell[..., None] == np.arange(claims.cells)  # [T, S, C]
    outcome = (rows.low + rows.high)[..., None] / 2
    counted = seen.sum(0)
    return replace(
        wealth,
        clock=wealth.clock + len(rows.cell),
        cash=cash[-1],
        unspent=unspent,
        parts=np.minimum(parts[-1], _MOST),
        pending=pending[-1],
        level=path[-1],
        blocked=np.where((path == 0).any(0), 0, wealth.blocked),
        mean=mean[-1],
        rows=wealth.rows + counted,
        era_events=wealth.era_events + (seen * outcome).sum(0),
        era_trials=wealth.era_trials + counted,
    ), value


class _Due(NamedTuple):
    """Capital after each row in `cash` [T, S] and `pending` [T, S, A]; what `entered` [T, S, A] bets at each row."""

    cash: Array
    pending: Array
    entered: Array
    unspent: Array


def _due(wealth: Wealth, begins: NDArray[np.bool_]) -> _Due:
    """Capital that falls due is shared evenly among the claims that are bet on, and waits for their next block."""
    moments = wealth.clock + np.arange(len(begins) + 1)
    due = np.diff(spent(moments)).cumsum()[:, None] + wealth.unspent  # [T, S]
    betting = wealth.betting.sum(-1)
    any_bet = betting > 0
    share = np.where(wealth.betting, 1 / np.maximum(betting, 1)[:, None], 0)
    waiting = wealth.pending + due[..., None] * share
    taken = np.maximum.accumulate(np.where(begins & wealth.betting, waiting, 0))
    return _Due(
        cash=np.where(any_bet, wealth.cash - due, wealth.cash),
        pending=waiting - taken,
        entered=np.diff(taken, axis=0, prepend=0),
        unspent=np.where(any_bet, 0, due[-1]),
    )


def _discount(claims: Claims, level: Integers, mean: Array) -> Array:
    """exp(-λ |v| w), [..., A, L]: what a block that has not ended may owe to rates instead of their difference."""
    owed = np.where(level > 0, claims.scale * (1 - mean), claims.scale * mean - claims.shift) * np.abs(level) / UNIT
    return np.exp(-owed[..., None] * STAKES)


def _mean(claims: Claims, wealth: Wealth) -> Array:
    """m_up midway between what the rates of the two cells were of late, within what both bounds allow; [S, A]."""
    rate = wealth.events / wealth.trials
    up, down = _of(rate, claims.up), _of(rate, claims.down)
    middle = (up + (down + claims.shift) / claims.scale) / 2
    own = np.where(claims.down == NO_CELL, claims.shift, 0)  # of a claim about one rate
    return np.where(claims.paired, np.clip(middle, np.minimum(claims.shift / claims.scale, 1), 1), own)


def _of(values: NDArray[Any], side: Integers) -> NDArray[Any]:
    """Of each claim's cell on one side, [S, C] -> [S, A]; of any cell where the claim has none there."""
    return values[:, side]
