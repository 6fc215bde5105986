"""`equiray promote` over synthetic logs: what it pairs, that its figures are those of the rows, what it decides."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from equiray.cli import commands
from equiray.errors import BadInput
from equiray.metrics.looks import Look
from equiray.serving.audit import Entry, LogNotReadable, retention
from equiray.serving.promotion.comparing import compare
from equiray.serving.promotion.deciding import decide
from equiray.serving.promotion.pairing import Versions, pair_log
from promotion_logs import Place, Rows, example, place_in, synthetic

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "promotion.json"
FIRST = Look(alpha=0.05, spend=True)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_in(tmp_path)


def promote(place: Place, *options: str) -> Result:
    return CliRunner().invoke(commands, ["promote", str(place.config), *options], obj=[], standalone_mode=False)


def error_of(done: Result) -> BaseException:
    assert done.exception is not None, done.output
    return done.exception


def said(done: Result) -> str:
    """On one line, however wide the terminal is."""
    return " ".join(done.output.split())


def looks(place: Place) -> list[dict]:
    log = place.open()
    found = [dict(each.body) for each in log.records(kinds=["admin"])]
    log.close()
    return found


def spread(decided: np.ndarray, sex: np.ndarray) -> float:
    rates = [decided[sex == each].mean() for each in ("female", "male")]
    return abs(rates[0] - rates[1])


def test_figures_are_those_of_the_rows(place: Place):
    """Second route: numpy over the rows, which never saw a log."""
    rows = synthetic("better", 1500)
    place.write(rows, at_once=70)
    paired = pair_log(place.url, place.versions)
    found = compare(paired, outcomes_for="every", level=0.05)
    assert found.families == (3, 14) and (paired.rows, paired.labelled) == (1500, 1500)
    by = {(e.metric, e.attribute, e.group): e for e in (*found.judged, *found.shown)}

    women, yes = rows.sex == "female", rows.label == 1
    for name, who in ((None, np.full(1500, True)), ("female", women), ("male", ~women)):
        attribute = None if name is None else "sex"
        for metric, among in (("selection_rate", who), ("tpr", who & yes), ("fpr", who & ~yes)):
            change = by[metric, attribute, name]
            assert change.value == pytest.approx(rows.shadow[among].mean() - rows.primary[among].mean())
            assert change.n == among.sum()
        flips = (rows.shadow != rows.primary)[who]
        assert by["flip_share", attribute, name].value == pytest.approx(flips.mean())
        right = [(part == rows.label)[who].mean() for part in (rows.primary, rows.shadow)]
        assert by["accuracy", attribute, name].value == pytest.approx(right[1] - right[0])
    parity = by["demographic_parity_difference", "sex", None]
    assert parity.value == pytest.approx(spread(rows.shadow, rows.sex) - spread(rows.primary, rows.sex))
    odds = [max(spread(part[among], rows.sex[among]) for among in (yes, ~yes)) for part in (rows.primary, rows.shadow)]
    assert by["equalized_odds_difference_max", "sex", None].value == pytest.approx(odds[1] - odds[0])


def test_limits_are_those_of_paired_differences(place: Place):
    """A normal approximation of the rows' own differences lies within a few thousandths of the limits."""
    rows = synthetic("better", 1500)
    place.write(rows)
    found = compare(pair_log(place.url, place.versions), outcomes_for="every", level=0.05)
    (accuracy,) = [e for e in found.judged if e.metric == "accuracy"]
    shift = (rows.shadow == rows.label).astype(float) - (rows.primary == rows.label)
    half = 2.3940 * shift.std() / np.sqrt(len(shift))  # normal quantile of .05 / 3, two-sided
    assert accuracy.confidence == pytest.approx(1 - 0.05 / 3)
    assert (accuracy.low, accuracy.high) == pytest.approx((shift.mean() - half, shift.mean() + half), abs=3e-3)


@pytest.mark.parametrize(
    ("kind", "n", "answer", "code"),
    [
        ("better", 4000, "PROMOTE", 0),
        ("equal", 4000, "PROMOTE", 0),
        ("worse", 2000, "KEEP", 1),
        ("equal", 300, "INCONCLUSIVE", 2),
    ],
)
def test_answers(place: Place, kind: str, n: int, answer: str, code: int):
    place.write(synthetic(kind, n), at_once=500)
    out = place.folder / "promotion.json"
    done = promote(place, "--json", str(out), "--outcomes-for", "every")
    assert done.return_value == code, done.output
    document = json.loads(out.read_text())
    assert document["decision"] == answer and f"{answer}: " in done.output
    if answer == "INCONCLUSIVE":
        more = document["rows"]["needed"] - n
        assert more > 0 and f"{more:,} more rows would decide" in said(done)
    assert [each["action"] for each in looks(place)] == ["promotion_look"]


def test_the_rows_needed_decide(place: Place):
    """Of rows like these, as many as were said to be needed decide the next look."""
    rows = synthetic("equal", 400)
    place.write(rows, at_once=100, labels=False)
    first = decide(pair_log(place.url, place.versions), look=FIRST, margin=0.02, outcomes_for="accepted")
    assert first.answer == "INCONCLUSIVE" and first.rows_needed is not None
    copies = -(-first.rows_needed // 400) - 1
    again = Rows(**{name: np.tile(part, copies) for name, part in vars(rows).items()})
    place.write(again, at_once=400, labels=False)
    look = Look(alpha=0.05, number=2, spend=True)
    assert decide(pair_log(place.url, place.versions), look=look, margin=0.02, outcomes_for="accepted").answer == (
        "PROMOTE"
    )


def test_a_repeated_look_spends(place: Place):
    place.write(synthetic("equal", 300), labels=False)
    for _ in range(2):  # the same counts are the same look
        assert "look 1, at 0.025 of alpha 0.05" in said(promote(place))
    place.write(synthetic("equal", 100, seed=1), labels=False)
    assert "look 2, at 0.008333 of alpha 0.05" in said(promote(place))
    assert [(each["look"], each["rows"]) for each in looks(place)] == [(1, 300), (2, 400)]


def test_erased_payloads_are_counted_and_left_out(place: Place):
    ids = place.write(synthetic("equal", 600), labels=False)
    log = place.open()
    retention.erase_records(log, ids[:2])
    log.close()
    paired = pair_log(place.url, place.versions)
    assert (paired.rows, paired.left_out.erased_records, paired.left_out.erased_rows) == (400, 2, 200)
    assert "2 records (200 rows) are left out" in said(promote(place))


def test_what_else_is_left_out(place: Place):
    place.write(synthetic("equal", 300), labels=False)
    place.write(synthetic("equal", 200), labels=False, shadows=False)
    other = Place(folder=place.folder, versions=place.versions._replace(shadow="elsewhere@0"))
    other.write(synthetic("equal", 100), labels=False)
    left = pair_log(place.url, place.versions).left_out
    assert (left.not_shadowed, left.other_versions) == (3, 100)


def test_refusals_and_unknown_groups_bound_what_they_may_be(place: Place):
    rows = synthetic("equal", 2000)
    rows.shadow[:100] = -1
    place.write(rows, at_once=500, labels=False)
    found = compare(pair_log(place.url, place.versions), outcomes_for="accepted", level=0.05)
    (parity,) = found.judged
    assert parity.status == "partial" and parity.high is not None
    worst = rows.shadow.copy()
    worst[:100] = rows.sex[:100] == "male"  # all refused men would have been selected, and no women
    assert parity.high > spread(worst, rows.sex) - spread(rows.primary, rows.sex)


def test_outcomes_of_the_selected_alone(place: Place):
    """No TPR from labels of accepted cases; accuracy's limits hold whatever the other labels are."""
    rows = synthetic("better", 3000)
    seen = Rows(**{**vars(rows), "label": np.where(rows.primary == 1, rows.label, -1)})
    place.write(seen, at_once=500)
    paired = pair_log(place.url, place.versions)
    found = compare(paired, outcomes_for="accepted", level=0.05)
    assert found.outcomes == "selected" and not [e for e in found.shown if e.metric in ("tpr", "fpr")]
    (accuracy,) = [e for e in found.judged if e.metric == "accuracy"]
    gained_or_lost = (seen.label >= 0) * np.where(rows.shadow == seen.label, 1, -1) * (rows.shadow != rows.primary)
    unknown = ((seen.label < 0) & (rows.shadow != rows.primary)).mean()
    assert accuracy.value is None and accuracy.status == "partial"
    assert accuracy.low is not None and accuracy.low < gained_or_lost.mean() - unknown
    assert accuracy.high is not None and accuracy.high > gained_or_lost.mean() + unknown
    assert "TPR, FPR and equalized odds are not estimable" in said(promote(place))


def test_apply_swaps_two_values_and_records_it(place: Place):
    place.write(synthetic("better", 4000), at_once=500, labels=False)
    before = place.config.read_text()
    done = promote(place, "--apply")
    assert done.return_value == 0, done.output
    first, second = str(place.folder / "first"), str(place.folder / "second")
    assert place.config.read_text() == before.replace(f"bundle: {first} ", f'bundle: "{second}" ').replace(
        f'shadow: "{second}"', f"shadow: {first}"
    )
    assert [each["action"] for each in looks(place)] == ["promotion_look", "promotion"]
    assert not list(place.folder.glob(".config*"))


def test_apply_leaves_the_file_where_nothing_is_shown(place: Place):
    place.write(synthetic("worse", 2000), at_once=500)
    before = place.config.read_text()
    assert promote(place, "--apply").return_value == 1
    assert place.config.read_text() == before


def test_keep_fallback(place: Place):
    place.write(synthetic("equal", 4000), at_once=500, labels=False)
    with pytest.raises(BadInput, match="names no `fallback`"):
        raise error_of(promote(place, "--apply", "--keep-fallback"))
    assert not looks(place)  # nothing was spent
    text = place.config.read_text() + "      fallback: /old\n      on_fail: {do: fall_back}\n"
    place.config.write_text(text)
    assert promote(place, "--apply", "--keep-fallback").return_value == 0
    assert f"fallback: {place.folder / 'first'}\n" in place.config.read_text()


def test_clear_errors(place: Place):
    rows = synthetic("equal", 100)
    with pytest.raises(BadInput, match="no audit log"):
        raise error_of(promote(place))
    place.write(rows, shadows=False)
    with pytest.raises(BadInput, match="no shadow record"):
        raise error_of(promote(place))
    ids = place.write(rows)
    with pytest.raises(BadInput, match="no record of b@1 as the shadow of a@1"):
        pair_log(place.url, Versions("a@1", "b@1"))
    with pytest.raises(BadInput, match="no decision names a group of 'race'"):
        pair_log(place.url, place.versions, ["race"])
    log = place.open()
    retention.erase_records(log, ids)
    log.close()
    with pytest.raises(BadInput, match="payloads of all 1 shadowed records were erased"):
        pair_log(place.url, place.versions)


def test_a_shadow_of_other_rows_is_an_error(place: Place):
    (record_id,) = place.write(synthetic("equal", 20), shadows=False)
    log = place.open()
    body = {"task": "synthetic", "shadow_of": record_id, "decisions": [{"id": "x-0", "decision": 1}]}
    log.append(Entry(kind="shadow", key_id="k1", model_version=place.versions.shadow, body=body)).result(30)
    log.close()
    with pytest.raises(LogNotReadable, match="other rows than record 1"):
        pair_log(place.url, place.versions)


def test_a_changed_log_promotes_nothing(place: Place):
    from audit_logs import change

    place.write(synthetic("equal", 200))
    change(place.url, "UPDATE audit_records SET model_version = 'x' WHERE seq = 2")
    with pytest.raises(BadInput, match="the log is not what was written: record 2"):
        raise error_of(promote(place))


def test_the_contract():
    assert json.loads(CONTRACT.read_text()) == example()
