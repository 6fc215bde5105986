"""ProPublica's published figures of the COMPAS score, to the digit, from the raw two-years file (no row left out).

Larson, Mattu, Kirchner and Angwin 2016, "How We Analyzed the COMPAS Recidivism Algorithm": medium and high scores count
as a prediction that the defendant is charged again within two years.
"""

import csv
import hashlib

import numpy as np
import pytest

from equiray.data.tasks.compas import TWO_YEARS
from equiray.metrics.disparities import EQUALIZED_ODDS_DIFFERENCE_MAX
from equiray.metrics.rates import FNR, FPR

# (low, medium or high) of those not charged again, then of those charged again, as in the tables they print
PUBLISHED = {
    "African-American": (((990, 805), (532, 1369)), "44.85", "27.99"),
    "Caucasian": (((1139, 349), (461, 505)), "23.45", "47.72"),
}
PUBLISHED_ALL = (((2681, 1282), (1216, 2035)), "32.35", "37.40")


@pytest.fixture(scope="module")
def decisions(mirror) -> dict[str, np.ndarray]:
    """Rows of each race, [2, 2] by two_year_recid and by a score that is not low."""
    path = mirror / TWO_YEARS.mirror_folder / TWO_YEARS.name
    if not path.is_file():
        pytest.skip(f"the mirror has no {TWO_YEARS.name}")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in TWO_YEARS.sha256
    found: dict[str, np.ndarray] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            of_race = found.setdefault(row["race"], np.zeros((2, 2), dtype=np.int64))
            of_race[int(row["two_year_recid"]), int(row["score_text"] != "Low")] += 1
    return found


def percent(rate: np.ndarray) -> str:
    return f"{100 * rate.item():.2f}"


@pytest.mark.parametrize("race", PUBLISHED)
def test_error_rates_of_the_score_by_race(race, decisions):
    table, false_positives, false_negatives = PUBLISHED[race]
    mass = decisions[race][None]
    assert mass.tolist() == [[list(row) for row in table]]
    assert percent(FPR.of(mass)) == false_positives
    assert percent(FNR.of(mass)) == false_negatives


def test_error_rates_of_the_score_over_all_defendants(decisions):
    table, false_positives, false_negatives = PUBLISHED_ALL
    mass = sum(decisions.values())[None]
    assert mass.tolist() == [[list(row) for row in table]]
    assert percent(FPR.of(mass)) == false_positives
    assert percent(FNR.of(mass)) == false_negatives


def test_black_defendants_who_are_not_charged_again_are_flagged_almost_twice_as_often(decisions):
    mass = np.stack([decisions["African-American"], decisions["Caucasian"]])
    one, other = FPR.of(mass)
    assert f"{one:.4f}" == "0.4485" and f"{other:.4f}" == "0.2345"
    assert EQUALIZED_ODDS_DIFFERENCE_MAX.of(mass) == one - other
