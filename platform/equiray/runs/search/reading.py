"""What models of a sweep say of a split's rows: by as many workers as there is room for, each kept as it is read."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import ray
from ray.util import ActorPool
from safetensors.numpy import load_file, save_file

from equiray.runs.directory import RunDirectory
from equiray.runs.search.points import BASE, Arrays
from equiray.search.runner import trials_at_once
from equiray.search.study import Study, Trial
from equiray.specs.sweep import SweepSpec


def read_models(
    study: Study, wanted: Mapping[int, Trial | None], splits: Sequence[str], spec: SweepSpec, directory: RunDirectory
) -> dict[str, dict[int, Arrays]]:
    """What each model says of the rows, by split and trial; None and `BASE` stand for the unmitigated model."""
    asked = [(number, split) for number in wanted for split in splits]
    missing = [each for each in asked if not (directory.path / _file(*each)).is_file()]
    if missing:
        reference = ray.put(study)
        reader = ray.remote(num_cpus=spec.resources.cpus, num_gpus=spec.resources.gpus)(_Reader)
        count = min(trials_at_once(spec.resources), len(missing))
        actors = [reader.remote(reference) for _ in range(count)]
        try:
            pool = ActorPool(actors)
            for number, split, arrays in pool.map_unordered(
                lambda actor, of: actor.read.remote(*of, wanted[of[0]]), missing
            ):
                with directory.atomic(_file(number, split)) as scratch:
                    save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, scratch)
                directory.say(f"{_name(number)} on the {split} split")
        finally:
            for actor in actors:
                ray.kill(cast(Any, actor))
    return {split: {number: load_file(directory.path / _file(number, split)) for number in wanted} for split in splits}


def _name(number: int) -> str:
    return "base" if number == BASE else f"trial{number}"


def _file(number: int, split: str) -> str:
    return f"said/{_name(number)}.{split}.safetensors"


class _Reader:
    def __init__(self, study: Any) -> None:
        self.worker = study.worker()

    def read(self, number: int, split: str, trial: Trial | None) -> tuple[int, str, Arrays]:
        return number, split, self.worker.read(trial, split)
