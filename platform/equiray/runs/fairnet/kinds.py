"""Which tasks go with which backbone and which settings: texts, pictures, tables."""

from equiray.errors import BadInput
from equiray.models.backbones import Backbone
from equiray.specs.examples import AnyTaskSpec, reads_pictures
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.run import TaskSpec


def check_kinds(spec: FairNetSpec, backbone: Backbone, address: str | None) -> None:
    """Raise BadInput where a task's rows are not what the backbone reads, or a setting needs rows of a table."""
    sees = backbone.tokenizer is None
    for number, task in enumerate(spec.tasks):
        if reads_pictures(task) != sees:
            raise BadInput(
                f"{backbone.name} reads {_kind(sees)}, and the rows of task {task.name} are {_kind(not sees)}",
                place=f"backbone.source, tasks.{number}",
                fix=_fix(task),
            )
        if not isinstance(task, TaskSpec):
            _check_needs_no_table(spec, task.name, number, address)


def _check_needs_no_table(spec: FairNetSpec, name: str, number: int, address: str | None) -> None:
    twins, ray = f"rows of task {name} have no counterfactual twins", f"rows of task {name} do not go through Ray"
    refused = {
        "baselines": ("cda" in spec.baselines, twins, "list the others"),
        "ablations": ("augmentation" in spec.ablations, twins, "list the others"),
        "adapter.augmentation": (spec.adapter.augmentation, twins, "switch it off"),
        "streaming.mode": (spec.streaming.mode == "ray", ray, "say `local`: only tables are streamed"),
        "--address": (address is not None, ray, "leave it out: only tables are streamed"),
    }
    for key, (asked, problem, fix) in refused.items():
        if asked:
            raise BadInput(problem, place=f"{key}, tasks.{number}", fix=fix)


def _kind(pictures: bool) -> str:
    return "pictures" if pictures else "texts"


def _fix(task: AnyTaskSpec) -> str:
    if reads_pictures(task):
        return "name a ViT: `tiny_vit`, trained from scratch, a directory, or a hub id"
    return "name a text model: `minilm`, `embedded`, a directory, or a hub id"
