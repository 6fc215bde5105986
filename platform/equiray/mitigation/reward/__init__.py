"""Fairness reward models: how likely each step of a reasoning chain is unbiased (arXiv 2507.11344; methods section 3).

One way through the package: `steps` (chains, cut) -> `labels` (from `gold` or `judges`) -> `inputs` (tokens, and where
a logit is read) -> `training` -> `scoring`; beside it `evaluation`, `agreement` of judges, `red_team`, and the sheets
that people label (`label_sheet`, `recalibration`).
"""
