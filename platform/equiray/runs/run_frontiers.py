"""Frontiers of a run: what thresholds on the unmitigated scores could do, against which mitigation is shown."""

from collections.abc import Mapping, Sequence

from equiray.metrics.estimation import Labels
from equiray.runs.context import RunContext
from equiray.runs.frontiers import frontiers_file, frontiers_of_predictions
from equiray.runs.predictions import UNAWARE, cells, predictions_file


def write_frontiers(tasks: Mapping[str, Sequence[str]], run: RunContext) -> None:
    """Leave frontiers.json: of each task and model at baseline, chosen on validation rows and read on test rows.

    `tasks` names the attributes of each task. A model that scores test rows alone (a prompted one) has none.
    """
    with run.directory.step("frontiers"):
        records = []
        for task, attributes in tasks.items():
            for cell in cells(run.spec):
                if cell.stage != "baseline" or cell.model == UNAWARE:  # which is a mitigation itself
                    continue
                rows = run.directory.read_table(predictions_file(task, cell))
                if rows is not None:
                    labels = Labels(task=task, stage=cell.stage, model=cell.model)
                    records += frontiers_of_predictions(rows, tuple(attributes), labels)
        run.directory.write_json("frontiers.json", frontiers_file(records))
