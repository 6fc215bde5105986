"""Frontiers of a run: what thresholds on the unmitigated scores could do, against which mitigation is shown."""

from collections.abc import Sequence

from equiray.metrics.estimation import Labels
from equiray.runs.context import RunContext
from equiray.runs.frontiers import frontiers_file, frontiers_of_predictions
from equiray.runs.predictions import UNAWARE, PreparedTask, cells, predictions_file


def write_frontiers(tasks: Sequence[PreparedTask], run: RunContext) -> None:
    """Leave frontiers.json: of each task and model at baseline, chosen on validation rows and read on test rows.

    A model that scores test rows alone (a prompted one) has none.
    """
    with run.directory.step("frontiers"):
        records = []
        for prepared in tasks:
            task = prepared.schema.name
            for cell in cells(run.spec):
                if cell.stage != "baseline" or cell.model == UNAWARE:  # which is a mitigation itself
                    continue
                rows = run.directory.read_table(predictions_file(task, cell))
                if rows is not None:
                    labels = Labels(task=task, stage=cell.stage, model=cell.model)
                    records += frontiers_of_predictions(rows, prepared.attributes, labels)
        run.directory.write_json("frontiers.json", frontiers_file(records))
