"""`render`: the page of a run of preferences."""

from equiray.reports.evidence import run_environment
from equiray.reports.likelihood import summary, tables
from equiray.reports.likelihood.record import LikelihoodFile, ScoredSet
from equiray.reports.provenance import Fact, durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.templating import template
from equiray.reports.words import count


def render(run: RunRecord, document: LikelihoodFile) -> str:
    """The page as text; every string of the run is escaped."""
    levels = " and ".join(f"{level * 100:g} %" for level in sorted({e.confidence for e in document.estimates}))
    sections = [
        {
            "chosen": chosen,
            "panels": tables.preference_panels(document, chosen),
            "table": tables.figures_table(document, chosen),
            "facts": [*tables.meanings(document, chosen), *_facts(chosen)],
        }
        for chosen in document.datasets
    ]
    return template("likelihood.html.j2").render(
        run=run,
        summary=summary.overview(document),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        levels=levels,
        sections=sections,
        verdicts=run.results.verdicts,
        model=_model_facts(document),
        made=made_by(run, run_environment(run.path)),
        durations=durations(run),
        read_from="likelihood.json and results.json",
        count=count,
    )


def _facts(chosen: ScoredSet) -> list[Fact]:
    return [
        Fact("Compared", chosen.compared),
        Fact("Scored", f"{summary.sampled_words(chosen)}; {count(chosen.families)} families, which intervals go by"),
        Fact("Licence", chosen.licence),
        Fact("Source sha256", chosen.source_sha256),
    ]


def _model_facts(document: LikelihoodFile) -> list[Fact]:
    of = document.model
    facts = [
        Fact("Language model", f"{of.name}, {of.parameters / 1e6:,.1f} M parameters, {of.dtype}, from {of.source}"),
        Fact("Weights", of.identity),
        Fact("Texts begin with", of.begins_with),
    ]
    return facts if of.adapter is None else [*facts, Fact("Adapter", of.adapter)]
