"""`render`: the page of a sweep."""

from equiray.reports.evidence import run_environment
from equiray.reports.provenance import Fact, durations, made_by
from equiray.reports.run_directory import RunRecord
from equiray.reports.search import course, summary, tables
from equiray.reports.search.coordinates import coordinates
from equiray.reports.search.front_charts import front_charts, links
from equiray.reports.search.record import SearchFile
from equiray.reports.search.space import Setting, value_words
from equiray.reports.search.standings import lower_label
from equiray.reports.templating import template
from equiray.reports.words import count, duration, share

_ALGORITHMS = {
    "tpe": "multi-objective TPE (tree-structured Parzen estimator)",
    "nsga2": "NSGA-II (evolution)",
    "random": "random search",
    "grid": "a grid",
}


def render(run: RunRecord, document: SearchFile) -> str:
    """The page as text; every string of the run is escaped."""
    return template("search.html.j2").render(
        run=run,
        document=document,
        summary=summary.overview(document),
        badges=["smoke"] if document.smoke else [],
        tiles=summary.tiles(document),
        level=f"{100 * document.confidence:g} %",
        charts=front_charts(document),
        links=list(links(document).values()),
        front=tables.front_table(document, most=tables.MOST_POINTS),
        whole_front=tables.front_table(document) if len(document.front) > tables.MOST_POINTS else None,
        coordinates=coordinates(document),
        importance=course.importance_bars(document),
        course=course.course_chart(document),
        fates=course.fate_bars(document),
        killed=course.killed_bars(document),
        reasons=tables.reasons_table(document),
        trials=tables.trials_table(document),
        cost=_cost(document),
        workers=course.worker_rows(document),
        picks=_picks(document),
        verdicts=run.results.verdicts,
        made=[*_search_facts(document), *made_by(run, run_environment(run.path))],
        durations=durations(run),
        read_from="search.json and results.json",
        count=count,
    )


def _search_facts(document: SearchFile) -> list[Fact]:
    of = document.algorithm
    return [
        Fact("Search", f"{_ALGORITHMS[of.name]}, {count(of.trials, 'trial')}, {of.startup} of them to begin with"),
        Fact("Why this search", of.why),
        *(Fact(setting.key, _range(setting)) for setting in document.space),
        Fact("Reference point", ", ".join(f"{lower_label(o.metric)} {o.reference:g}" for o in document.objectives)),
        Fact("Data", ", ".join(filter(None, (document.source, document.licence)))),
        Fact("Data sha256", document.source_sha256),
    ]


def _range(setting: Setting) -> str:
    if setting.kind == "choice":
        return "one of " + "; ".join(map(value_words, setting.choices or []))
    return f"{setting.low:g} to {setting.high:g}{', whole numbers' * (setting.kind == 'int')}{', log' * setting.log}"


def _cost(document: SearchFile) -> list[Fact]:
    cost, trials = document.cost, len(document.trials)
    facts = [
        Fact("From start to end", duration(cost.wall_seconds)),
        Fact("All trials together", duration(cost.seconds)),
    ]
    if trials:
        facts.append(Fact("A trial, on average", duration(cost.seconds / trials)))
    if cost.wall_seconds:
        facts.append(Fact("Trials at a time", f"{cost.seconds / cost.wall_seconds:.1f} on average"))
    if cost.stopped_seconds_saved is not None:
        part = cost.stopped_seconds_saved / (cost.seconds + cost.stopped_seconds_saved or 1)
        facts.append(Fact("Saved by stopping early", f"{duration(cost.stopped_seconds_saved)}, {share(part)} of all"))
    return facts


def _picks(document: SearchFile) -> list[Fact]:
    """What takes a point of the front into a bundle; validation picks, since test figures choose nothing."""
    if not document.front:
        return []
    picks = {"knee": "the knee: where giving up more of one objective begins to cost most of the others"}
    if any(o.metric == "accuracy" for o in document.objectives):
        picks["fairest:0.005"] = "the fairest point within 0.005 of the best accuracy"
    picks[document.ordered_front[0].id] = "a point by its name"
    return [Fact(f"equiray bundle DIR --pick {pick} --out DIR2", words) for pick, words in picks.items()]
