"""What a model card says of a FairNet run beside its figures: the intended use, the methods, and every change."""

from collections.abc import Iterable

from equiray.reports.fairnet.checks import threshold_words
from equiray.reports.fairnet.facts import backbone_facts, gate_words
from equiray.reports.fairnet.record import FAIRNET_NAME, CellChange, Change, Changes, FairnetFile, Task
from equiray.reports.fairnet.tables import change_words, effect_of
from equiray.reports.fairnet.trainings import Seed
from equiray.reports.markdown_parts import bullets, escaped, pipe_table
from equiray.reports.words import count, enumerate_words, number, share


def fairnet_uses(document: FairnetFile) -> list[str]:
    """Whether the group must be known when deciding, and what the gates were trained for."""
    names: dict[bool, list[str]] = {True: [], False: []}
    for method in document.methods:
        names[method.needs_group].append(method.label)
    told = {True: "must know the group when deciding", False: "decide without knowing the group"}
    needs = "; ".join(f"{enumerate_words(found)}: {told[known]}" for known, found in names.items() if found)
    return [
        "FairNet corrects decisions of one classifier for the groups and the task that its detectors and adapters were "
        "trained on. Its gates were not measured on other populations than those below. Some of the people for whom a "
        "gate opens are then decided wrongly who were decided rightly before: read how many.",
        f"{escaped(needs)}.",
    ]


def fairnet_warnings(document: FairnetFile) -> list[str]:
    """What limits the run, before all else that may be said of it."""
    found = [
        f"{task.title}: the data are synthetic, and say nothing about people."
        for task in document.tasks
        if task.synthetic
    ]
    return found + [f"{task.title}: {warning}" for task in document.tasks for warning in task.warnings]


def fairnet_methods(document: FairnetFile) -> list[str]:
    """The backbone, what each method is, and whose rows the gates open for."""
    gates = [f"{task.title}: {gate_words(gate)}" for task in document.tasks for gate in task.gates]
    return [
        "## Methods",
        bullets(f"{fact.name}: {fact.value}" for fact in backbone_facts(document)),
        bullets(f"{method.label}: {method.what}" for method in document.methods),
        *([bullets(gates)] if gates else []),
    ]


def fairnet_changes(document: FairnetFile, digest: str) -> list[str]:
    """Every change, with the place where it stands (a JSON pointer, RFC 6901)."""
    parts = [
        "## Changes",
        f"A method against another on the same test rows, mean over trainings. `#/tasks/N` is the place of a change in "
        f"`{FAIRNET_NAME}` (sha256 `{digest}`). Limits of the worst cell and of all cells hold together.",
    ]
    labels = {method.id: method.label for method in document.methods}
    columns = ("Method", "Against", "Figure", "From", "To", "Change", "Trainings", "Reading", "Source")
    for i, task in enumerate(document.tasks):
        rows = [
            [*map(escaped, _row(task, of, change, name, reading, labels)), f"`#/tasks/{i}/changes/{j}/{place}`"]
            for j, of in enumerate(task.changes)
            for name, change, reading, place in _changes(of)
        ]
        parts += [f"### {escaped(task.title)}", pipe_table(columns, rows)] if rows else []
    return parts


def fairnet_trainings(document: FairnetFile, results: str, digest: str) -> list[str]:
    """Every training in one line, for ERM and FairNet; all figures of all methods stand in the results."""
    parts = [
        "## Trainings",
        f"Test rows, one line a training; `#/tasks/N` is its place in `{FAIRNET_NAME}`. Every figure of every method "
        f"and training, with its interval, stands in `{results}` (sha256 `{digest}`).",
    ]
    columns = ("Seed", "Accuracy", "Worst cell", "Equalized odds (max)", "ECE", "Open", "Thresholds", "Source")
    for i, task in enumerate(document.tasks):
        rows = [[*map(escaped, _training(seed)), f"`#/tasks/{i}/seeds/{j}`"] for j, seed in enumerate(task.seeds)]
        note = f"ERM → FairNet, by {task.attribute}."
        parts += [f"### {escaped(task.title)}", escaped(note), pipe_table(columns, rows)]
    return parts


def _training(seed: Seed) -> list[str]:
    before, after = seed.point("erm"), seed.point("fairnet")
    names = ("accuracy", "worst_cell", "equalized_odds_difference_max", "ece")
    levels = [" → ".join(number(getattr(of, name)) for of in (before, after) if of) for name in names]
    opened = share(after.open) if after and after.open is not None else "–"
    return [str(seed.seed), *levels, opened, threshold_words(seed.choice)]


def _changes(of: Changes) -> Iterable[tuple[str, Change | CellChange, str, str]]:
    yield "Accuracy", of.accuracy, f"kept as asked: {of.accuracy_kept}", "accuracy"
    yield "Worst cell", of.worst, f"up as asked: {of.worst_up}", "worst"
    for place, cell in enumerate(of.cells):
        yield f"{cell.name} ({count(cell.rows, 'row')})", cell, "", f"cells/{place}"


def _row(task: Task, of: Changes, change: Change, name: str, reading: str, labels: dict[str, str]) -> list[str]:
    effect = effect_of(change, task.task, of.method, of.reference, of.confidence, task.rows.test)
    levels = [number(change.first), number(change.second)]
    return [labels[of.method], labels[of.reference], name, *levels, change_words(effect), str(of.trainings), reading]
