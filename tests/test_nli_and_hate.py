"""MultiNLI and HateXplain in their official formats, on small files of these formats; the texts are invented."""

import json
from pathlib import Path

import numpy as np
import pytest

from equiray.data.examples.hatexplain import load_hatexplain
from equiray.data.examples.multinli import load_multinli
from equiray.errors import BadInput

HEADER = (
    *("gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"),
    *("sentence1", "sentence2", "promptID", "pairID", "genre", "label1", "label2", "label3", "label4", "label5"),
)
# gold label, premise, hypothesis, prompt
TRAIN = [
    ("neutral", 'A man said "wait', "The man is not tall.", "10"),
    ("contradiction", "It rains.\u2028Still.", "It doesn't rain.", "11"),
    ("-", "It rains.", "Someone never sleeps.", "11"),
    ("entailment", "It rains.", "Notice: nothing is dry.", "11"),
]
DEV = [("entailment", "He can swim.", "He CANNOT fly or can.", "12"), ("-", "x", "y", "13")]


def as_jsonl(rows) -> str:
    keys = ("gold_label", "sentence1", "sentence2", "promptID")
    return "".join(json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)


def as_text(rows, header=HEADER) -> str:
    """As the official training file: only the first annotator's label, the other cells are not written."""
    lines = [
        [gold, "( )", "( )", "(ROOT)", "(ROOT)", premise, hypothesis, prompt, f"{prompt}n", "oup", gold]
        for gold, premise, hypothesis, prompt in rows
    ]
    return "\n".join("\t".join(cells) for cells in [header, *lines]) + "\n"


def nli(folder: Path, form: str = "jsonl", train=TRAIN, dev=DEV) -> Path:
    write = {"jsonl": as_jsonl, "txt": as_text}[form]
    folder.mkdir(exist_ok=True)
    (folder / f"multinli_1.0_train.{form}").write_text(write(train), encoding="utf-8")
    (folder / f"multinli_1.0_dev_matched.{form}").write_text(write(dev), encoding="utf-8")
    return folder


def test_pairs_labels_and_negations(tmp_path):
    examples = load_multinli(0, folder=nli(tmp_path))
    assert examples.inputs[0] == 'Hypothesis: The man is not tall. Premise: A man said "wait'
    assert examples.inputs[1].endswith("It rains.\u2028Still.")
    assert examples.classes == ("contradiction", "entailment", "neutral")
    assert examples.label.tolist() == [2, 0, 1, 1]
    assert examples.row_id.tolist() == [0, 1, 3, 4]  # undecided pairs leave gaps
    assert examples.attributes["negation"].tolist() == ["negation", "negation", "no negation", "negation"]
    assert examples.split[-1] == "test" and set(examples.split[:-1]) <= {"train", "validation"}
    assert examples.warnings == (
        "1 train pairs without a majority label were left out",
        "1 test pairs without a majority label were left out",
        "multinli_1.0_train.jsonl has 4 rows, the official file 392,702",
        "multinli_1.0_dev_matched.jsonl has 2 rows, the official file 10,000",
    )


def test_both_official_forms_hold_the_same(tmp_path):
    first, second = (load_multinli(0, folder=nli(tmp_path / form, form)) for form in ("jsonl", "txt"))
    assert first.inputs == second.inputs and first.label.tolist() == second.label.tolist()
    assert first.source_sha256 != second.source_sha256


def test_validation_is_about_a_twentieth_and_shares_no_premise_with_training(tmp_path):
    rows = [("neutral", f"Premise {i // 3}.", f"Hypothesis {i}.", str(i // 3)) for i in range(6000)]
    examples = load_multinli(0, folder=nli(tmp_path, train=rows))
    premise = np.array([text.partition("Premise: ")[2] for text in examples.inputs])
    sides = {name: set(premise[examples.split == name]) for name in ("train", "validation")}
    assert not sides["train"] & sides["validation"]
    assert 70 <= len(sides["validation"]) <= 130  # 100 of 2,000 expected, standard deviation 9.7
    other = load_multinli(1, folder=tmp_path)
    assert (other.split != examples.split).any()


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("jsonl", as_jsonl(TRAIN) + "{", r"no JSON: .*\n.*train.jsonl, line 5"),
        ("jsonl", as_jsonl(TRAIN) + "[1]", r"no text under 'gold_label'\n.*line 5"),
        ("jsonl", as_jsonl(TRAIN[:1]).replace("sentence2", "hypothesis"), r"no text under 'sentence2'\n.*line 1"),
        ("jsonl", as_jsonl([("maybe", "a", "b", "1")]), r"gold_label is 'maybe', not one of contradiction.*\n.*line 1"),
        ("jsonl", as_jsonl([("neutral", "a", " ", "1")]), r"hypothesis \(sentence2\) is empty\n.*line 1"),
        ("jsonl", "\n", "holds no pairs"),
        ("txt", as_text(TRAIN, ("index", "sentence1")), r"the header lacks 'gold_label'\n.*line 1"),
        ("txt", as_text(TRAIN) + "neutral\ta\tb\n", r"3 cells where the header has 15: .*\n.*train.txt, line 6"),
        ("txt", as_text([("neutral", "a" + "\tb" * 9, "f", "1")]), r"20 cells where the header has 15"),
    ],
)
def test_another_format_of_multinli_is_refused(tmp_path, form, text, said):
    folder = nli(tmp_path, form)
    (folder / f"multinli_1.0_train.{form}").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        load_multinli(0, folder=folder)


def post(labels: str, *targets: list[str], text: str = "two words") -> dict:
    names = {"n": "normal", "o": "offensive", "h": "hatespeech"}
    people = [{"label": names[label], "target": target} for label, target in zip(labels, targets, strict=True)]
    return {"post_id": "?", "annotators": people, "rationales": [], "post_tokens": text.split()}


POSTS = {
    "1_gab": post("hhn", ["African", "Women"], ["African"], ["None"]),
    "2_gab": post("nno", ["None"], ["Women"], ["Women", "Women"], text="others speak"),
    "3_gab": post("nho", ["African"], ["African"], ["African"]),
    "4_twitter": post("ooh", ["Women"], ["None"], ["None"]),
    "5_twitter": post("nnn", ["None"], ["None"], ["None"]),
}
DIVISIONS = {"train": ["1_gab", "2_gab"], "val": ["4_twitter"], "test": []}


def hate(folder: Path, posts: object = POSTS, divisions: object = DIVISIONS) -> Path:
    (folder / "dataset.json").write_text(json.dumps(posts))
    (folder / "post_id_divisions.json").write_text(json.dumps(divisions))
    return folder


def test_majority_labels_and_targets_of_two_annotators(tmp_path):
    examples = load_hatexplain(folder=hate(tmp_path))
    assert examples.inputs == ["two words", "others speak", "two words"]
    assert examples.row_id.tolist() == [0, 1, 3]
    assert examples.label.tolist() == [1, 0, 1] and examples.classes == ("normal", "toxic")
    assert examples.attributes["African"].tolist() == ["African", "not African", "not African"]
    assert examples.attributes["Women"].tolist() == ["not Women", "Women", "not Women"]
    assert examples.split.tolist() == ["train", "train", "validation"]
    assert examples.warnings[1:] == (
        "1 posts without a majority label were left out",
        "1 posts that post_id_divisions.json does not list were left out",
        "dataset.json has 5 rows, the official file 20,148",
    )


def _without(key: str) -> dict:
    return {"1_gab": {name: value for name, value in POSTS["1_gab"].items() if name != key}}


def _annotator(**changes: object) -> dict:
    return {"1_gab": POSTS["1_gab"] | {"annotators": [{"label": "normal", "target": ["None"]} | changes]}}


@pytest.mark.parametrize(
    ("posts", "divisions", "said"),
    [
        ([1], DIVISIONS, "a mapping of posts is due, this is list"),
        ({}, DIVISIONS, "this is dict, or empty"),
        (_without("post_tokens"), DIVISIONS, r"`post_tokens` is no list of words\n.*post '1_gab'"),
        (_without("annotators"), DIVISIONS, r"`annotators` is no list .*\n.*post '1_gab'"),
        (_annotator(label="toxic"), DIVISIONS, r"label is 'toxic', not normal, offensive, hatespeech\n.*post '1_gab'"),
        (_annotator(target="None"), DIVISIONS, "target is 'None', not a list"),
        (POSTS, {"train": [], "valid": [], "test": []}, "divisions are train, valid, test, not train, val, test"),
        (POSTS, DIVISIONS | {"test": ["9_gab"]}, r"post '9_gab' is not in the data set\n.*division 'test'"),
        (POSTS, DIVISIONS | {"test": ["1_gab"]}, "post '1_gab' is listed twice"),
        (POSTS, DIVISIONS | {"test": 7}, "post 7 is not in the data set"),
    ],
)
def test_another_format_of_hatexplain_is_refused(tmp_path, posts, divisions, said):
    with pytest.raises(BadInput, match=said):
        load_hatexplain(folder=hate(tmp_path, posts, divisions))


def test_a_community_that_no_post_targets_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no post targets 'Martians'\n.*\n.*named in the file: African, None, Women"):
        load_hatexplain(folder=hate(tmp_path), groups=("Martians",))
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(BadInput, match=r"no JSON: .*\n.*dataset.json"):
        load_hatexplain(folder=tmp_path)
