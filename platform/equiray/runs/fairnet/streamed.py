"""Outputs of every gate through the stream: on Ray actors, from rows and a saved FairNet alone."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equiray.mitigation.fairnet.inference import SubsetOutput
from equiray.runs.fairnet.lower import TaskStates
from equiray.streaming.gated import gate_table, read_gated

FOLDER = "gated"


def streamed(states: TaskStates, rows: NDArray[np.int64], fairnet: Path, name: str) -> SubsetOutput:
    """What `subset_probabilities` gives for some of a task's rows; blocks that an earlier run finished are kept.

    Cached states stay where they are: an actor computes its rows' lower layers again, for a row's states are hundreds
    of times as large as its text.

    Parameters
    ----------
    states : TaskStates
    rows : int64 [n]
        Places in the planned task.
    fairnet : Path
        Where the FairNet was saved.
    name : str
        Names the blocks' folder.
    """
    planned = states.planned
    assert planned.table is not None, "only tables are streamed"
    row_ids = planned.examples.row_id[rows]
    out = gate_table(
        planned.table.rows(row_ids),
        planned.table.serializer,
        states.spec.backbone,
        fairnet,
        states.directory.path / FOLDER / name,
        states.spec.streaming,
        address=states.address,
        backbone=states.backbone,
        label=name,
    )
    found = read_gated(out)
    assert np.array_equal(found.row_id, row_ids)
    return SubsetOutput(found.probability, found.risk)
