"""`run_chains`: from the spec of decisions by chains to predictions, figures and the evidence.

Reads top to bottom: what can be known to fail is checked first; then data set by data set chains are sampled and
scored, temperature and number of chains chosen on validation cases, and every method read on test cases. Every part is
on disk when it is finished, so the same command takes up where a killed run stopped.
"""

from pathlib import Path
from typing import Any

from equiray import __version__
from equiray.errors import BadInput
from equiray.mitigation.reward.model import load_base
from equiray.policies import Judgement, NamedPolicy, apply_policy
from equiray.reports import print_summary
from equiray.runs.chains.details import chains_document
from equiray.runs.chains.planning import SIDES, PlannedCases, plan_cases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.chains.scored import ChainScorer
from equiray.runs.chains.task import TaskFigures, figures_of
from equiray.runs.directory import RunDirectory
from equiray.runs.publish import publish
from equiray.runs.results import all_evidence
from equiray.runs.results_document import RESULTS, results_document
from equiray.runs.sampling.chains import Sampler
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import ChainsSpec

DOCUMENT = "chains.json"


def run_chains(
    spec: ChainsSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> Judgement | None:
    """Run a spec, or what is left of it, and leave decisions, results and evidence in a run directory.

    Parameters
    ----------
    spec : ChainsSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Every method is judged by it.
    address : str, optional
        Ray cluster that samples chains; the rest is in this process.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, data or models, before compute starts wherever it can be known; the reward run is not
        finished, or has learnt from what is decided on; or another process is writing to `out`.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from what is finished.
    """
    reward = RewardRun.read(Path(spec.reward_model))
    reward.check(spec)
    engines = Engines(spec=spec.engine)
    engines.check()
    if spec.decision.step_weights == "causal" and spec.engine.backend == "endpoint":
        raise BadInput(
            "an endpoint gives no likelihoods of whole answers, of which causal step weights are made",
            place="decision.step_weights",
            fix="use step_weights: uniform, or an engine in this process",
        )
    planned = plan_cases(spec, reward, engines)
    base = load_base(reward.spec.reward)
    with RunDirectory.open(out, spec) as directory:
        inputs = {f"cases {task.name}": task.source_sha256 for task in planned}
        directory.hold_inputs({"equiray": __version__, "reward model": reward.weights, **engines.identity, **inputs})
        found = []
        for task in planned:
            sampler = Sampler(
                engines=engines,
                sampling=spec.sampling,
                separator=spec.separator,
                order_seed=task.spec.seed,
                address=address,
            )
            sampler.ahead({f"{task.name}.{side}": task.parts[side] for side in SIDES}, directory)
            scorer = ChainScorer(spec=spec, reward=reward, base=base, sampler=sampler, directory=directory)
            sides = {side: scorer.side(task, side) for side in SIDES}
            with directory.step(f"{task.name}: figures"):
                found.append(figures_of(task, sides, spec, engines.model_name, directory))
        judgement = _write(planned, found, reward, spec, policy, directory, command)
        publish(out, spec)
        print_summary(out, directory.console)
    return judgement


def _write(
    planned: list[PlannedCases],
    found: list[TaskFigures],
    reward: RewardRun,
    spec: ChainsSpec,
    policy: NamedPolicy | None,
    directory: RunDirectory,
    command: str,
) -> Judgement | None:
    estimates = [estimate for task in found for estimate in task.estimates]
    counted = [task.evidence for task in found]
    judgement = None if policy is None else apply_policy(policy, all_evidence(estimates, counted))
    rows = {task.name: len(task.parts["test"]) for task in planned}
    directory.write_json(RESULTS, results_document(spec.sha256(), rows, estimates, judgement))
    document: dict[str, Any] = chains_document(planned, found, reward, spec)
    directory.write_json(DOCUMENT, {**document, "durations_s": directory.durations(), "command": command})
    return judgement
