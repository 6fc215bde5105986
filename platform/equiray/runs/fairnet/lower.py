"""States of the frozen layers in a run directory: computed once for a task, shared by all methods and seeds."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.fairnet_spec import FairNetSpec
from equiray.mitigation.fairnet import Layers, LowerStates, lower_states
from equiray.models.backbones import Backbone, encode_texts
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.planning import PlannedTask
from equiray.streaming.progress import RowProgress

FOLDER = "lower"


class TaskStates:
    """Lower states of a task's rows, and of their twins, in memory while the task is worked on.

    They are made, or read, when the first part asks for them. Their files, 1.5 GB for 28,000 rows of 70 tokens and
    width 384 in bfloat16, are removed when a task is finished, and a run that is taken up again does not compute them
    anew: all parts of that task are on disk, and none of them asks for states. `address` is the Ray
    cluster that FairNet's outputs are computed on, if one was named.
    """

    def __init__(
        self,
        planned: PlannedTask,
        backbone: Backbone,
        spec: FairNetSpec,
        directory: RunDirectory,
        address: str | None = None,
        part: tuple["TaskStates", NDArray[np.int64]] | None = None,
    ) -> None:
        self.planned, self.backbone, self.spec, self.directory = planned, backbone, spec, directory
        self.address = address
        self.layer = Layers.of(spec, backbone.depth).cached
        self._part = part

    @cached_property
    def all(self) -> LowerStates:
        """Of every row of the task."""
        if self._part is not None:
            whole, places = self._part
            return whole.of(places)
        texts = self.planned.examples.inputs
        assert isinstance(texts, list)
        return self._states(f"{self.planned.name}", [str(text) for text in texts])

    @cached_property
    def twins(self) -> LowerStates | None:
        """Of the twins, where there are any."""
        twins = self.planned.twins
        return None if twins is None else self._states(f"{self.planned.name}.twins", twins.texts)

    def of(self, rows: NDArray[np.int64]) -> LowerStates:
        """States of some of the task's rows."""
        return taken(self.all, rows)

    def under(self, planned: PlannedTask, places: NDArray[np.int64]) -> "TaskStates":
        """The same states for a task that is made of some of this one's rows, in that order, without twins."""
        return TaskStates(planned, self.backbone, self.spec, self.directory, self.address, part=(self, places))

    def forget(self) -> None:
        """Remove the files: gigabytes that the run's figures do not need again."""
        for file in (self.directory.path / FOLDER).glob(f"{self.planned.name}.*safetensors"):
            file.unlink()

    def _states(self, name: str, texts: Sequence[str]) -> LowerStates:
        file = self.directory.path / FOLDER / f"{name}.layer{self.layer}.safetensors"
        if file.is_file():
            return LowerStates.load(file, self.backbone)
        ids = encode_texts(self.backbone, texts, self.spec.backbone.max_tokens)
        with self.directory.step(f"{name}: frozen layers"), RowProgress(name, total=len(ids), done=0) as progress:
            made = lower_states(self.backbone, ids, self.layer, progress=lambda rows: progress.advance(rows, 0))
        scratch = file.with_name(f".{file.name}")
        made.save(scratch)
        scratch.replace(file)
        return made


def taken(states: LowerStates, rows: NDArray[np.int64]) -> LowerStates:
    """States of some rows, in that order."""
    lengths = states.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(states.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    tokens = states.tokens[torch.from_numpy(places)]
    return LowerStates(tokens=tokens, offsets=offsets, layer=states.layer, identity=states.identity)


def joined(first: LowerStates, second: LowerStates) -> LowerStates:
    """Rows of one after those of the other."""
    return LowerStates(
        tokens=torch.cat([first.tokens, second.tokens]),
        offsets=np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
        layer=first.layer,
        identity=first.identity,
    )
