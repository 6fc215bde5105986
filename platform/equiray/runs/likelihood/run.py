"""`run_likelihood`: from the spec of preferences by likelihood to figures and the evidence.

Reads top to bottom: what can be known to fail is checked first; then data set by data set every choice is scored, part
by part, so the same command takes up where a killed run stopped; then the figures are made.
"""

from pathlib import Path

from equiray import __version__
from equiray.data.cases.choice_sets import ChoiceSet, load_choice_set
from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.mitigation.unlearning import load_adapter
from equiray.models.loading import CausalLM, check_source, load_causal_lm
from equiray.models.text_scorer import CausalTextScorer
from equiray.policies import Judgement, NamedPolicy, apply_policy
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.likelihood.details import likelihood_document
from equiray.runs.likelihood.figures import estimates_of, reported
from equiray.runs.likelihood.scoring import scored
from equiray.runs.policy_check import check_policy
from equiray.runs.publish import publish
from equiray.runs.results import all_evidence
from equiray.runs.results_document import RESULTS, results_document
from equiray.specs.likelihood import LikelihoodSpec, ScoredModelSpec

DOCUMENT = "likelihood.json"


def run_likelihood(
    spec: LikelihoodSpec, out: Path, *, policy: NamedPolicy | None = None, command: str
) -> Judgement | None:
    """Run a spec, or what is left of it, and leave scores, results and evidence in a run directory.

    All of it is done in this process: the data sets are a few thousand sentences.

    Parameters
    ----------
    spec : LikelihoodSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Every data set is judged by it.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, policy, data or model, before compute starts; or another process is writing to `out`.
    Incomplete
        The disk is full; the same call goes on from what is finished.
    """
    _check_model(spec.language_model)
    sets = [load_choice_set(chosen.name, chosen.items, spec.seed) for chosen in spec.datasets]
    if policy is not None:
        check_policy(policy, reported(sets))
    lm = _load(spec.language_model)
    scorer = CausalTextScorer(lm=lm)
    inputs = {chosen.name: chosen.source_sha256 for chosen in sets}
    with RunDirectory.open(out, spec) as directory:
        directory.hold_inputs({"equiray": __version__, "language model": lm.identity, **inputs})
        judgement = _measure(sets, scorer, spec, policy, directory, command)
        publish(out, spec)
        print_summary(out, directory.console)
    return judgement


def _measure(
    sets: list[ChoiceSet],
    scorer: CausalTextScorer,
    spec: LikelihoodSpec,
    policy: NamedPolicy | None,
    directory: RunDirectory,
    command: str,
) -> Judgement | None:
    resampling = Resampling(confidence=spec.confidence, replicates=spec.replicates, seed=spec.seed)
    stage = "baseline" if spec.language_model.adapter is None else "unlearning"
    model = scorer.lm.name.replace(".", "-").replace("/", "-")
    estimates = []
    for chosen in sets:
        with directory.step(f"{chosen.name}: likelihoods"):
            scores = scored(chosen, scorer, directory)
        estimates += estimates_of(chosen, scores, stage=stage, model=model, resampling=resampling)
    judgement = None if policy is None else apply_policy(policy, all_evidence(estimates, []))
    rows = {chosen.name: len(chosen.choices) for chosen in sets}
    directory.write_json(RESULTS, results_document(spec.sha256(), rows, estimates, judgement))
    document = likelihood_document(sets, scorer, estimates, spec)
    directory.write_json(DOCUMENT, {**document, "durations_s": directory.durations(), "command": command})
    return judgement


def _check_model(spec: ScoredModelSpec) -> None:
    check_source(spec.source)
    if spec.adapter is not None and not Path(spec.adapter).is_dir():
        fix = "name the directory that unlearning wrote"
        raise BadInput("no adapter there", place=f"language_model.adapter {spec.adapter}", fix=fix)


def _load(spec: ScoredModelSpec) -> CausalLM:
    lm = load_causal_lm(spec.source, dtype=spec.dtype)
    return lm if spec.adapter is None else load_adapter(lm, Path(spec.adapter))
