"""`GatedOutcomes`: of each row the gates' risks and the output under every subset of open gates, cached once.

Notable: a gate only chooses between fixed outputs, so from these numbers alone follows what any thresholds would have
done, without a model. That holds only where no gate changes what another gate's detector reads: every gated layer lies
above every detector's layer. Outcomes from layers placed otherwise are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.data.schema import SPLITS
from equiray.errors import BadInput
from equiray.metrics.estimation.score_changes import GroupedScores
from equiray.metrics.tables import MISSING

MOST_CACHED = 3
"""Gates of which all 2^A outputs are cached; of more, those that thresholds ask for (`GatedOutcomes.needed`)."""

_SHOWN = 3

CLOSED, OPEN = np.float32(np.inf), np.float32(-np.inf)
"""Thresholds that keep a gate shut for every row, and that open it for every row whose risk is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GatedOutcomes:
    """Risks and outputs of N rows of one split under A gates.

    A gate opens where risk > threshold, strictly; where the risk is NaN (a row out of the detector's support) it stays
    shut. The decision is positive where the probability is above .5.

    Attributes
    ----------
    split : "train", "validation" or "test"
    attributes : tuple of str
        The gates, by the attribute that each corrects for.
    label : int8 [N]
        0 or 1.
    groups : tuple of GroupedScores
        Attributes and intersections by which rows are told apart: names of the groups, and each row's code [N].
    risk : float32 [N, A]
    probability : float32 [N, 2^A]
        Of the positive class with exactly a subset of gates open: bit a of the place is gate a. NaN, not computed, is
        allowed with more than `MOST_CACHED` gates.
    detector_layers, adapter_first_layers : tuple of int
        Of each gate: the number of layers whose output its detector reads, and the first layer adapted, from 0.
    reran : bool
        The published variant, one gate whose adapter begins in the layer that its detector reads the output of: the
        adapted output comes from running that layer again.

    Raises
    ------
    BadInput
        Shapes, codes or values do not fit, or a gated layer does not lie above every detector's layer.
    """

    split: str
    attributes: tuple[str, ...]
    label: NDArray[np.int8]
    groups: tuple[GroupedScores, ...]
    risk: NDArray[np.float32]
    probability: NDArray[np.float32]
    detector_layers: tuple[int, ...]
    adapter_first_layers: tuple[int, ...]
    reran: bool = False

    def __post_init__(self) -> None:
        _check_names(self)
        _check_layers(self)
        _check_rows(self)

    @property
    def rows(self) -> int:
        """N."""
        return len(self.label)

    def grouped(self, attribute: str) -> GroupedScores:
        """The groups of an attribute or intersection; raises BadInput where there is none of that name."""
        for each in self.groups:
            if each.attribute == attribute:
                return each
        known = ", ".join(each.attribute for each in self.groups) or "none"
        raise _refused(f"no groups of {attribute!r}", "groups", f"name one of: {known}")

    def alone(self, gate: str) -> "GatedOutcomes":
        """One gate with all others shut; raises BadInput where there is no such gate."""
        if gate not in self.attributes:
            raise _refused(f"no gate {gate!r}", "attributes", f"name one of: {', '.join(self.attributes)}")
        place = self.attributes.index(gate)
        return GatedOutcomes(
            split=self.split,
            attributes=(gate,),
            label=self.label,
            groups=self.groups,
            risk=self.risk[:, [place]],
            probability=self.probability[:, [0, 1 << place]],
            detector_layers=(self.detector_layers[place],),
            adapter_first_layers=(self.adapter_first_layers[place],),
            reran=self.reran,
        )

    def opened(self, thresholds: ArrayLike) -> NDArray[np.bool_]:
        """Which gates thresholds [A] open, [N, A]. Thresholds are rounded to float32, which risks are."""
        return opened_gates(self.attributes, self.risk, thresholds)

    def subset(self, thresholds: ArrayLike) -> NDArray[np.int64]:
        """Which subset of gates thresholds [A] open for each row [N], as a place in `probability`."""
        return self.opened(thresholds) @ (1 << np.arange(len(self.attributes)))

    def decided(self, thresholds: ArrayLike) -> NDArray[np.float32]:
        """The probability [N] of each row's output under thresholds [A].

        Raises
        ------
        BadInput
            Thresholds do not fit the gates, or rows need outputs that were not computed.
        """
        subset = self.subset(thresholds)
        found = np.take_along_axis(self.probability, subset[:, None], axis=1)[:, 0]
        lacking = np.isnan(found)
        if lacking.any():
            names = sorted({self._subset_name(int(place)) for place in subset[lacking]})
            shown = [*names[:_SHOWN], *([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]
            raise _refused(
                f"{int(lacking.sum()):,} rows need outputs that were not computed: {'; '.join(shown)}",
                "probability",
                f"with more than {MOST_CACHED} gates outputs are computed on demand: fill in what `needed` marks",
            )
        return found

    def needed(self, thresholds: ArrayLike) -> NDArray[np.bool_]:
        """Which outputs [N, 2^A] thresholds [A] ask for that were not computed."""
        asked = np.zeros(self.probability.shape, bool)
        np.put_along_axis(asked, self.subset(thresholds)[:, None], True, axis=1)
        return asked & np.isnan(self.probability)

    def _subset_name(self, place: int) -> str:
        return " + ".join(name for a, name in enumerate(self.attributes) if place >> a & 1) or "all gates shut"


def opened_gates(attributes: Sequence[str], risk: NDArray[np.float32], thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Which gates [N, A] risks [N, A] open under thresholds [A]; raises BadInput where these do not fit the gates."""
    tau = np.atleast_1d(np.asarray(thresholds, dtype=np.float32))
    if tau.shape != (len(attributes),) or np.isnan(tau).any():
        fix = f"give one number for each of {', '.join(attributes)}"
        raise _refused(f"thresholds {np.asarray(thresholds).tolist()}", "thresholds", fix)
    return risk > tau


def _check_names(of: GatedOutcomes) -> None:
    if of.split not in SPLITS:
        raise _refused(f"split {of.split!r}", "split", f"name one of: {', '.join(SPLITS)}")
    if not of.attributes or len(set(of.attributes)) < len(of.attributes):
        raise _refused(f"gates {', '.join(of.attributes) or '(none)'}", "attributes", "name each gate once")
    names = [each.attribute for each in of.groups]
    if len(set(names)) < len(names):
        raise _refused(f"groups by {', '.join(names)}", "groups", "name each attribute or intersection once")


def _check_layers(of: GatedOutcomes) -> None:
    detectors, adapters = of.detector_layers, of.adapter_first_layers
    if not len(detectors) == len(adapters) == len(of.attributes):
        counts = f"{len(detectors)} detector layers and {len(adapters)} first layers of adapters"
        raise _refused(counts, "detector_layers, adapter_first_layers", f"give {len(of.attributes)} of each")
    lowest, highest = min(adapters), max(detectors)
    if lowest >= highest:
        return
    published = len(of.attributes) == 1 and lowest == highest - 1
    if published and of.reran:
        return
    problem = (
        f"the adapter of {of.attributes[adapters.index(lowest)]!r} begins in layer {lowest} (from 0), below what the "
        f"detector of {of.attributes[detectors.index(highest)]!r} reads, the output of {highest} layers: "
        "its gate would change the risk that it or another gate opens on"
    )
    again = ", or run that layer again for flagged rows and say `reran`" if published else ""
    raise _refused(problem, "adapter_first_layers", f"adapt from layer {highest} on{again}")


def _check_rows(of: GatedOutcomes) -> None:
    gates, rows = len(of.attributes), len(of.label)
    shapes = {"label": (rows,), "risk": (rows, gates), "probability": (rows, 1 << gates)}
    for name, shape in shapes.items():
        if (found := np.shape(getattr(of, name))) != shape:
            raise _refused(f"shape {found}", name, f"{rows} rows and {gates} gates take {shape}")
    if not rows:
        raise _refused("no rows", "label", "give the outcomes of at least one row")
    _check_values("label", (of.label != 0) & (of.label != 1), of.label, "labels are 0 or 1")
    _check_values("risk", np.isinf(of.risk), of.risk, "risks are finite, or NaN for a gate that must not open")
    missing = np.isnan(of.probability) & (gates <= MOST_CACHED)
    unfit = missing | (of.probability < 0) | (of.probability > 1)
    _check_values("probability", unfit, of.probability, "probabilities lie between 0 and 1")
    for attribute, names, codes in of.groups:
        place = f"groups of {attribute!r}"
        if len(set(names)) < len(names):
            raise _refused(f"names {', '.join(names)}", place, "name each group once")
        if np.shape(codes) != (rows,):
            raise _refused(f"shape {np.shape(codes)}", place, f"give one code for each of {rows} rows")
        if MISSING in names[:-1]:
            raise _refused(f"{MISSING} is not the last group", place, "name it last")
        _check_values(place, (codes < 0) | (codes >= len(names)), codes, f"codes are 0 to {len(names) - 1}")


def _check_values(place: str, unfit: NDArray[np.bool_], values: NDArray[np.generic], fix: str) -> None:
    if unfit.any():
        row = int(np.argwhere(unfit)[0][0])
        raise _refused(f"{values[unfit][0]} in row {row}", place, fix)


def _refused(problem: str, where: str, fix: str) -> BadInput:
    return BadInput(problem, place=f"gated outcomes, {where}", fix=fix)
