"""`render`: the page of a reward model's run."""

from equiray.reports.chains.steps import chain_maps
from equiray.reports.chains.tables import outcome_table
from equiray.reports.evidence import run_environment
from equiray.reports.provenance import Fact, durations, made_by
from equiray.reports.reward import summary, tables
from equiray.reports.reward.record import RewardFile
from equiray.reports.run_directory import RunRecord
from equiray.reports.templating import template
from equiray.reports.words import count, number


def render(run: RunRecord, document: RewardFile) -> str:
    """The page as text; every string of the run is escaped."""
    sides = {"Train": document.sides.train, "Validation": document.sides.validation, "Test": document.sides.test}
    models = {"Model of steps": document.models.process, "Model of whole chains": document.models.outcome}
    return template("reward.html.j2").render(
        run=run,
        document=document,
        summary=summary.overview(document),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        facts=_facts(document),
        labels=tables.label_table(document),
        panels=tables.auc_panels(document),
        auc=tables.auc_table(document),
        ece=tables.ece_table(document),
        reliability=tables.reliability_charts(document),
        deciles=tables.decile_table(document),
        judges=tables.judge_table(document),
        proxies=tables.proxy_table(document),
        chains=chain_maps(document.chains),
        outcomes=outcome_table({name: side.by_group for name, side in sides.items()}),
        curves=[(name, tables.curve_table(model)) for name, model in models.items() if model is not None],
        made=made_by(run, run_environment(run.path)),
        durations=durations(run),
        read_from="reward.json and results.json",
        count=count,
    )


def _facts(document: RewardFile) -> list[Fact]:
    cases, models = document.cases, document.models
    sheet = f"; {document.labels.sheet} holds steps to check by hand" if document.labels.sheet else ""
    whole = f"none: {models.no_outcome}" if models.outcome is None else tables.training_words(models.outcome)
    return [
        Fact("Model of steps", tables.training_words(models.process)),
        Fact("Model of whole chains", whole),
        Fact("Judge", f"{document.labels.judge}, δ {number(document.labels.delta)}{sheet}"),
        Fact("Learnt", ", ".join(cases.learnt)),
        Fact("Held out", ", ".join(cases.held_out)),
        Fact("Left out", f"{count(cases.left_out, 'case')}, whose question stands on both sides"),
        Fact("Cases", f"{cases.title}; licence {cases.licence}"),
        Fact("Source sha256", cases.source_sha256),
        Fact("Weights sha256", models.process.weights_sha256),
    ]
