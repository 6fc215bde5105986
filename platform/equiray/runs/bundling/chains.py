"""A run of chains as a bundle: the model that wrote them, the reward model, and how one data set's chains are weighed.

Notable: temperature, number of chains and aggregator go together; those that were chosen on validation cases are the
bundle's, whatever else serving would prefer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiray.bundles.manifest import (
    REWARD,
    UNLEARNING,
    ChainSampling,
    DataSource,
    FolderPart,
    LanguageModelPart,
    Manifest,
    Parts,
    Provenance,
    RewardBase,
    RewardPart,
)
from equiray.bundles.writing import Content, write_bundle
from equiray.errors import BadInput, reading_back
from equiray.metrics.estimates import Estimate
from equiray.mitigation.reward.store import read_about
from equiray.runs.bundling.fairnet import check_inputs, versions
from equiray.runs.chains.details import SCHEMA
from equiray.runs.chains.methods import REWARD as METHOD
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.chains.run import DOCUMENT
from equiray.runs.results_document import RESULTS
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import ChainsSpec, load_chains_spec


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """A finished run, and its document about the data set that is meant."""

    directory: Path
    spec: ChainsSpec
    task: dict[str, Any]
    pick: str


def bundle_chains(directory: Path, pick: str, out: Path) -> Manifest:
    """Write a bundle of what a run of chains chose for a data set.

    Parameters
    ----------
    directory : Path
    pick : str
        The data set's name: ``bbq``.
    out : Path

    Raises
    ------
    BadInput
        The run is not finished, has no such data set or chose nothing for it; its model is known by its URL alone;
        model or reward model are others than they were; or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    run = _decided(directory, pick)
    _check_servable(run)
    reward = RewardRun.read(Path(run.spec.reward_model))
    engines = Engines(spec=run.spec.engine)
    engines.check()
    check_inputs(directory, {**engines.identity, "reward model": reward.weights})
    folders = {REWARD: reward.process}
    if run.spec.engine.adapter is not None:
        folders[UNLEARNING] = Path(run.spec.engine.adapter)
    parts = Parts(
        base=_base(engines),
        unlearning=FolderPart(folder=UNLEARNING) if UNLEARNING in folders else None,
        reward=_reward(run, reward),
    )
    return write_bundle(out, out.name, Content(parts=parts, folders=folders), _provenance(run))


def _decided(directory: Path, pick: str) -> _Decided:
    spec = load_chains_spec(directory / "spec.yaml")
    file = directory / DOCUMENT
    if not file.is_file() or not (directory / RESULTS).is_file():
        raise BadInput("the run is not finished", place=str(directory), fix="repeat its command")
    with reading_back(file, fix="repeat the run in a new directory"):
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}")
        tasks = {task["task"]: task for task in document["tasks"]}
    if pick not in tasks:
        fix = f"pick one of: {', '.join(tasks)}"
        raise BadInput(f"{pick!r} names no data set of this run", place=str(directory), fix=fix)
    return _Decided(directory=directory, spec=spec, task=tasks[pick], pick=pick)


def _check_servable(run: _Decided) -> None:
    place, choice = str(run.directory), run.task["choice"]
    if choice["chosen"] is None:
        raise BadInput(
            f"for {run.pick} the run chose no temperature ({choice['status']}): {choice['reason']}",
            place=place,
            fix="loosen the limits of `decision`, use more cases, or bundle the language model of another run",
        )
    if run.spec.engine.backend == "endpoint":
        raise BadInput(
            f"its chains were written behind {run.spec.engine.source}: which weights those are nobody can tell",
            place=f"{place}, engine.backend",
            fix="run the spec with a model in this process, or with vllm",
        )
    if run.spec.decision.step_weights == "causal":
        raise BadInput(
            "causal step weights read how likely each option is, and a chat has none",
            place=f"{place}, decision.step_weights",
            fix="run it with step_weights: uniform; what is sampled already is kept",
        )


def _base(engines: Engines) -> LanguageModelPart:
    """The model that wrote; pooling is of embeddings, which chats have none of."""
    lm, spec = engines.lm(), engines.spec
    return LanguageModelPart(
        kind="language_model",
        source=spec.source,
        name=lm.name,
        identity=lm.identity,
        pooling="mean",
        dtype=spec.dtype,
    )


def _reward(run: _Decided, reward: RewardRun) -> RewardPart:
    spec, point, about = run.spec, run.task["choice"]["chosen"], read_about(reward.process)
    return RewardPart(
        folder=REWARD,
        base=RewardBase(source=about["spec"]["source"], name=about["base_name"], identity=about["base_identity"]),
        sampling=ChainSampling(
            temperature=spec.sampling.temperature,
            top_p=spec.sampling.top_p,
            max_tokens=spec.sampling.max_tokens,
            stop=spec.sampling.stop,
        ),
        chains=point["chains"],
        tau=float(point["tau"]),
        aggregator=spec.decision.aggregate,
        separator=spec.separator,
        baselines=tuple(dict.fromkeys(("majority", *spec.baselines))),
    )


def _provenance(run: _Decided) -> Provenance:
    spec, task = run.spec, run.task
    with reading_back(run.directory / RESULTS, fix="repeat the run in a new directory"):
        found = json.loads((run.directory / RESULTS).read_text(encoding="utf-8"))["estimates"]
        test = [Estimate(**each) for each in found if each["task"] == run.pick]
        test.sort(key=lambda each: not each.stage.startswith(METHOD))  # what serves comes first
    rows = {side: of["cases"] for side, of in task["sides"].items()}
    return Provenance(
        origin="run",
        name=spec.name,
        point=run.pick,
        pick=run.pick,
        spec_sha256=spec.sha256(),
        spec=spec.model_dump(mode="json", by_alias=True),
        data=(DataSource(task=run.pick, source_sha256=task["source_sha256"], rows=rows),),
        test=tuple(test),
        versions=versions(),
    )
