"""What every training of a task starts from: states of the frozen layers, computed once, or rows where none is frozen.

States are kept in the run directory and shared by all methods and seeds.
"""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.data.pictures.reading import read_pictures
from equiray.mitigation.fairnet import Layers, Lower, LowerStates, RawRows, lower_states
from equiray.mitigation.fairnet.raw import Inputs
from equiray.models.backbones import Backbone, encode_texts
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.planning import PlannedTask
from equiray.specs.fairnet import FairNetSpec
from equiray.streaming.progress import RowProgress

FOLDER = "lower"


class TaskStates:
    """A task's rows, and their twins, as far as no training changes them, in memory while the task is worked on.

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
        self.layers = Layers.of(spec, backbone.depth)
        self._part = part

    @cached_property
    def all(self) -> Lower:
        """Of every row of the task."""
        if self._part is not None:
            whole, places = self._part
            return whole.of(places)
        return self._lower(self.planned.name, self.planned.examples.inputs)

    @cached_property
    def twins(self) -> Lower | None:
        """Of the twins, where there are any."""
        twins = self.planned.twins
        return None if twins is None else self._lower(f"{self.planned.name}.twins", twins.texts)

    def of(self, rows: NDArray[np.int64]) -> Lower:
        """Of some of the task's rows."""
        return self.all.take(rows)

    def twin_of_each(self, rows: NDArray[np.int64]) -> Lower:
        """A twin of each of some rows, the first that it has; a row without one stands for itself."""
        twins, made = self.planned.twins, self.twins
        assert twins is not None and made is not None
        place_of = {place: number for number, place in enumerate(rows.tolist())}
        chosen = np.arange(len(rows))
        for number, place in reversed(list(enumerate(twins.of.tolist()))):
            chosen[place_of[place]] = len(rows) + number
        return joined(self.of(rows), made).take(chosen)

    def under(self, planned: PlannedTask, places: NDArray[np.int64]) -> "TaskStates":
        """The same for a task that is made of some of this one's rows, in that order, without twins."""
        return TaskStates(planned, self.backbone, self.spec, self.directory, self.address, part=(self, places))

    def forget(self) -> None:
        """Remove the files: gigabytes that the run's figures do not need again."""
        for file in (self.directory.path / FOLDER).glob(f"{self.planned.name}.*safetensors"):
            file.unlink()

    def _lower(self, name: str, inputs: object) -> Lower:
        if self.layers.frozen == 0:
            return RawRows.of(self.backbone, self._readable(inputs))
        layer = self.layers.cached
        file = self.directory.path / FOLDER / f"{name}.layer{layer}.safetensors"
        if file.is_file():
            return LowerStates.load(file, self.backbone)
        readable = self._readable(inputs)
        rows = len(readable)
        with self.directory.step(f"{name}: frozen layers"), RowProgress(name, total=rows, done=0) as progress:
            made = lower_states(self.backbone, readable, layer, progress=lambda n: progress.advance(n, 0))
        scratch = file.with_name(f".{file.name}")
        made.save(scratch)
        scratch.replace(file)
        return made

    def _readable(self, inputs: object) -> Inputs:
        """Inputs of examples as the backbone reads them; picture files are all read, at the size it wants."""
        if isinstance(inputs, np.ndarray):
            return inputs
        assert isinstance(inputs, list)
        if self.backbone.tokenizer is None:
            return read_pictures(inputs, side=self.backbone.config.image_size)
        return encode_texts(self.backbone, inputs, self.spec.backbone.max_tokens)


def joined(first: Lower, second: Lower) -> Lower:
    """Rows of one after those of the other; of texts, for only these have twins."""
    if isinstance(first, RawRows) and isinstance(second, RawRows):
        assert isinstance(first.inputs, list) and isinstance(second.inputs, list)
        return RawRows(inputs=first.inputs + second.inputs, lengths=np.concatenate([first.lengths, second.lengths]))
    assert isinstance(first, LowerStates) and isinstance(second, LowerStates)
    return LowerStates(
        tokens=torch.cat([first.tokens, second.tokens]),
        offsets=np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
        layer=first.layer,
        identity=first.identity,
    )
