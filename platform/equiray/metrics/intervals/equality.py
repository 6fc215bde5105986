"""What a disparity would be expected to be if all groups were alike: small groups differ by chance alone.

Notable: a largest difference of many small groups is large without any unfairness. Reported beside it, this says how
much of it chance explains; it is no correction, for what is left is not the true disparity either.
"""

from collections.abc import Callable, Sequence

import numpy as np

from equiray.metrics.clusters import Resampling
from equiray.metrics.intervals.limits import Array, Counted


def expected_at_equality(
    disparity: Callable[[Sequence[Array]], Array], rates: Sequence[Counted], resampling: Resampling
) -> float:
    """Mean of a disparity over draws in which every group has the pooled rate; the small-sample excess of a max-min.

    For a largest difference, whose value at equality is 0, it is the excess itself; for a smallest ratio, 1 less it is.

    Parameters
    ----------
    disparity : function of rates, each [R, G], -> [R]
        `disparities.Disparity.of_rates`.
    rates : one for each of its rates, arrays [G]
        Effective numbers of weighted rows are rounded.
    resampling : Resampling
        Its `replicates` are drawn, which leave a standard error of about .6 % of the largest difference at 2,000.

    Returns
    -------
    float
        NaN where a group has no trials. Draws that leave nothing to divide by are left out.
    """
    generator = np.random.default_rng(resampling.seed)
    drawn = []
    for events, trials in rates:
        whole = np.rint(np.asarray(trials, dtype=np.float64)).astype(np.int64)
        if not whole.all():
            return float("nan")
        pooled = min(float(np.sum(events) / np.sum(trials)), 1.0)
        drawn.append(generator.binomial(whole, pooled, (resampling.replicates, len(whole))) / whole)
    found = disparity(drawn)
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")
