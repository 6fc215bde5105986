"""The record of examples, table tasks as examples, and the label-skewed split."""

from dataclasses import replace

import numpy as np
import pytest

import people
from equiray.data.examples import Examples, examples_of_task, fit_row_serializer, skewed
from equiray.data.examples.binary import one_against_rest
from equiray.data.examples.official import find_official, read_official
from equiray.data.sources import MIRROR_VARIABLE
from equiray.data.text import Serializer
from equiray.errors import BadInput

ROWS = [
    {"sex": "Female", "race": "Black", "label": 1, "split": "train"},
    {"sex": "Male", "race": "White", "label": 0, "split": "validation"},
    {"sex": "Female", "race": None, "label": 0, "split": "test", "age": 50},
]


def of_people(rows, attributes=("sex",), max_tokens: int = 200) -> tuple[Examples, Serializer]:
    task = people.task(rows)
    serializer = Serializer.fit(
        task, template="text", order=people.ORDER, max_tokens=max_tokens, count_tokens=lambda ts: [len(t) for t in ts]
    )
    return examples_of_task(task, serializer, attributes), serializer


def many(n: int = 400) -> Examples:
    """Half of the rows are training rows; one in five is a positive of group b."""
    row = np.arange(n)
    return Examples(
        name="many",
        title="Many",
        row_id=row * 7,
        inputs=[f"text {i}" for i in row],
        label=(row % 5 == 0).astype(np.int8),
        classes=("no", "yes"),
        attributes={"side": np.where(row % 5 == 0, "b", np.where(row % 2, "a", "b"))},
        split=np.where(row < n // 2, "train", np.where(row % 2, "validation", "test")),
        synthetic=True,
        source_sha256="0",
    )


def test_a_task_is_read_as_its_serializer_writes_it():
    examples, serializer = of_people(ROWS, ("sex", "race", "sex*race", "age"), max_tokens=1000)
    assert examples.inputs == serializer.texts(people.table(ROWS))
    assert "The sex is Female." in examples.inputs[0]
    assert examples.row_id.tolist() == [0, 1, 2]
    assert examples.label.tolist() == [1, 0, 0] and examples.label.dtype == np.int8
    assert examples.classes == ("No", "Yes")  # class 1 is the schema's positive answer
    assert examples.split.tolist() == ["train", "validation", "test"]
    assert {name: groups.tolist() for name, groups in examples.attributes.items()} == {
        "sex": ["Female", "Male", "Female"],
        "race": ["other", "white", "(missing)"],
        "sex*race": ["Female*other", "Male*white", "Female*(missing)"],
        "age": ["up to 40", "up to 40", "over 40"],
    }
    assert not examples.synthetic and not examples.warnings and examples.source_sha256 == "0" * 64


def test_what_the_budget_leaves_out_is_a_warning():
    examples, serializer = of_people(ROWS, max_tokens=240)
    assert [feature.feature for feature in serializer.dropped] == ["race"]
    assert examples.warnings == ("over the budget of tokens, left out of rows: race from 3",)


def test_a_row_budget_is_for_the_row_s_text_alone():
    task = people.task([{"sex": "Female", "race": people.RACES[2]}] * 5)  # no twin of theirs is longer

    def count_tokens(texts):  # a letter is a token, and two special ones frame each text
        return [len(text) + 2 for text in texts]

    def fitted(max_tokens: int) -> Serializer:
        return fit_row_serializer(task, order=people.ORDER, max_tokens=max_tokens, count_tokens=count_tokens)

    (whole,) = set(fitted(1000).texts(task.table))
    assert whole.endswith("The race is Asian or Pacific Islander.")
    assert set(fitted(len(whole) + 2).texts(task.table)) == {whole}
    assert set(fitted(len(whole) + 1).texts(task.table)) == {
        whole.removesuffix(" The race is Asian or Pacific Islander.")
    }


def test_an_attribute_that_is_not_declared_is_refused():
    with pytest.raises(BadInput, match=r"'height' is not declared\n.*'sex\*height'.*\n.*declared: sex, race, age"):
        of_people(ROWS, ("sex*height",), max_tokens=1000)


def test_rows_are_taken_in_every_field():
    examples = many(10)
    some = examples.take(np.array([7, 2]))
    assert some.row_id.tolist() == [49, 14] and some.inputs == ["text 7", "text 2"]
    assert some.attributes["side"].tolist() == ["a", "b"]
    test = examples.of_split("test")
    assert test.row_id.tolist() == [42, 56] and len(test) == 2 and set(test.split) == {"test"}
    pictures = replace(examples, inputs=np.arange(10 * 12, dtype=np.uint8).reshape(10, 2, 2, 3))
    assert np.array_equal(pictures.take(pictures.label == 1).inputs, np.asarray(pictures.inputs)[[0, 5]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": ["a"]}, "inputs has 1 rows, row_id 10"),
        ({"attributes": {"side": np.array(["a"])}}, r"attributes\['side'\] has 1 rows"),
        ({"row_id": np.zeros(10, np.int64)}, "a row_id stands twice"),
        ({"label": np.full(10, 2, np.int8)}, "label 2 is no place in 2 classes"),
        ({"label": np.full(10, -1, np.int8)}, "label -1 is no place"),
        ({"split": np.full(10, "dev")}, "unknown split 'dev'"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(change, said):
    with pytest.raises(BadInput, match=said):
        replace(many(10), **change)


def test_a_skew_takes_positives_of_the_group_from_training_alone():
    whole = many()
    skew = skewed(whole, attribute="side", group="b", keep=0.1, seed=3)
    rare = (whole.split == "train") & (whole.attributes["side"] == "b") & (whole.label == 1)
    assert rare.sum() == 40
    kept = np.isin(whole.row_id, skew.row_id)
    assert kept[~rare].all() and kept[rare].sum() == 4
    assert skew.warnings == (
        "skewed on purpose: 36 of 40 positives of group 'b' (side) were left out of training; validation and test are"
        " whole",
    )


def test_a_smaller_share_keeps_a_subset_and_never_nobody():
    kept = [
        set(skewed(many(), attribute="side", group="b", keep=keep, seed=3).row_id) for keep in (0.001, 0.05, 0.1, 0.5)
    ]
    assert kept[0] < kept[1] < kept[2] < kept[3]
    assert len(kept[0]) == len(many()) - 39
    assert kept[1] != set(skewed(many(), attribute="side", group="b", keep=0.05, seed=4).row_id)
    upside_down = many().take(np.arange(400)[::-1])
    assert set(skewed(upside_down, attribute="side", group="b", keep=0.05, seed=3).row_id) == kept[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keep": 1.0}, "share of 1.0"),
        ({"keep": 0.0}, "share of 0.0"),
        ({"attribute": "hue"}, "no attribute 'hue'\n.*\n.*one of: side"),
        ({"group": "c"}, "'c' has no positives in training\n.*\n.*groups of 'side': a, b"),
        ({"group": "a"}, "'a' has no positives in training"),
    ],
)
def test_a_skew_that_means_nothing_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        skewed(many(), **({"attribute": "side", "group": "b", "keep": 0.5, "seed": 0} | change))
    with pytest.raises(BadInput, match="3 classes have no positive one"):
        skewed(replace(many(), classes=("a", "b", "c")), attribute="side", group="b", keep=0.5, seed=0)


def test_official_files_come_from_the_folder_then_from_the_mirror(tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    needed = (("rows.jsonl", "rows.txt"), ("pictures", "Img/pictures"))
    with pytest.raises(
        BadInput, match=r"EQUIRAY_DATA is not set\n.*get rows.jsonl or rows.txt, pictures or .* from here"
    ):
        find_official("faces", needed, folder=None, site="here")
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path))
    with pytest.raises(BadInput, match=r"are not on this machine\n  where: .*faces\n"):
        find_official("faces", needed, folder=None, site="here")
    (tmp_path / "faces" / "Img" / "pictures").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"there is no rows.jsonl or rows.txt\n.*\n.*published at here"):
        find_official("faces", needed, folder=None, site="here")
    (tmp_path / "faces" / "rows.txt").write_text("")
    found = find_official("faces", needed, folder=None, site="here")
    assert found == (tmp_path / "faces" / "rows.txt", tmp_path / "faces" / "Img" / "pictures")
    with pytest.raises(BadInput, match="are not on this machine"):  # a folder that is named is the only place
        find_official("faces", needed, folder=tmp_path / "own", site="here")


def test_an_official_file_that_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / "rows.txt"
    file.write_bytes("\ufeffcafé\r\nnext\u2028same line\n".encode())
    assert read_official(file) == "café\r\nnext\u2028same line\n"
    file.write_bytes("café".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        read_official(file)
    with pytest.raises(BadInput, match="cannot read it"):
        read_official(tmp_path)


def test_one_class_is_told_from_the_others_and_two_classes_may_be_turned():
    three = replace(many(9), label=np.arange(9, dtype=np.int8) % 3, classes=("a", "b", "c"), warnings=("said",))
    binary = one_against_rest(three, "b")
    assert binary.label.tolist() == [0, 1, 0] * 3 and binary.classes == ("not b", "b")
    assert binary.warnings == ("said", "two classes of 3: b against a and c")
    two = replace(many(4), label=np.array([0, 1, 1, 0], np.int8), classes=("no", "yes"), warnings=())
    assert one_against_rest(two, None) is two
    turned = one_against_rest(two, "no")
    assert turned.label.tolist() == [1, 0, 0, 1] and turned.classes == ("yes", "no") and turned.warnings == ()
    with pytest.raises(BadInput, match=r"3 classes \(a, b, c\)(.|\n)*positive(.|\n)*positive: a"):
        one_against_rest(three, None)
    with pytest.raises(BadInput, match=r"no class 'd'(.|\n)*it has: a, b, c"):
        one_against_rest(three, "d")
