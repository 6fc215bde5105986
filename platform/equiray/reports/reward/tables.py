"""Tables and panels of a reward model's run: labels, step AUC, calibration, judges, proxies."""

from collections.abc import Sequence

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.chains.tables import change_cell
from equiray.reports.panels import Block, Panel, interval_row
from equiray.reports.planes import Entry, Mark, Plane, PlaneChart
from equiray.reports.reward.record import LabelCounts, RewardFile, TrainedModel, View
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import count, number, share

MODELS = {
    "reward_model": "Reward model",
    "bag_of_words": "Bag of words",
    "last_step": "Last step only",
    "outcome_model": "Outcome model",
}
VIEWS: tuple[View, ...] = ("masked", "unmasked")
_KINDS = {
    "zip_code": "ZIP code",
    "career_break": "Career break",
    "names": "Names",
    "group_never_named": "Group never named",
}
_JUDGE = {"judge_kappa": "Kappa", "judge_agreement": "Agreement", "judge_label_rate": "Label rate"}
_PROXIES = {
    "proxy_detection_rate": ("Detected", "biased steps scored below the threshold"),
    "proxy_false_alarm_rate": ("False alarms", "neutral steps scored below it"),
    "proxy_ranked_rate": ("Ranked right", "the biased step scores below its neutral twin"),
}


def model_words(model: str) -> str:
    """``reward_model-last_step`` -> ``Last step only``: whom the first is compared with."""
    return MODELS.get(model.rpartition("-")[2], model)


def auc_panels(document: RewardFile) -> list[Panel]:
    """Step AUC of every model, masked beside unmasked, then what the reward model leads by."""
    levels: dict[View, list[Estimate]] = {view: document.found("step_auc", view) for view in VIEWS}
    changes: dict[View, list[Estimate]] = {view: document.found("step_auc", f"{view} difference") for view in VIEWS}
    return [
        *_panels(levels, "Step AUC", "held-out categories; 0.5 is chance", centred=False),
        *_panels(changes, "Lead of the reward model", "its step AUC less that of each other, paired", centred=True),
    ]


def _panels(found: dict[View, list[Estimate]], title: str, meaning: str, *, centred: bool) -> list[Panel]:
    limits = [x for many in found.values() for e in many for x in (e.value, e.low, e.high) if x is not None]
    if not limits:
        return []
    axis = axis_over(limits if centred else [0.5, *limits], symmetric=centred)
    names = {"masked": "answers and group names masked", "unmasked": "texts as they are"}
    # A stage of a difference says so in words; panels read it as a paired change by its dash.
    rows = {
        view: tuple(interval_row(_dashed(e) if centred else e, axis, model_words(e.model)) for e in many)
        for view, many in found.items()
        if many
    }
    return [
        Panel(
            title=f"{title}, {view}",
            meaning=f"{meaning}; {names[view]}",
            blocks=(Block(title="", rows=of),),
            ticks=axis.ticks,
            zero=axis.at(0 if centred else 0.5),
            sides=("worse", "better") if centred else None,
        )
        for view, of in rows.items()
    ]


def auc_table(document: RewardFile) -> Table | None:
    """The same in numbers: level and lead of each model in both views."""
    rows = []
    for model, words in MODELS.items():
        cells = []
        for view in VIEWS:
            cells.append(plain_cell(_one(document.found("step_auc", view), model)))
            lead = _one(document.found("step_auc", f"{view} difference"), f"reward_model-{model}")
            cells.append(Cell(value="–") if lead is None else change_cell(_dashed(lead)))
        if any(cell.value != "–" for cell in cells):
            rows.append(TableRow(label=words, cells=tuple(cells)))
    columns = tuple(
        column for view in VIEWS for column in ((view.capitalize(), "step AUC"), ("Lead", f"reward model’s, {view}"))
    )
    return (
        Table(corner="Scores of", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),)) if rows else None
    )


def lead_of(document: RewardFile, view: View, model: str) -> Estimate | None:
    """By how much the reward model leads, as a paired change."""
    found = _one(document.found("step_auc", f"{view} difference"), f"reward_model-{model}")
    return None if found is None else _dashed(found)


def level_of(document: RewardFile, view: View) -> Estimate | None:
    """The reward model's step AUC."""
    return _one(document.found("step_auc", view), "reward_model")


def label_table(document: RewardFile) -> Table:
    """Steps labelled by each judge on each side, and by category."""
    sides = {"Train": document.sides.train, "Validation": document.sides.validation, "Test": document.sides.test}
    blocks = []
    for name, side in sides.items():
        rows = [_label_row(f"judge {judge}", of) for judge, of in side.labels.items()]
        rows += [_label_row(category, of) for category, of in side.labels_by_category.items()]
        blocks.append(TableBlock(title=f"{name}: {count(side.cases, 'case')}", rows=tuple(rows)))
    columns = ("Steps", "Biased", "Unbiased", "Label rate")
    return Table(corner="Steps of", columns=tuple((n, n) for n in columns), blocks=tuple(blocks))


def _label_row(name: str, of: LabelCounts) -> TableRow:
    cells = (*(Cell(value=count(n)) for n in (of.steps, of.biased, of.unbiased)), Cell(value=share(of.rate)))
    return TableRow(label=name, cells=cells)


def ece_table(document: RewardFile) -> Table | None:
    """Expected calibration error overall, of each category and of each group, masked and not."""
    found = {(e.attribute, e.group, e.stage): e for e in document.found("ece")}
    titles: dict[str | None, str] = {None: "", "category": "By category", "group": "By group of the stereotyped person"}
    blocks = []
    for attribute, title in titles.items():
        groups = list(dict.fromkeys(group for of, group, _ in found if of == attribute))
        rows = tuple(
            TableRow(
                label=group or "All labelled steps",
                cells=tuple(_counted(found.get((attribute, group, view))) for view in VIEWS),
            )
            for group in groups
        )
        blocks += [TableBlock(title=title, rows=rows)] if rows else []
    columns = (("Masked", "answers and group names"), ("Unmasked", "texts as they are"))
    return Table(corner="Steps of", columns=columns, blocks=tuple(blocks)) if blocks else None


def judge_table(document: RewardFile) -> Table | None:
    """Agreement of each compared judge with the gold rule, overall and by category."""
    found = {(e.model, e.group, e.metric): e for e in document.estimates if e.metric in _JUDGE}
    blocks = []
    for judge in dict.fromkeys(model for model, _, _ in found):
        groups = dict.fromkeys(group for model, group, _ in found if model == judge)
        rows = tuple(
            TableRow(
                label=group or "All steps",
                cells=tuple(_counted(found.get((judge, group, metric))) for metric in _JUDGE),
            )
            for group in groups
        )
        blocks.append(TableBlock(title=judge, rows=rows))
    columns = tuple((words, words) for words in _JUDGE.values())
    return Table(corner="Judge", columns=columns, blocks=tuple(blocks)) if blocks else None


def proxy_table(document: RewardFile) -> Table | None:
    """The red team: texts whose bias hides behind a proxy, by kind."""
    found = {(e.group, e.metric): e for e in document.estimates if e.metric in _PROXIES}
    rows = tuple(
        TableRow(
            label=_KINDS.get(group, group) if group else "All kinds",
            cells=tuple(_counted(found.get((group, metric))) for metric in _PROXIES),
        )
        for group in dict.fromkeys(group for group, _ in found)
    )
    return (
        Table(corner="Proxy", columns=tuple(_PROXIES.values()), blocks=(TableBlock(title="", rows=rows),))
        if rows
        else None
    )


def decile_table(document: RewardFile) -> Table | None:
    """Lowest, middle and highest scores of biased and of unbiased steps."""
    blocks = []
    for view, of in document.scores.items():
        kinds = {"Biased": of.biased, "Unbiased": of.unbiased}
        rows = [TableRow(label=name, cells=tuple(map(_score, _ends(found)))) for name, found in kinds.items() if found]
        blocks += [TableBlock(title=view.capitalize(), rows=tuple(rows))] if rows else []
    columns = tuple((name, name) for name in ("Lowest", "Median", "Highest"))
    return Table(corner="Steps", columns=columns, blocks=tuple(blocks)) if blocks else None


def curve_table(model: TrainedModel) -> Table:
    """Validation during training."""
    rows = [
        TableRow(
            label=f"step {p.step}" + (", kept" if p.step == model.best_step else ""),
            cells=(*(Cell(value="–" if v is None else number(v)) for v in (p.loss, p.log_loss, p.auc)),),
        )
        for p in model.curve
    ]
    columns = (("Loss", "training"), ("Log loss", "validation"), ("AUC", "validation"))
    return Table(corner="After", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))


def reliability_charts(document: RewardFile) -> list[PlaneChart]:
    """Share of unbiased steps against the mean score of each bin; the diagonal is perfect calibration."""
    charts = []
    for view, bins in document.reliability.items():
        known = [(b, b.mean_score, b.unbiased) for b in bins if b.mean_score is not None and b.unbiased is not None]
        if not known:
            continue
        axis = axis_over([0.0, 1.0])
        plane = Plane(axis, axis)
        marks = []
        for of, score, unbiased in known:
            x, y = plane.at(score, unbiased)
            spoken = f"{count(of.steps, 'step')}: mean score {number(score)}, unbiased {number(unbiased)}"
            marks.append(Mark(shape="circle", style="gated", x=x, y=y, spoken=spoken))
        charts.append(
            PlaneChart(
                title=f"Calibration, {view}",
                meaning=f"labelled steps of held-out categories in bins of a tenth; {count(len(known), 'bin')} of "
                f"{len(bins)} hold steps",
                x_label="mean score",
                promises=(plane.line("perfect", [(0.0, 0.0), (1.0, 1.0)]),),
                dots=(),
                systems=tuple(marks),
                legend=(Entry("circle", "gated", "a bin"), Entry("line", "perfect", "as calibrated as can be")),
                x_ticks=plane.x.ticks,
                y_ticks=plane.y_ticks,
                y_label="share unbiased",
                square=True,
            )
        )
    return charts


def training_words(model: TrainedModel) -> str:
    """What training left, in a line."""
    steps = ", ".join(f"{count(n)} {side}" for side, n in model.labels.items())
    fitted = model.calibration
    return (
        f"{model.base}, reads {model.reading}; best after {count(model.best_step, 'step')}, stopped by "
        f"{model.stopped_by}; labels: {steps}; calibrated by {fitted.method}, slope {number(fitted.slope)}"
    )


def _dashed(e: Estimate) -> Estimate:
    return Estimate(**{**vars(e), "stage": e.stage.replace(" difference", "-difference")})


def _one(found: Sequence[Estimate], model: str) -> Estimate | None:
    return next((e for e in found if e.model == model), None)


def _counted(e: Estimate | None) -> Cell:
    return plain_cell(e, f"of {count(e.n)}" if e is not None and e.value is not None else "")


def _ends(deciles: Sequence[float]) -> tuple[float, float, float]:
    return deciles[0], deciles[len(deciles) // 2], deciles[-1]


def _score(value: float) -> Cell:
    return Cell(value=number(value))
