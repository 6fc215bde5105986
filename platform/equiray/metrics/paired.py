r"""Two models on the same rows: how the rate of a group changes.

Notable: predictions of both models are known row by row, so what they share cancels, and only rows on which they
differ count. A rate changes by delta (2 pi - 1), where delta is the share of rows on which the models differ, and pi
the share of these with the event under the second model. The likelihood of the two factors, so their limits combine
like those of independent rates (`intervals.curves`). Over 20 to 300 rows and any shares a 95 % interval covers 95.1 %
or more. (Where one model never loses a row, a score interval such as Tango's (1998) is Wilson's and errs like it.)
Where denominators differ row by row (PPV), two correlated intervals are combined (Zou and Donner 2008); with fewer
than `bootstrap.FEWEST_EVENTS` events or others in either call the result ``partial``. They are combined likewise, at
the ends of what both rates may be (`Ends`), where rows without an answer or of no known group leave a rate open.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from equiray.metrics.intervals.binomial import needs_exact
from equiray.metrics.intervals.curves import Curves, counted_curves, curves_of, normal_quantile, signed_products
from equiray.metrics.intervals.limits import Array, Completed, Counted, Interval, rate
from equiray.metrics.intervals.weighted import Weights, effective
from equiray.metrics.rates import Rate
from equiray.metrics.tables import Mass

_Cells = NDArray[np.bool_]  # [K, P, P, C]: label, first prediction, second prediction, cell of the group


class Ends(NamedTuple):
    """What each model's rate may be once the rows that are left out are known (`estimation.unknown.known`)."""

    first: Completed
    second: Completed

    @property
    def open(self) -> NDArray[np.bool_]:
        """Where either may be more than one thing, [..., G]."""
        differ = [np.asarray(a) != np.asarray(b) for of in self for a, b in zip(*of, strict=True)]
        return np.any(differ, axis=0)


@dataclass(frozen=True, kw_only=True)
class PairedRate:
    """A rate of each group under two models, arrays [..., G], over the rows that both answered.

    `discordant` counts the rows on which the models differ out of all in the denominator, `gained` those of them with
    the event under the second model only; both are None where the denominators differ row by row. `correlation` is that
    of the two estimated rates. `rows` counts those that are in the denominator of either, `left_out` those left out
    because one of the models gave no answer. With `ends`, limits hold whatever the rows are that are left out.
    `agreed` counts the rows on which the models agree out of all, and those of them with the event.
    """

    first: Counted
    second: Counted
    discordant: Counted | None
    gained: Counted | None
    correlation: Array
    rows: NDArray[Any]
    left_out: NDArray[Any]
    ends: Ends | None = None
    agreed: tuple[Counted, Counted] | None = None

    @property
    def change(self) -> Array:
        """Second minus first, NaN without rows."""
        return rate(self.second) - rate(self.first)

    @property
    def models(self) -> tuple[Counted | Completed, Counted | Completed]:
        """Each model's rate, as far as it can be known."""
        return (self.first, self.second) if self.ends is None else (self.ends.first, self.ends.second)

    def interval(self, confidence: float) -> Interval:
        """Limits of the change; NaN without rows."""
        found = self.curves(normal_quantile(confidence))
        return Interval(found.low[-1], found.high[-1])

    def curves(self, z: float) -> Curves:
        """Curves of the change up to the normal quantile z."""
        known = self._known_curves(z)
        if self.ends is None:
            return known
        (p_low, p_high), (q_low, q_high) = ([curves_of(end, z) for end in of] for of in self.ends)
        low, high = _correlated(p_high, q_low, self.correlation).low, _correlated(p_low, q_high, self.correlation).high
        return Curves(
            np.where(self.ends.open, np.fmin(known.low, low), known.low),
            np.where(self.ends.open, np.fmax(known.high, high), known.high),
        )

    def sums(self, z: float) -> Curves:
        """Curves of both models' rates added up, less 1, up to the normal quantile z."""
        # in like manner as a change: rows agreed with the event, less rows agreed without it
        known = factored_curves(*self.agreed, z) if self.agreed else self._added(self.first, self.second, z)
        if self.ends is None:
            return known
        low, high = (self._added(p, q, z) for p, q in zip(*self.ends, strict=True))
        return Curves(
            np.where(self.ends.open, np.fmin(known.low, low.low), known.low),
            np.where(self.ends.open, np.fmax(known.high, high.high), known.high),
        )

    def _added(self, first: Counted, second: Counted, z: float) -> Curves:
        one = curves_of(first, z)
        without = _correlated(Curves(-one.high, -one.low), curves_of(second, z), -self.correlation)
        return Curves(without.low - 1, without.high - 1)

    def _known_curves(self, z: float) -> Curves:
        if self.discordant is None or self.gained is None:
            return _correlated(curves_of(self.first, z), curves_of(self.second, z), self.correlation)
        return factored_curves(self.discordant, self.gained, z)


def paired_rate(of: Rate, joint: Mass) -> PairedRate:
    """A rate under two models, from joint counts of their predictions.

    Parameters
    ----------
    of : Rate
    joint : Mass
        Rows by group, label, first prediction and second prediction, [..., G, K, P, P] with P = K + 2, and with weights
        their sums: then numbers are effective ones.

    Returns
    -------
    PairedRate
        [..., G], or [..., G * C] for a rate of C cells in each group.
    """
    classes, predictions = joint.count.shape[-3:-1]
    event, other = _outcomes(of, classes, predictions)
    within = event | other
    answered = np.ones(predictions, dtype=bool)
    answered[classes:] = within[:, classes:].any()  # a rate of refusals counts rows without an answer as such
    both = (answered[:, None] & answered)[None, :, :, None]
    rows = _Rows(joint, both)
    e1, o1, t1 = (part[:, :, None] for part in (event, other, within))
    e2, o2, t2 = (part[:, None] for part in (event, other, within))
    # A row is in a denominator because of its label, the same for both models, or (PPV) because of the prediction.
    by_label = bool((within[:, answered] == within[:, :1]).all())
    return PairedRate(
        first=rows.share(e1, o1),
        second=rows.share(e2, o2),
        discordant=rows.share((e1 & o2) | (o1 & e2), (e1 & e2) | (o1 & o2)) if by_label else None,
        gained=rows.share(o1 & e2, e1 & o2) if by_label else None,
        correlation=rows.correlation((e1, t1), (e2, t2)),
        rows=rows.total(joint.count, t1 | t2),
        left_out=_Rows(joint, ~both).total(joint.count, t1 | t2),
        agreed=(rows.share((e1 & e2) | (o1 & o2), (e1 & o2) | (o1 & e2)), rows.share(e1 & e2, o1 & o2))
        if by_label
        else None,
    )


class _Rows:
    """Joint counts of the rows `among` all."""

    def __init__(self, joint: Mass, among: _Cells) -> None:
        self._joint, self._among = joint, among

    def total(self, part: NDArray[Any], cells: _Cells) -> NDArray[Any]:
        """Rows, or a sum over them, in some cells, [..., G * C]."""
        found = np.einsum("...gkab,kabc->...gc", part, (cells & self._among).astype(part.dtype))
        return found.reshape(*found.shape[:-2], -1)

    def share(self, events: _Cells, others: _Cells) -> Counted:
        """Rows in some cells out of those and others."""
        count, weight, squared = self._joint
        if weight is None or squared is None:
            happened = self.total(count, events)
            return Counted(happened, happened + self.total(count, others))
        sides = (Weights(self.total(weight, side), self.total(squared, side)) for side in (events, others))
        return effective(*sides)

    def correlation(self, first: tuple[_Cells, _Cells], second: tuple[_Cells, _Cells]) -> Array:
        """Of two rates given by their (events, trials): that of their linearised errors; 0 where one does not vary."""
        count, weight, squared = self._joint
        (e1, t1), (e2, t2) = first, second
        weight, squared = (count if part is None else part for part in (weight, squared))
        p, q = (rate(Counted(self.total(weight, e), self.total(weight, t))) for e, t in (first, second))
        shared = [self.total(squared, one & other) for one, other in ((e1, e2), (e1, t2), (t1, e2), (t1, t2))]
        covariance = shared[0] - q * shared[1] - p * shared[2] + p * q * shared[3]
        spread = 1.0
        for r, (e, t) in ((p, first), (q, second)):
            happened = self.total(squared, e)
            spread = spread * ((1 - r) ** 2 * happened + r**2 * (self.total(squared, t) - happened))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 0, np.clip(covariance / np.sqrt(spread), -1, 1), 0)


def _outcomes(of: Rate, classes: int, predictions: int) -> tuple[_Cells, _Cells]:
    """Which labels and predictions are an event of the rate and which not, read off the rate itself, [K, P, C]."""
    one_row = np.eye(classes * predictions, dtype=np.int64).reshape(-1, 1, classes, predictions)
    event, other = (side(one_row).reshape(classes, predictions, -1) > 0 for side in (of.events, of.others))
    return event, other


def factored_curves(discordant: Counted, gained: Counted, z: float) -> Curves:
    """Curves of delta (2 pi - 1), see above."""
    confidence = 1 - 2 * float(ndtr(-z))
    (differ, trials), (up, unlike) = (
        np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in counted))
        for counted in (discordant, gained)
    )
    share = counted_curves(Counted(differ, trials), z, needs_exact(differ, trials, confidence))
    upward = counted_curves(Counted(up, unlike), z, needs_exact(up, unlike, confidence, rows=trials))
    # Of rows that do not differ nothing is known about where they would go.
    upward = Curves(np.where(unlike > 0, upward.low, 0), np.where(unlike > 0, upward.high, 1))
    return signed_products(share, upward)


def _correlated(first: Curves, second: Curves, correlation: Array) -> Curves:
    """Curves of second - first, of correlated rates: limits are as far off as normal errors would be."""

    def reach(one: Array, other: Array) -> Array:
        return np.sqrt(np.maximum(one**2 + other**2 - 2 * correlation * one * other, 0))

    change, (p, q) = second.low[0] - first.low[0], (first.low[0], second.low[0])
    return Curves(change - reach(q - second.low, first.high - p), change + reach(second.high - q, p - first.low))
