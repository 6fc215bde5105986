"""`run_reward`: from the spec of a reward model to the model, its figures and the evidence.

Reads top to bottom: what can be known to fail is checked first; then chains are sampled and their steps labelled; then
the models are trained; then they are measured on the categories that they never saw. Every part is on disk when it is
finished, so the same command takes up where a killed run stopped.
"""

from pathlib import Path

from equiray import __version__
from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.mitigation.reward.agreement import agreement
from equiray.mitigation.reward.model import Base, load_base
from equiray.mitigation.reward.red_team import red_team
from equiray.mitigation.reward.scores_file import scores_table
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.store import load_reward_model, read_about
from equiray.policies import NamedPolicy
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.publish import publish
from equiray.runs.results_document import RESULTS, results_document
from equiray.runs.reward.details import reward_document
from equiray.runs.reward.evaluating import evaluate, masked_side, scores_of, scores_of_chains
from equiray.runs.reward.planning import RewardPlan, plan_reward
from equiray.runs.reward.sides import Side, prepare_sides, with_masked
from equiray.runs.reward.training import Trained, train_models
from equiray.runs.sampling.chains import Sampler
from equiray.runs.sampling.engines import Engines
from equiray.specs.reward_run import JudgeKind, RewardSpec

DOCUMENT, SCORES = "reward.json", "scores.parquet"


def run_reward(
    spec: RewardSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> None:
    """Run a spec, or what is left of it, and leave models, results and evidence in a run directory.

    Parameters
    ----------
    spec : RewardSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Refused: a reward model decides nothing yet.
    address : str, optional
        Ray cluster that samples chains; the rest is in this process.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, data or models, before compute starts wherever it can be known; no step of one kind
        is labelled; or another process is writing to `out`.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from what is finished.
    """
    if policy is not None:
        fix = "judge the decisions that it leads to: equiray run jobs/chains.yaml --policy ..."
        raise BadInput("a reward model decides nothing, so no policy judges it", place="--policy", fix=fix)
    plan = plan_reward(spec)
    engines = Engines(spec=spec.engine)
    engines.check()
    base = load_base(spec.reward)
    with RunDirectory.open(out, spec) as directory:
        directory.hold_inputs(
            {
                "equiray": __version__,
                "BBQ": plan.cases.source_sha256,
                "reward model's base": base.identity,
                **engines.identity,
            }
        )
        sampler = Sampler(
            engines=engines,
            sampling=spec.sampling,
            separator=spec.separator,
            order_seed=spec.cases.seed,
            address=address,
        )
        sides = prepare_sides(plan, spec, sampler, directory)
        trained = train_models(base, sides, spec, directory)
        _measure(plan, sides, base, trained, spec, directory, command)
        publish(out, spec)
        print_summary(out, directory.console)


def _measure(
    plan: RewardPlan,
    sides: dict[str, Side],
    base: Base,
    trained: Trained,
    spec: RewardSpec,
    directory: RunDirectory,
    command: str,
) -> None:
    """Estimates of everything, and what a page shows of them."""
    resampling = Resampling(confidence=spec.confidence, replicates=spec.replicates, seed=spec.seed)
    test, kind = sides["test"], spec.judge.kind
    labels = test.labels[kind]
    learn = with_masked(sides["train"].of_steps(kind)) if spec.masked_training else sides["train"].of_steps(kind)
    scores = {}
    with directory.step("score steps of held-out categories"):
        for view in ("masked", "unmasked"):
            cases = masked_side(test.of_steps(kind)).cases if view == "masked" else test.cases
            with load_reward_model(trained.process.model, base) as process:
                red = red_team(process, confidence=spec.confidence) if view == "unmasked" else []
                steps = scores_of(process, learn, cases)
            if trained.outcome is not None:
                with load_reward_model(trained.outcome.model, base) as outcome:
                    steps |= scores_of_chains(outcome, cases)
            scores[view] = steps
    with directory.step("figures"):
        estimates = [one for view in scores for one in evaluate(view, test, scores[view], labels, resampling)]
        estimates += _agreement(sides, spec, resampling) + red
    _write_scores(sides["validation"], base, trained, directory)
    rows = {"steps": int((labels >= 0).sum()), "proxies": max(one.n for one in red)}
    directory.write_json(RESULTS, results_document(spec.sha256(), rows, estimates))
    document = reward_document(plan, sides, trained, scores, estimates, spec)
    durations = directory.durations()
    directory.write_json(DOCUMENT, {**document, "durations_s": durations, "command": command})


def _agreement(sides: dict[str, Side], spec: RewardSpec, resampling: Resampling) -> list[Estimate]:
    """How far each judge agrees with the gold rule on held-out steps, where gold is one of them."""
    test = sides["test"]
    if "gold" not in test.labels:
        return []
    others: list[JudgeKind] = [kind for kind in test.labels if kind != "gold"]
    return [
        one
        for kind in others
        for one in agreement(
            test.cases, test.labels["gold"], test.labels[kind], attribute="category", model=kind, resampling=resampling
        )
    ]


def _write_scores(side: Side, base: Base, trained: Trained, directory: RunDirectory) -> None:
    """Scores of all validation steps, of which `equiray label write` draws what people label: never of test steps."""
    with load_reward_model(trained.process.model, base) as process:
        steps = score_chains(process, side.cases)
    chains = None
    if trained.outcome is not None:
        with load_reward_model(trained.outcome.model, base) as outcome:
            chains = score_chains(outcome, side.cases)
    weights = read_about(trained.process.model)["weights_sha256"]
    table = scores_table(weights, side.cases, steps, outcome=chains, judge=side.judged)
    directory.write_table(SCORES, table)
