"""What one training of every method left: a part of ``fairnet.json`` (`equiray.reports.fairnet.record`)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Figure = float | None
Share = Annotated[float, Field(ge=0, le=1)] | None
Curve = list[float]
Threshold = float | Literal["inf", "-inf"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measured(Part):
    """A method on the test split; `open` is the share of rows with an open gate, null for methods without gates."""

    accuracy: Share
    worst_cell: Share
    equalized_odds_difference_max: Share
    equalized_odds_difference_mean: Share
    ece: Share
    open: Share


class Point(Measured):
    method: str


class Choice(Part):
    """How the thresholds were chosen on validation rows (`equiray.mitigation.gating.choice.Choice`).

    `groups_known` of the `rows` had a group that the regime knows.
    """

    attribute: str
    by: Literal["worst_cell", "accuracy"]
    rows: int
    groups_known: int
    thresholds: list[Threshold]
    figures: dict[str, Figure]
    base: dict[str, Figure]
    worst_cell: Figure
    base_worst_cell: Figure
    left_out: list[str]
    candidates: int
    feasible: int
    reason: str


class Calibration(Part):
    """Expected calibration error of a group at each threshold of a sweep, with limits that hold for all at once."""

    group: str
    ece: list[Figure]
    low: list[Figure]
    high: list[Figure]


class Sweep(Part):
    """What every threshold of one gate does, the others shut: lists of equal length, one place a threshold.

    `chosen` is the place of the choice. Limits hold for all thresholds of all gates at once.
    """

    gate: str
    split: str
    threshold: list[Threshold]
    accuracy: list[Figure]
    worst_cell: list[Figure]
    worst_cell_low: list[Figure]
    worst_cell_high: list[Figure]
    equalized_odds_difference_max: list[Figure]
    open: list[Figure]
    chosen: int | None
    calibration: list[Calibration]

    @model_validator(mode="after")
    def _curves_agree(self) -> "Sweep":
        lengths = {name: len(found) for name, found in self if isinstance(found, list) and name != "calibration"}
        for each in self.calibration:
            lengths |= {f"{name} of {each.group}": len(getattr(each, name)) for name in ("ece", "low", "high")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"curves of unequal length: {lengths}")
        if self.chosen is not None and not 0 <= self.chosen < len(self.threshold):
            raise ValueError(f"`chosen` {self.chosen} is no place among {len(self.threshold)} thresholds")
        return self


class Grid(Part):
    """What two gates do together at every pair of thresholds: [first gate's, second gate's]; `chosen` is a place."""

    split: str
    gates: tuple[str, str]
    thresholds: tuple[list[Threshold], list[Threshold]]
    chosen: tuple[int, int]
    worst_cell: list[list[Figure]]
    accuracy: list[list[Figure]]

    @model_validator(mode="after")
    def _planes_agree(self) -> "Grid":
        wide, deep = (len(axis) for axis in self.thresholds)
        for name in ("worst_cell", "accuracy"):
            plane = getattr(self, name)
            if len(plane) != wide or any(len(row) != deep for row in plane):
                raise ValueError(f"`{name}` is no plane of {wide} x {deep} thresholds")
        if not all(0 <= place < size for place, size in zip(self.chosen, (wide, deep), strict=True)):
            raise ValueError(f"`chosen` {self.chosen} is no place among {wide} x {deep} thresholds")
        return self


class GroupThresholds(Part):
    """Group thresholds on the base model's scores at one price, chosen on validation, read on test."""

    accuracy: Share
    worst_cell: Share


class Limited(Part):
    value: Figure
    low: Figure
    high: Figure


class Detector(Part):
    """A receiver operating characteristic, and where on it the chosen threshold lies."""

    attribute: str
    auc: Limited
    fpr: Curve
    tpr: Curve
    tpr_at: Share
    fpr_at: Share

    @model_validator(mode="after")
    def _curves_agree(self) -> "Detector":
        if len(self.fpr) != len(self.tpr):
            raise ValueError(f"curves of unequal length: fpr {len(self.fpr)}, tpr {len(self.tpr)}")
        return self


class HarmRows(Part):
    validation: int
    test: int


class ExactChanges(Part):
    """The change of accuracy by the gate alone, of both splits."""

    validation: Limited
    test: Limited


class NoHarm(Part):
    """When a gate cannot hurt (methods: section 2.5), all as shares of rows; the condition is of validation rows.

    `gain` = pi_min TPR d_min and `loss` = pi_maj FPR d_maj are the two products of the published condition; `margin` =
    gain - loss; `selection` = the exact change less the margin, over the validation rows whose group is known.
    """

    gate: str
    rows: HarmRows
    exact: ExactChanges
    prevalence: Share
    tpr: Share
    fpr: Share
    d_min: Figure
    d_maj: Figure
    gain: Figure
    loss: Figure
    margin: Limited
    selection: Limited
    holds: bool | None


class Training(Part):
    base_s: Figure
    detector_s: Figure
    adapter_s: Figure
    open_hinges: dict[str, list[Figure]]
    curves: dict[str, list[Figure]]


class Flagged(Part):
    text: str
    label: str
    group: str
    risk: Figure
    base: Share
    adapted: Share
    outcome: Literal["corrected", "harmed", "unchanged"]


class FlaggedTotals(Part):
    """Rows of the test split with an open gate, by what that did to the decision."""

    corrected: int = Field(ge=0)
    harmed: int = Field(ge=0)
    unchanged: int = Field(ge=0)


class DoubleCount(Part):
    gate: Measured
    thresholds: Measured
    both: Measured


class Seed(Part):
    """One training of every method."""

    seed: int
    points: list[Point]
    choice: Choice
    sweeps: list[Sweep] = Field(min_length=1)
    grid: Grid | None = None
    group_thresholds: list[GroupThresholds]
    detectors: list[Detector]
    no_harm: list[NoHarm]
    training: Training
    flagged: list[Flagged]
    flagged_totals: FlaggedTotals | None = None
    double_count: DoubleCount | None = None

    def point(self, method: str) -> Point | None:
        """What a method does under this training, None where it was not measured."""
        return next((point for point in self.points if point.method == method), None)
