"""A FairNet on disk: it comes back as it was, and what is torn or another's is refused by name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import fairnet_cases
from equiray.errors import BadInput, Incomplete
from equiray.mitigation.fairnet import LowerStates, load_fairnet, lower_states, one_pass, save_fairnet, set_thresholds
from equiray.mitigation.fairnet.support import Support


@pytest.fixture
def saved(tmp_path):
    made = fairnet_cases.corrected().fairnet
    states = torch.randn(100, made.classifier.backbone.width, generator=torch.Generator().manual_seed(0))
    fairnet = replace(made, support=Support.fit(states, 0.01), thresholds={"sex": 0.6, "race": 0.4})
    save_fairnet(tmp_path / "model", fairnet, {"task": "tiny"})
    return tmp_path / "model", fairnet


def test_it_comes_back_as_it_was(saved):
    directory, fairnet = saved
    loaded = load_fairnet(directory, fairnet_cases.backbone())
    batch = fairnet_cases.batch(loaded.classifier.backbone)
    for ours, theirs in zip(one_pass(fairnet, batch), one_pass(loaded, batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    assert loaded.thresholds == fairnet.thresholds and loaded.layers == fairnet.layers
    document = json.loads((directory / "fairnet.json").read_text())
    assert document["about"] == {"task": "tiny"} and document["backbone"]["identity"] == "bert-0"
    assert {path.name for path in directory.iterdir()} == {"fairnet.json", "fairnet.safetensors"}


def test_thresholds_are_set_afterwards_and_a_gate_that_stays_shut_is_valid_json(saved):
    directory, _ = saved
    set_thresholds(directory, {"sex": float("inf"), "race": 0.25})
    loaded = load_fairnet(directory, fairnet_cases.backbone())
    assert loaded.thresholds == {"sex": float("inf"), "race": 0.25}
    json.loads((directory / "fairnet.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert not one_pass(loaded, fairnet_cases.batch(loaded.classifier.backbone)).open[:, 0].any()
    with pytest.raises(BadInput, match="gates of sex, race"):
        set_thresholds(directory, {"sex": 0.5})


def test_a_document_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write = Path.write_text

    def torn(path, text, **more):
        write(path, text[:20], **more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(Incomplete):
        save_fairnet(tmp_path, fairnet_cases.corrected().fairnet)
    assert not (tmp_path / "fairnet.json").exists()


def test_torn_weights_are_refused(saved):
    directory, _ = saved
    file = directory / "fairnet.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"cut short or altered[\s\S]*fairnet\.safetensors"):
        load_fairnet(directory, fairnet_cases.backbone())
    file.unlink()
    with pytest.raises(BadInput, match="weights are missing"):
        load_fairnet(directory, fairnet_cases.backbone())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no readable FairNet"),
        ("[]", "schema 'list'"),
        ('{"schema": "other/1"}', "schema 'other/1'"),
        ('{"schema": "equiray.fairnet-model/1"}', "key 'attributes' is missing"),
    ],
)
def test_a_broken_document_is_refused(saved, text, said):
    directory, _ = saved
    (directory / "fairnet.json").write_text(text)
    with pytest.raises(BadInput, match=said):
        load_fairnet(directory, fairnet_cases.backbone())


def test_a_document_that_does_not_fit_its_weights_is_refused(saved):
    directory, _ = saved
    file = directory / "fairnet.json"
    document = json.loads(file.read_text())
    del document["attributes"]["race"]
    file.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"adapter\.race"):
        load_fairnet(directory, fairnet_cases.backbone())


def test_another_backbone_is_refused(saved):
    directory, _ = saved
    with pytest.raises(BadInput, match="trained on bert"):
        load_fairnet(directory, fairnet_cases.backbone("vit"))
    with pytest.raises(BadInput, match="pooled by 'mean'"):
        load_fairnet(directory, fairnet_cases.backbone(pooling="mean"))


def test_an_absent_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="name the folder"):
        load_fairnet(tmp_path / "absent", fairnet_cases.backbone())


def test_cached_states_come_back_and_are_checked(tmp_path):
    made = fairnet_cases.backbone(dtype=torch.bfloat16)
    lower = lower_states(made, fairnet_cases.sequences(20), 2)
    lower.save(tmp_path / "lower.safetensors")
    loaded = LowerStates.load(tmp_path / "lower.safetensors", made)
    assert torch.equal(loaded.tokens, lower.tokens) and loaded.tokens.dtype == torch.bfloat16
    assert loaded.layer == 2 and loaded.offsets.tolist() == lower.offsets.tolist()
    with pytest.raises(BadInput, match="another backbone"):
        LowerStates.load(tmp_path / "lower.safetensors", fairnet_cases.backbone("vit"))
    torn = tmp_path / "lower.safetensors"
    torn.write_bytes(torn.read_bytes()[:-10])
    with pytest.raises(BadInput, match="cut short or altered"):
        LowerStates.load(torn, made)
    with pytest.raises(BadInput, match=r"absent\.safetensors"):
        LowerStates.load(tmp_path / "absent.safetensors", made)
