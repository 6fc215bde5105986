"""Runs that have no ``details.json``: what their own documents say about the run itself takes its place."""

from dataclasses import replace
from pathlib import Path

from equiray.reports.chains import is_chains, load_chains
from equiray.reports.chains import summary as chains
from equiray.reports.chains.tables import methods_table
from equiray.reports.likelihood import is_likelihood, load_likelihood
from equiray.reports.likelihood import summary as likelihood
from equiray.reports.likelihood.tables import figures_table
from equiray.reports.open_ended import OpenEndedFile, is_open_ended, load_open_ended
from equiray.reports.open_ended import summary as open_ended
from equiray.reports.open_ended.tables import group_table, pair_table
from equiray.reports.reward import is_reward, load_reward
from equiray.reports.reward import summary as reward
from equiray.reports.reward.tables import auc_table, proxy_table
from equiray.reports.run_directory import RunDetails, RunRecord, TaskDetails, load_run
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
    if is_chains(run_dir):
        return replace(run, details=_of_chains(run_dir))
    if is_likelihood(run_dir):
        return replace(run, details=_of_likelihood(run_dir))
    if is_open_ended(run_dir):
        return replace(run, details=_of_open_ended(load_open_ended(run_dir)))
    return replace(run, details=_of_reward(run_dir)) if is_reward(run_dir) else run


def described_overview(run_dir: Path) -> list[str]:
    """The opening of the page of such a run, empty for other runs."""
    if is_chains(run_dir):
        return chains.overview(load_chains(run_dir))
    if is_likelihood(run_dir):
        return likelihood.overview(load_likelihood(run_dir))
    if is_open_ended(run_dir):
        return open_ended.overview(load_open_ended(run_dir))
    return reward.overview(load_reward(run_dir)) if is_reward(run_dir) else []


def described_tables(run_dir: Path) -> dict[str, Table]:
    """What a terminal and a Markdown document show of such a run, by title; empty for other runs."""
    found: dict[str, Table | None] = {}
    if is_chains(run_dir):
        document = load_chains(run_dir)
        for task in document.tasks:
            attribute = chains.headline_attribute(task)
            title = f"{task.title}, by {attribute_words(attribute)}"
            found[title] = methods_table(document, task, attribute)
    elif is_open_ended(run_dir):
        for task in load_open_ended(run_dir).tasks:
            found |= {f"{task.title}: groups": group_table(task), f"{task.title}: between groups": pair_table(task)}
    elif is_reward(run_dir):
        of = load_reward(run_dir)
        found = {"Step AUC on held-out categories": auc_table(of), "Red team": proxy_table(of)}
    elif is_likelihood(run_dir):
        document = load_likelihood(run_dir)
        found = {chosen.title: figures_table(document, chosen) for chosen in document.datasets}
    return {title: table for title, table in found.items() if table is not None}


def _of_chains(run_dir: Path) -> RunDetails:
    document = load_chains(run_dir)
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


def _of_reward(run_dir: Path) -> RunDetails:
    document = load_reward(run_dir)
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


def _of_likelihood(run_dir: Path) -> RunDetails:
    document = load_likelihood(run_dir)
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
