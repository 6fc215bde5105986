"""Gated outcomes for tests, and what thresholds do to them counted row by row."""

import numpy as np

from equiray.metrics.estimation import GroupedScores
from equiray.metrics.tables import MISSING
from equiray.mitigation.gating.outcomes import GatedOutcomes


def outcomes_of(label, risk, probability, groups=None, split="validation", **changed):
    """Outcomes of a few rows; `groups` maps attribute -> (names, codes), default: one group of all."""
    risk, probability = (np.asarray(part, dtype=np.float32) for part in (risk, probability))
    risk = risk.reshape(len(label), -1)
    gates = risk.shape[1]
    groups = {"sex": (("f",), np.zeros(len(label), np.int64))} if groups is None else groups
    settings = {
        "split": split,
        "attributes": tuple(f"gate{place}" for place in range(gates)),
        "label": np.asarray(label, dtype=np.int8),
        "groups": tuple(GroupedScores(name, tuple(of), np.asarray(code)) for name, (of, code) in groups.items()),
        "risk": risk,
        "probability": probability,
        "detector_layers": (4,) * gates,
        "adapter_first_layers": (4,) * gates,
    }
    return GatedOutcomes(**(settings | changed))


def drawn(rows, gates=1, groups=3, seed=0, ties=0.0, unknown=0.0, missing=False, split="validation"):
    """Random outcomes; a share of risks tied on a coarse grid, a share of them unknown."""
    draw = np.random.default_rng(seed)
    code = draw.integers(0, groups + missing, rows)
    label = (draw.random(rows) < 0.3 + 0.1 * (code % 3)).astype(np.int8)
    risk = draw.random((rows, gates))
    risk = np.where(draw.random((rows, gates)) < ties, np.round(risk, 1), risk)
    risk[draw.random((rows, gates)) < unknown] = np.nan
    probability = draw.beta(0.8, 0.8, (rows, 1 << gates)) * 0.6 + 0.4 * label[:, None] * (code % 2)[:, None]
    names = (*(f"g{place}" for place in range(groups)), *([MISSING] if missing else []))
    return outcomes_of(label, risk, probability, {"sex": (names, code)}, split=split)


def by_hand(outcomes, tau, attribute="sex"):
    """All figures at thresholds [A], with masks over rows and no counts of cells."""
    names, code = next((g.groups, g.code) for g in outcomes.groups if g.attribute == attribute)
    opened = outcomes.risk > np.asarray(tau, dtype=np.float32)
    subset = sum(opened[:, gate].astype(int) << gate for gate in range(opened.shape[1]))
    decision = np.array([outcomes.probability[row, place] for row, place in enumerate(subset)]) > 0.5
    y = outcomes.label == 1
    groups = [code == place for place, name in enumerate(names) if name != MISSING]

    def share(what, among):
        return what[among].mean() if among.any() else np.nan

    def spread(values):
        return np.ptp(values) if len(values) > 1 else np.nan

    right = decision == y
    tpr, fpr, selected = (
        np.array([share(decision, group & rows) for group in groups]) for rows in (y, ~y, np.ones_like(y))
    )
    cells = [share(right, group & (y == k)) for group in groups for k in (False, True)]
    return {
        "accuracy": right.mean(),
        "activation_rate": opened.any(1).mean(),
        "worst_group_accuracy_cells": np.min(cells),
        "worst_group_accuracy_groups": np.min([share(right, group) for group in groups]),
        "equalized_odds_difference_max": np.max([spread(tpr), spread(fpr)]),
        "equalized_odds_difference_mean": np.mean([spread(tpr), spread(fpr)]),
        "equalized_odds_difference_sum": spread(tpr) + spread(fpr),
        "equal_opportunity_difference": spread(tpr),
        "demographic_parity_difference": spread(selected),
    }
