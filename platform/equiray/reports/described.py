"""Runs that have no ``details.json``: what their own documents say about the run itself takes its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from equiray.reports.chains import ChainsFile, is_chains, load_chains
from equiray.reports.chains import summary as chains
from equiray.reports.chains.tables import methods_table
from equiray.reports.likelihood import LikelihoodFile, is_likelihood, load_likelihood
from equiray.reports.likelihood import summary as likelihood
from equiray.reports.likelihood.tables import figures_table
from equiray.reports.open_ended import OpenEndedFile, is_open_ended, load_open_ended
from equiray.reports.open_ended import summary as open_ended
from equiray.reports.open_ended.tables import group_table, pair_table
from equiray.reports.reward import RewardFile, is_reward, load_reward
from equiray.reports.reward import summary as reward
from equiray.reports.reward.tables import auc_table, proxy_table
from equiray.reports.run_directory import RunDetails, RunRecord, TaskDetails, load_run
from equiray.reports.search import SearchFile, is_search, load_search
from equiray.reports.search import summary as search
from equiray.reports.search.tables import fate_table, short_table
from equiray.reports.tables import Table
from equiray.reports.words import attribute_words


def load_described(run_dir: Path) -> RunRecord:
    """`load_run`, with name, command, durations, titles and warnings of a run that has no ``details.json``.

    Raises
    ------
    BadInput, Incomplete
        As `load_run`; also where the run's own document does not follow its contract.
    """
    run = load_run(run_dir)
    of = _kind(run_dir)
    return run if of is None else replace(run, details=of.details(of.load(run_dir)))


def described_overview(run_dir: Path) -> list[str]:
    """The opening of the page of such a run, empty for other runs."""
    of = _kind(run_dir)
    return [] if of is None else of.overview(of.load(run_dir))


def described_tables(run_dir: Path) -> dict[str, Table]:
    """What a terminal and a Markdown document show of such a run, by title; empty for other runs."""
    of = _kind(run_dir)
    found = {} if of is None else of.tables(of.load(run_dir))
    return {title: table for title, table in found.items() if table is not None}


def _chains_tables(document: ChainsFile) -> dict[str, Table | None]:
    found: dict[str, Table | None] = {}
    for task in document.tasks:
        attribute = chains.headline_attribute(task)
        found[f"{task.title}, by {attribute_words(attribute)}"] = methods_table(document, task, attribute)
    return found


def _open_ended_tables(document: OpenEndedFile) -> dict[str, Table | None]:
    found: dict[str, Table | None] = {}
    for task in document.tasks:
        found |= {f"{task.title}: groups": group_table(task), f"{task.title}: between groups": pair_table(task)}
    return found


def _reward_tables(document: RewardFile) -> dict[str, Table | None]:
    return {"Step AUC on held-out categories": auc_table(document), "Red team": proxy_table(document)}


def _likelihood_tables(document: LikelihoodFile) -> dict[str, Table | None]:
    return {chosen.title: figures_table(document, chosen) for chosen in document.datasets}


def _search_tables(document: SearchFile) -> dict[str, Table | None]:
    return {f"{document.task}: the front": short_table(document), "What became of the trials": fate_table(document)}


def _of_chains(document: ChainsFile) -> RunDetails:
    return RunDetails(
        name=document.name,
        smoke=document.smoke,
        durations_s=document.durations_s,
        command=document.command,
        tasks={
            task.task: TaskDetails(
                title=task.title,
                rows=task.sides.test.cases,
                warnings=task.warnings,
                source_sha256=task.source_sha256,
                licence=task.licence,
            )
            for task in document.tasks
        },
    )


def _of_reward(document: RewardFile) -> RunDetails:
    cases = document.cases
    told = TaskDetails(
        title=f"Steps of chains about {cases.title}",
        rows=document.sides.test.steps,
        warnings=document.warnings,
        source_sha256=cases.source_sha256,
        licence=cases.licence,
    )
    return RunDetails(
        name=document.name,
        smoke=document.smoke,
        durations_s=document.durations_s,
        command=document.command,
        tasks={"steps": told, "proxies": TaskDetails(title="Texts that hide a group behind a proxy")},
    )


def _of_likelihood(document: LikelihoodFile) -> RunDetails:
    return RunDetails(
        name=document.name,
        smoke=document.smoke,
        durations_s=document.durations_s,
        command=document.command,
        tasks={
            chosen.name: TaskDetails(
                title=chosen.title,
                rows=chosen.choices,
                warnings=chosen.warnings,
                source_sha256=chosen.source_sha256,
                licence=chosen.licence,
            )
            for chosen in document.datasets
        },
    )


def _of_open_ended(document: OpenEndedFile) -> RunDetails:
    return RunDetails(
        name=document.name,
        smoke=document.smoke,
        durations_s=document.durations_s,
        command=document.command,
        tasks={
            task.task: TaskDetails(
                title=task.title,
                rows=sum(group.written + group.empty + group.refused for group in task.groups.values()),
                warnings=[*(f"{scorer.name} is weak. {scorer.about}" for scorer in document.scorers), *task.warnings],
                source_sha256=task.source_sha256,
                licence=task.licence,
                attributes={task.attribute: {name: group.prompts for name, group in task.groups.items()}},
            )
            for task in document.tasks
        },
    )


def _of_search(document: SearchFile) -> RunDetails:
    names = dict.fromkeys(estimate.task for estimate in document.estimates)
    told = TaskDetails(
        title=document.task,
        rows=document.rows.validation + document.rows.test,
        splits={"validation": document.rows.validation, "test": document.rows.test},
        warnings=document.warnings,
        source=document.source,
        source_sha256=document.source_sha256,
        licence=document.licence,
    )
    return RunDetails(
        name=document.name,
        smoke=document.smoke,
        durations_s=document.durations_s,
        command=document.command,
        tasks=dict.fromkeys(names or [document.task], told),
    )


class _Kind(NamedTuple):
    """How a kind of run without ``details.json`` is told, read and described."""

    found_in: Callable[[Path], bool]
    load: Callable[[Path], Any]
    details: Callable[[Any], RunDetails]
    overview: Callable[[Any], list[str]]
    tables: Callable[[Any], dict[str, Table | None]]


_KINDS = (
    _Kind(is_chains, load_chains, _of_chains, chains.overview, _chains_tables),
    _Kind(is_likelihood, load_likelihood, _of_likelihood, likelihood.overview, _likelihood_tables),
    _Kind(is_open_ended, load_open_ended, _of_open_ended, open_ended.overview, _open_ended_tables),
    _Kind(is_reward, load_reward, _of_reward, reward.overview, _reward_tables),
    _Kind(is_search, load_search, _of_search, search.overview, _search_tables),
)


def _kind(run_dir: Path) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.found_in(run_dir)), None)
