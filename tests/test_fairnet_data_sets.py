"""FairNet runs on data sets that are no tables: official formats on small invented files, and drawn avatars."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from transformers import ViTConfig

from equiray.cli import main
from equiray.models import tiny_vit as scratch
from equiray.reports import verify_evidence
from fairnet_runs import QUICK, fairnet_document, tiny_bert, tiny_vit
from test_nli_and_hate import as_jsonl, hate, post

ONCE = QUICK | {"epochs": 1}
SMALL = {
    "rows": {"train": 240, "validation": 240, "test": 240},
    "baselines": [],
    "base": ONCE,
    "detector": {"training": ONCE},
    "adapter": {"training": ONCE},
}
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vit(tmp_path_factory.mktemp("vit"))


def run(folder: Path, model: object, task: dict[str, Any], *arguments: str, **changes: Any) -> int:
    document = fairnet_document(folder, Path(str(model)), **({"tasks": [task]} | SMALL | changes))
    (folder / "spec.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as left:
        main(["run", str(folder / "spec.yaml"), "--out", str(folder / "out"), *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / "out" / name).read_text(encoding="utf-8"))


def decided(folder: Path, method: str) -> pd.DataFrame:
    (file,) = (folder / "out").glob(f"predictions/*.{method}.parquet")
    frame = pq.read_table(file).to_pandas()
    return frame[frame.split == "test"].assign(right=lambda f: f.prediction == f.label)


def check_figures(folder: Path, attribute: str) -> None:
    """Accuracy and worst cell of base and FairNet, once more from the predictions."""
    found = {(e["stage"], e["metric"], e["attribute"]): e["value"] for e in read(folder, "results.json")["estimates"]}
    for method in ("erm", "fairnet"):
        rows = decided(folder, method)
        assert found[(method, "accuracy", None)] == pytest.approx(rows.right.mean())
        worst = rows.groupby([attribute, "label"]).right.mean().min()
        assert found[(method, "worst_group_accuracy_cells", attribute)] == pytest.approx(worst)
    assert verify_evidence(folder / "out") == []


def pairs(rows: int) -> list[tuple[str, str, str, str]]:
    """Contradictions say "income" and are mostly negated; each premise has two hypotheses."""
    found = []
    for row in range(rows):
        gold = ("contradiction", "entailment", "neutral")[row % 3]
        negated = RANDOM.random() < (0.8 if gold == "contradiction" else 0.25)
        words = ("income" if gold == "contradiction" else "sex", "not" if negated else ".")
        found.append((gold, f"male {row // 2}", " ".join(words), str(row // 2)))
    return found


def nli(folder: Path, train: int = 5200, dev: int = 260) -> Path:
    folder.mkdir()
    (folder / "multinli_1.0_train.jsonl").write_text(as_jsonl(pairs(train)), encoding="utf-8")
    (folder / "multinli_1.0_dev_matched.jsonl").write_text(as_jsonl(pairs(dev)), encoding="utf-8")
    return folder


def test_multinli_is_one_class_against_the_others(bert: Path, tmp_path: Path, capsys):
    folder = nli(tmp_path / "nli")
    task = {"examples": "multinli", "path": str(folder), "attributes": ["negation"], "positive": "contradiction"}
    assert run(tmp_path, bert, task) == 0, capsys.readouterr().err
    rows = decided(tmp_path, "erm")
    lines = (folder / "multinli_1.0_dev_matched.jsonl").read_text().splitlines()
    pair_of = dict(enumerate(map(json.loads, lines), start=5200))
    chosen = [pair_of[row_id] for row_id in rows.row_id]
    assert len(rows) == 240 and rows.label.tolist() == [int(p["gold_label"] == "contradiction") for p in chosen]
    assert (rows.negation == "negation").tolist() == ["not" in p["sentence2"] for p in chosen]
    check_figures(tmp_path, "negation")
    (task,) = read(tmp_path, "fairnet.json")["tasks"]
    assert "two classes of 3: contradiction against entailment and neutral" in task["warnings"]
    assert not task["synthetic"] and "multinli/" in read(tmp_path, "details.json")["tasks"]["multinli"]["source"]
    assert "contradiction against" in (tmp_path / "out" / "report.html").read_text()
    assert all(row["text"].startswith("Hypothesis:") for row in task["seeds"][0]["flagged"])


def posts(folder: Path, count: int = 900) -> Path:
    """Toxic posts say "income"; those about Women or African people say so. A third of each division."""
    made: dict[str, Any] = {}
    for row in range(count):
        toxic, women = bool(RANDOM.random() < 0.5), bool(RANDOM.random() < 0.5)
        targets = ["Women"] if women else ["African"] if row % 2 else ["None"]
        text = f"{'income' if toxic else 'sex'} {'female' if women else 'male'} {row}"
        made[f"{row}_gab"] = post("hho" if toxic else "nnn", targets, targets, targets, text=text)
    names = list(made)
    third = count // 3
    divisions = {"train": names[:third], "val": names[third : 2 * third], "test": names[2 * third :]}
    folder.mkdir()
    return hate(folder, made, divisions)


def test_hatexplain_reports_communities_and_their_intersection(bert: Path, tmp_path: Path, capsys):
    folder = posts(tmp_path / "hate")
    task = {"examples": "hatexplain", "path": str(folder), "attributes": ["Women", "Women*African"]}
    assert run(tmp_path, bert, task) == 0, capsys.readouterr().err
    rows = decided(tmp_path, "erm")
    document = list(json.loads((folder / "dataset.json").read_text()).values())
    said = [" ".join(document[row_id]["post_tokens"]) for row_id in rows.row_id]
    assert rows.label.tolist() == [int("income" in text) for text in said]
    assert (rows.Women == "Women").tolist() == ["female" in text for text in said]
    check_figures(tmp_path, "Women")
    groups = {e["group"] for e in read(tmp_path, "results.json")["estimates"] if e["attribute"] == "Women*African"}
    assert groups == {None, "Women*not African", "not Women*African", "not Women*not African"}


def faces(folder: Path, count: int = 720) -> Path:
    """Blond is bright, male is red; a third of each split."""
    from PIL import Image

    (folder / "img_align_celeba").mkdir(parents=True)
    names, lines, splits = [], [], []
    for row in range(count):
        blond, male = RANDOM.random(2) < 0.5
        names.append(f"{row + 1:06d}.jpg")
        pixels = np.full((12, 10, 3), 200 if blond else 60, np.uint8)
        pixels[..., 0] = 255 if male else 0
        Image.fromarray(pixels).save(folder / "img_align_celeba" / names[-1])
        lines.append(f"{names[-1]} {1 if blond else -1} {1 if male else -1}")
        splits.append(f"{names[-1]} {row * 3 // count}")
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(count), "Blond_Hair Male ", *lines]) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(splits) + "\n")
    return folder


def test_celeba_s_files_are_read_at_the_size_of_a_frozen_vit(vit: Path, tmp_path: Path, capsys):
    pytest.importorskip("PIL", reason="the extra `pictures` is not installed")
    folder = faces(tmp_path / "celeba")
    task = {"examples": "celeba", "path": str(folder), "attributes": ["Male"]}
    assert run(tmp_path, vit, task) == 0, capsys.readouterr().err
    rows = decided(tmp_path, "erm")
    lines = (folder / "list_attr_celeba.txt").read_text().splitlines()[2:]
    assert rows.label.tolist() == [int(lines[row_id].split()[1] == "1") for row_id in rows.row_id]
    check_figures(tmp_path, "Male")
    shown = read(tmp_path, "fairnet.json")["tasks"][0]["seeds"][0]["flagged"]
    assert all(row["text"].endswith(".jpg") for row in shown)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where avatars are kept while this module is tested."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small_scratch(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    """`tiny_vit` with three layers on four patches."""
    for module in ("dicebear", "dicebear_styles", "resvg_py", "PIL"):
        pytest.importorskip(module, reason="the extra `pictures` is not installed")
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    monkeypatch.setattr(scratch, "tiny_vit_config", lambda: ViTConfig(**shape, image_size=64, patch_size=32))
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))


FEW = {"rows": {"train": 60, "validation": 60, "test": 60}}
AVATARS = {"examples": "avatars", "attributes": ["skin"], "cells": [3, 3, 2, 2]}


def test_avatars_are_trained_on_from_scratch_and_called_synthetic_everywhere(small_scratch, tmp_path: Path, capsys):
    backbone, sizes = {"source": "tiny_vit"}, {"train": 120, "validation": 240, "test": 640}
    assert run(tmp_path, "", AVATARS, backbone=backbone, seeds=[0, 1], rows=sizes, stress=["subpopulation"]) == 0
    printed = "".join(capsys.readouterr())
    (task,) = read(tmp_path, "fairnet.json")["tasks"]
    assert task["synthetic"] is True
    for text in (
        " ".join(printed.split()),
        *((tmp_path / "out" / name).read_text() for name in ("report.html", "model_card.md")),
    ):
        assert "synthetic" in text.lower() and "about people" in text
    (stress,) = read(tmp_path, "fairnet.json")["stress"]
    assert "hair" in stress["label"], "an attribute without a gate"
    about = read(tmp_path, "fairnet.json")["backbone"]
    assert (about["frozen_layers"], about["detector_layer"], about["depth"]) == (0, 1, 3)
    drawn = scratch.draw_tiny_vit(0)
    assert about["trained_parameters"] == sum(p.numel() for p in drawn.parameters()) + 2 * 33
    starts = [f"{row['text']}" for seed in task["seeds"] for row in seed["flagged"]]
    assert all(text.startswith("picture ") and "skin: " in text for text in starts)
    frames = [pq.read_table(file).to_pandas() for file in sorted((tmp_path / "out").glob("predictions/*.erm.parquet"))]
    assert len(frames) == 2 and not np.allclose(frames[0].score, frames[1].score), "each seed has its own start"
    drawn_cells = frames[0][frames[0].split == "test"].groupby(["label", "skin"]).size()
    assert drawn_cells.tolist() == [192, 192, 128, 128], "as many as `rows` says, in the recipe's proportions"
    assert not list((tmp_path / "out").glob("lower/*")), "there are no frozen states to keep"


@pytest.mark.parametrize(
    ("task", "source", "changes", "named"),
    [
        ({"name": "adult"}, "vit", {}, ("reads pictures", "rows of task adult are texts", "minilm")),
        (AVATARS, "bert", {}, ("reads texts", "rows of task avatars are pictures", "`tiny_vit`", "tasks.0")),
        ({"examples": "multinli"}, "tiny_vit", {}, ("reads pictures", "multinli are texts", "backbone.source")),
        ({"examples": "avatar"}, "vit", {}, ("tasks.0", "none of avatars, celeba, multinli, hatexplain")),
        ({"examples": "avatars", "cell": 1}, "vit", {}, ("tasks.0.cell:", "extra inputs")),
        ({"examples": "multinli", "path": "/nowhere"}, "bert", {}, ("/nowhere", "task multinli", "cims.nyu.edu")),
        ({"examples": "hatexplain"}, "bert", {}, ("task hatexplain", "EQUIRAY_DATA", "hate-alert")),
        ({"examples": "celeba", "attributes": ["Blond_Hair"]}, "vit", {}, ("'Blond_Hair' is the label", "attributes")),
        ({"examples": "nli", "attributes": ["tone"]}, "bert", {}, ("no attribute 'tone'", "it has: negation")),
        ({"examples": "nli", "attributes": []}, "bert", {}, ("no attribute has a gate", "attributes")),
        ({"examples": "nli", "positive": None}, "bert", {}, ("3 classes", "multinli, positive", "contradiction")),
        ({"examples": "nli", "positive": "no"}, "bert", {}, ("no class 'no'", "entailment, neutral")),
        ({"examples": "nli"}, "bert", {"baselines": ["cda"]}, ("no counterfactual twins", "baselines, tasks.0")),
        ({"examples": "nli"}, "bert", {"adapter": {"augmentation": True}}, ("no counterfactual twins", "augmentation")),
        ({"examples": "nli"}, "bert", {"streaming": {"mode": "ray"}}, ("do not go through Ray", "`local`")),
        (AVATARS, "tiny_vit", {"backbone": {"frozen_layers": 2}}, ("frozen_layers", "from scratch", "stay random")),
        (AVATARS, "tiny_vit", FEW | {"vulnerable": {"skin": "blue"}}, ("skin has no group 'blue'", "'dark', 'light'")),
        (AVATARS | {"attributes": ["eyes"]}, "tiny_vit", FEW, ("no attribute 'eyes'", "it has: skin, hair")),
        (AVATARS | {"cells": [1, 1, 1, 0]}, "tiny_vit", FEW | {"vulnerable": {"skin": "dark"}}, ("0] training rows",)),
        (AVATARS | {"cells": [1, 1, 0, 0]}, "tiny_vit", FEW, ("rows of train are 60 of 'no glasses' and 0",)),
    ],
)
def test_3_what_does_not_go_together_is_refused_before_anything_is_made(
    small_scratch, bert, vit, tmp_path: Path, capsys, monkeypatch, task, source, changes, named
):
    monkeypatch.delenv("EQUIRAY_DATA", raising=False)
    if task.get("examples") == "nli":
        task = {"positive": "neutral", **task, "examples": "multinli", "path": str(nli(tmp_path / "nli", 300, 30))}
    model = {"vit": vit, "bert": bert}.get(source, source)
    changes = dict(changes)
    backbone = {"source": str(model), "max_tokens": 48} | changes.pop("backbone", {})
    assert run(tmp_path, model, task, backbone=backbone, **changes) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert all(word in said for word in named), said
    assert "fix:" in said and "Traceback" not in said and not (tmp_path / "out").exists()


def test_3_an_attribute_that_avatars_have_not_is_refused_before_they_are_drawn(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setattr("equiray.data.pictures.avatars.draw", lambda options: pytest.fail("drawn"))
    assert run(tmp_path, "", AVATARS | {"attributes": ["eyes"]}, backbone={"source": "tiny_vit"}) == 3
    assert "no attribute 'eyes'" in capsys.readouterr().err


def test_3_a_cluster_is_refused_for_pictures(small_scratch, tmp_path: Path, capsys):
    assert run(tmp_path, "", AVATARS, "--address", "ray://nowhere:1", backbone={"source": "tiny_vit"}) == 3
    assert "do not go through Ray" in capsys.readouterr().err


def test_nothing_frozen_of_a_text_model_has_twins_as_well(bert: Path, tmp_path: Path, capsys):
    from fairnet_runs import people

    task = people(tmp_path, 1400) | {"attributes": ["sex"]}
    backbone = {"source": str(bert), "max_tokens": 48, "frozen_layers": 0}
    changes = {"baselines": ["cda"], "adapter": {"training": ONCE, "augmentation": True}}
    assert run(tmp_path, bert, task, backbone=backbone, **changes) == 0, capsys.readouterr().err
    check_figures(tmp_path, "sex")
    assert read(tmp_path, "fairnet.json")["backbone"]["detector_layer"] == 1
