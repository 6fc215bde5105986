"""Models of a sweep on test rows: by as many workers as there is room for, each read kept as it is finished."""

from collections.abc import Mapping
from typing import Any

import ray
from ray.util import ActorPool
from safetensors.numpy import load_file, save_file

from equiray.runs.directory import RunDirectory
from equiray.runs.search.points import BASE, Arrays
from equiray.search.runner import trials_at_once
from equiray.search.study import Study, Trial
from equiray.specs.sweep import ResourcesSpec

FOLDER = "test"


def read_on_test(
    study: Study, wanted: Mapping[int, Trial | None], resources: ResourcesSpec, directory: RunDirectory
) -> dict[int, Arrays]:
    """What each model says of the test rows, by its trial; None and `BASE` stand for the unmitigated one."""
    missing = [number for number in wanted if not (directory.path / _file(number)).is_file()]
    if missing:
        reference = ray.put(study)
        reader = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_Reader)
        count = min(trials_at_once(resources), len(missing))
        actors = [reader.remote(reference) for _ in range(count)]
        try:
            pool = ActorPool(actors)
            asked = [(number, wanted[number]) for number in missing]
            for number, arrays in pool.map_unordered(lambda actor, of: actor.read.remote(*of), asked):
                with directory.atomic(_file(number)) as scratch:
                    save_file(dict(arrays), scratch)
                directory.say(f"{'base' if number == BASE else f'trial {number}'} on test rows")
        finally:
            for actor in actors:
                ray.kill(actor)
    return {number: load_file(directory.path / _file(number)) for number in wanted}


def _file(number: int) -> str:
    return f"{FOLDER}/{'base' if number == BASE else f'trial{number}'}.safetensors"


class _Reader:
    def __init__(self, study: Any) -> None:
        self.worker = study.worker()

    def read(self, number: int, trial: Trial | None) -> tuple[int, Arrays]:
        return number, self.worker.read(trial, "test")
