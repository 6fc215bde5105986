"""How often the live monitor's bets alarm without a reason, and how soon they do with one.

python benchmarks/monitor_false_alarms.py          # 1,000 simulated streams of 1e5 decisions for each line
python benchmarks/monitor_false_alarms.py --quick  # 100 of 2e4: a look, not a result

Streams are simulated: two groups, decisions drawn at the rates that each line says. All of alpha, .05, is on one
series, with a look after every decision. For the delays alpha is .005, a tenth of it, and one group's rate shifts by 10
points at decision 20,000, from the bound on. Beside them: the same streams under plain betting (pairs in order of
arrival, bets from the past mean and variance, starts at 1, 2, 4, ...), and log(1 / alpha) / KL, the delay of an oracle
who knows the change and both rates; whoever does not know when to begin pays for having looked everywhere before.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from harness import Ratio, append_result, start
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import beta

from equiray.metrics.sequential import Rows, advance, begin, differences

STREAMS, DECISIONS, CHANGE, WATCHED_AFTER = 1000, 100_000, 20_000, 20_000
ALPHA, ALPHA_ONE = 0.05, 0.005
MOST, MOST_LIMIT, MEDIAN, NINE_TENTHS = 0.05, 0.065, 5000, 8000
BLOCK, AT_ONCE = 512, 50  # rows, and streams, whose arrays stay in a processor's cache

Array = NDArray[np.float64]
Blocks = Iterator[tuple[NDArray[np.int64], Array]]
Rates = Callable[[NDArray[np.int64]], Array]
"""Decisions' numbers [T] -> rates of both groups [T, 2]."""


class Null(NamedTuple):
    """Streams that keep to the bound; `first` is the first group's share, or None for an order that outcomes decide."""

    name: str
    bound: float
    rates: Rates
    first: float | None = 0.5


class Shift(NamedTuple):
    """Rates of both groups before the change, and of the first after it."""

    rates: tuple[float, float]
    after: float
    bound: float


def fixed(first: float, second: float) -> Rates:
    """The same rates all the time."""
    return lambda t: np.tile([first, second], (len(t), 1))


def together(t: NDArray[np.int64]) -> Array:
    """Both rates swing, and every 10,000 decisions both jump by 20 points, 5 points apart all the time."""
    level = 0.45 + 0.2 * np.sin(t / 3000) + 0.2 * (t // 10_000 % 2) - 0.1
    return np.stack([level + 0.05, level], axis=1)


NULLS = (
    Null("at the bound 0: both .5", 0.0, fixed(0.5, 0.5)),
    Null("at the bound .05: .10 and .05", 0.05, fixed(0.10, 0.05)),
    Null("within: a gap of .02, bound .05", 0.05, fixed(0.52, 0.5)),
    Null("one group of 10 %, at the bound .05", 0.05, fixed(0.35, 0.3), 0.1),
    Null("both drift and jump together, at the bound .05", 0.05, together),
    Null("each group comes until one of it is selected, at the bound 0", 0.0, fixed(0.5, 0.5), None),
)
SHIFTS = (
    Shift((0.5, 0.5), 0.4, 0.0),
    Shift((0.55, 0.5), 0.65, 0.05),
    Shift((0.3, 0.3), 0.4, 0.0),
    Shift((0.15, 0.1), 0.25, 0.05),
)


def streams(seeds: Sequence[int], rates: Rates, first: float | None, count: int, length: int) -> Blocks:
    """Groups and decisions, blocks of [T, count]."""
    rng = np.random.default_rng(seeds)
    group, selected = np.zeros(count, np.int64), np.zeros(count)
    for begins in range(0, length, BLOCK):
        t = np.arange(begins, min(begins + BLOCK, length))
        chance, drawn = rates(t), rng.random((len(t), count))
        if first is not None:
            groups = (rng.random((len(t), count)) >= first).astype(np.int64)
            yield groups, (drawn < np.take_along_axis(chance, groups, 1)).astype(np.float64)
            continue
        groups, made = np.empty((len(t), count), np.int64), np.empty((len(t), count))
        for i in range(len(t)):
            group = np.where(selected == 1, 1 - group, group)
            selected = (drawn[i] < chance[i, group]).astype(np.float64)
            groups[i], made[i] = group, selected
        yield groups, made


def alarms(blocks: Blocks, bound: float, alpha: float, count: int) -> Array:
    """The first decision, counted from 1, at which each stream's e-value is at least 1 / alpha; infinity if none is."""
    claims = differences(2, [(0, 1)], bound)
    wealth, seen, first = begin(claims, count), 0, np.full(count, np.inf)
    for groups, made in blocks:
        wealth, path = advance(claims, wealth, Rows(groups, made, made))
        first = np.minimum(first, first_row(path >= 1 / alpha, seen))
        seen += len(made)
    return first


def plain_alarms(blocks: Blocks, bound: float, alpha: float, count: int) -> Array:
    """The same for plain betting; both directions share alpha, and so do starts, as 1 / (k (k + 1))."""
    first, seen, pairs = np.full(count, np.inf), 0, np.zeros(count, np.int64)
    starts = np.arange(18)
    weights = 1 / ((starts + 1) * (starts + 2))
    wealth = np.zeros((2, count, len(starts)))  # log; of starts yet to come 0
    sums, squares, rows = (np.zeros((2, count, len(starts))) for _ in range(3))
    queue: list[list[list[float]]] = [[[] for _ in range(count)] for _ in range(2)]
    for groups, made in blocks:
        for i in range(len(made)):
            gap = np.full(count, np.nan)
            for stream in range(count):
                group = groups[i, stream]
                if queue[1 - group][stream]:
                    other = queue[1 - group][stream].pop(0)
                    gap[stream] = (made[i, stream] - other) * (1 if group == 0 else -1)
                else:
                    queue[group][stream].append(made[i, stream])
            (matched,) = np.nonzero(~np.isnan(gap))
            if len(matched):
                pairs[matched] += 1
                x = np.stack([gap[matched] - bound, -gap[matched] - bound])[..., None]
                begun = pairs[matched, None] >= 2**starts
                mean = sums[:, matched] / (rows[:, matched] + 1)
                spread = (squares[:, matched] + 0.5) / (rows[:, matched] + 1)
                stake = np.clip(mean / spread, 0, 0.5 / (1 + bound))
                wealth[:, matched] += begun * np.log1p(stake * x)
                sums[:, matched] += begun * x
                squares[:, matched] += begun * x**2
                rows[:, matched] += begun
                value = (np.exp(wealth[:, matched]) * weights).sum(-1).mean(0) + 1 / (len(starts) + 1)
                reached = matched[value >= 1 / alpha]
                first[reached] = np.minimum(first[reached], seen + i + 1)
        seen += len(made)
    return first


def first_row(reached: NDArray[np.bool_], seen: int) -> Array:
    """Number of the first row that is true in each column, after `seen` others."""
    return np.where(reached.any(0), seen + 1.0 + reached.argmax(0), np.inf)


def oracle_delay(shift: Shift, alpha: float) -> float:
    """log(1 / alpha) over the divergence, by decision, of the rates after it from the nearest within the bound."""
    second = np.linspace(1e-4, 1 - 1e-4, 20_001)
    first = np.clip(second + np.sign(shift.after - shift.rates[1]) * shift.bound, 1e-9, 1 - 1e-9)
    both = ((shift.after, first), (shift.rates[1], second))
    divergence = np.sum([(rel_entr(p, q) + rel_entr(1 - p, 1 - q)) / 2 for p, q in both], axis=0)
    return float(np.log(1 / alpha) / divergence.min())


def shifted(shift: Shift) -> Rates:
    """Rates before the change, and after it."""
    return lambda t: np.stack(
        [np.where(t < CHANGE, shift.rates[0], shift.after), np.full(len(t), shift.rates[1])], axis=1
    )


def delays(first: Array) -> tuple[float, float, float, float]:
    """Median and .9-quantile of what comes after the change, shares alarmed before it and never."""
    after = np.where(first > CHANGE, first - CHANGE, np.nan)
    median, most = np.quantile(after[~np.isnan(after)], [0.5, 0.9], method="higher")
    return float(median), float(most), float((first <= CHANGE).mean()), float(np.isinf(first).mean())


def false_alarms(count: int, length: int) -> tuple[float, float]:
    """The largest share of any null, and the largest upper limit (95 %, one-sided 97.5 %, exact)."""
    shares, limits = [], []
    for number, null in enumerate(NULLS):
        begun = time.perf_counter()
        wrong = 0
        for part in range(count // AT_ONCE):
            drawn = streams((7, number, part), null.rates, null.first, AT_ONCE, length)
            wrong += int(np.isfinite(alarms(drawn, null.bound, ALPHA, AT_ONCE)).sum())
        limit = float(beta.ppf(0.975, wrong + 1, count - wrong)) if wrong < count else 1.0
        shares.append(wrong / count)
        limits.append(limit)
        took = time.perf_counter() - begun
        print(f"{null.name}: {wrong} of {count} alarm, at most {limit:.2%} ({took:.0f} s)", flush=True)
    return max(shares), max(limits)


def detection(count: int, plain: int) -> tuple[float, float]:
    """The largest median and .9-quantile of any shift."""
    found = []
    for number, shift in enumerate(SHIFTS):
        length, rates, ours, theirs = CHANGE + WATCHED_AFTER, shifted(shift), [], []
        for part in range(count // AT_ONCE):
            same = (streams((8, number, part), rates, 0.5, AT_ONCE, length) for _ in range(2))
            ours.append(alarms(next(same), shift.bound, ALPHA_ONE, AT_ONCE))
            if part * AT_ONCE < plain:
                theirs.append(plain_alarms(next(same), shift.bound, ALPHA_ONE, AT_ONCE))
        median, most, early, never = delays(np.concatenate(ours))
        found.append((median, most))
        oracle = oracle_delay(shift, ALPHA_ONE)
        name = f"{shift.rates[0]:g} and {shift.rates[1]:g}, then {shift.after:g}; bound {shift.bound:g}"
        print(f"{name}: median delay {median:,.0f}, 90 % within {most:,.0f}; before it {early:.2%}, never {never:.2%}")
        print(f"  oracle {oracle:,.0f}, ours {median / oracle:.2f} times that", flush=True)
        if plain:
            middle, ninth, early, never = delays(np.concatenate(theirs))
            print(
                f"  plain betting, {plain} streams: {middle:,.0f} and {ninth:,.0f}; before it {early:.2%}", flush=True
            )
    return max(median for median, _ in found), max(most for _, most in found)


def main() -> int:
    """Exit code 1 if more alarm than may, or later."""
    quick = start(__doc__ or "")
    count, length, plain = (100, 20_000, 0) if quick else (STREAMS, DECISIONS, 100)
    share, limit = false_alarms(count, length)
    median, most = detection(count, plain)
    print(f"alarms without a reason: at most {share:.2%}, upper limit {limit:.2%} (aims: {MOST:.0%}, {MOST_LIMIT:.1%})")
    print(f"slowest shift: median {median:,.0f}, 90 % within {most:,.0f} (aims: {MEDIAN:,}, {NINE_TENTHS:,})")
    if quick:
        print("smoke: a look, not a result; nothing was appended")
        return 0
    append_result(
        Ratio(
            id="monitor_false_alarms",
            value=share,
            unit="share of simulated streams",
            peer="alpha .05",
            low=share,
            high=limit,
        )
    )
    reached = share <= MOST and limit <= MOST_LIMIT and median <= MEDIAN and most <= NINE_TENTHS
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
