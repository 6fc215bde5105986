"""Nothing frozen: embeddings are trained, rows are read anew for every batch, and FairNet is the same on top of it."""

import json

import numpy as np
import pytest
import torch

import fairnet_cases
from equiray.errors import BadInput
from equiray.mitigation.fairnet import (
    Classifier,
    Layers,
    RawRows,
    TrainingRows,
    Validation,
    correct,
    fit,
    load_fairnet,
    lower_states,
    save_fairnet,
    subset_probabilities,
    train_base,
)
from equiray.models.backbones import PixelScale, load_backbone, pixel_values
from equiray.specs.fairnet import BackboneSpec, TrainingSpec
from fairnet_runs import tiny_vit

every_family = pytest.mark.parametrize("family", ["bert", "llama", "vit"])
NOTHING_FROZEN = {"backbone": {"frozen_layers": 0}, "detector": {"layer": 1}}
THREE_STEPS = TrainingSpec(epochs=3 * 16 / fairnet_cases.ROWS, learning_rate=1e-2, batch_rows=16)


def raw(backbone) -> RawRows:
    return RawRows.of(backbone, fairnet_cases.inputs(backbone.name))


@every_family
def test_three_steps_move_everything_and_leave_the_backbone_that_it_started_from(family):
    backbone = fairnet_cases.backbone(family)
    start = {name: parameter.clone() for name, parameter in backbone.named_parameters()}
    classifier = Classifier(backbone, frozen_layers=0)
    trained = classifier.trained()
    before = {name: parameter.clone() for name, parameter in trained.items()}
    fit(classifier, raw(backbone), fairnet_cases.labels(), spec=THREE_STEPS, seed=0)
    still = {name for name, parameter in trained.items() if torch.equal(before[name], parameter)}
    assert all(name.endswith(("key.bias", "k_proj.bias")) for name in still)  # softmax does not see it
    assert any(name.startswith("embeddings.") for name in trained)
    own = {name for name, _ in classifier.backbone.named_parameters()}
    assert len(trained) == len(own) + 2, "but for the head, all that the backbone has"
    assert all(torch.equal(start[name], parameter) for name, parameter in backbone.named_parameters())


@every_family
def test_rows_read_anew_are_decided_as_from_states(family):
    backbone = fairnet_cases.backbone(family)
    classifier = Classifier(backbone, frozen_layers=0)
    fit(classifier, raw(backbone), fairnet_cases.labels(), spec=THREE_STEPS, seed=0)
    states = lower_states(classifier.backbone, fairnet_cases.inputs(family), 2)
    torch.testing.assert_close(classifier.predict(raw(backbone)), classifier.predict(states), rtol=1e-4, atol=1e-5)
    some = np.array([7, 3, 100])
    alone = classifier.predict(raw(backbone).take(some))
    torch.testing.assert_close(alone, classifier.predict(raw(backbone))[some], rtol=1e-4, atol=1e-5)


def test_fairnet_above_a_base_of_raw_rows_is_that_above_its_states_and_is_read_back_whole(tmp_path):
    backbone, spec = fairnet_cases.backbone("vit"), fairnet_cases.spec(**NOTHING_FROZEN)
    labels, members = fairnet_cases.labels(), {"sex": fairnet_cases.groups()["sex"]}
    rows = TrainingRows(lower=raw(backbone), labels=labels, vulnerable=members)
    base, fitted = train_base(backbone, rows, Validation(rows.lower, labels), spec, 0)
    assert fitted.losses[-1] < fitted.losses[0]
    made = correct(base, rows, spec, 0)
    found = subset_probabilities(made.fairnet, rows.lower)
    assert np.abs(found.probability[:, 0] - found.probability[:, 1]).max() > 1e-3, "its adapter does something"
    read = lower_states(base.backbone, fairnet_cases.inputs("vit"), 1)
    of_states = subset_probabilities(made.fairnet, read)
    np.testing.assert_allclose(found.probability, of_states.probability, atol=1e-5)
    np.testing.assert_allclose(found.risk, of_states.risk, atol=1e-5)
    save_fairnet(tmp_path, made.fairnet)
    untrained = fairnet_cases.backbone("vit")
    again = subset_probabilities(load_fairnet(tmp_path, untrained), raw(untrained))
    np.testing.assert_array_equal(again.probability, found.probability)


def test_states_are_refused_where_embeddings_are_trained():
    backbone = fairnet_cases.backbone("vit")
    states = lower_states(backbone, fairnet_cases.inputs("vit"), 0)
    with pytest.raises(BadInput, match=r"no layer is frozen(.|\n)*backbone\.frozen_layers"):
        fit(Classifier(backbone, frozen_layers=0), states, fairnet_cases.labels(), spec=THREE_STEPS, seed=0)


def test_a_model_from_scratch_is_its_seed_s_and_disturbs_no_other_draw():
    spec = BackboneSpec(source="tiny_vit")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (load_backbone(spec, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    weights = [made.layers[3].attention.q_proj.weight for made in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.identity == other.identity and first.tokenizer is None
    assert Layers.of(fairnet_cases.spec(backbone={"source": "tiny_vit"}), 8) == Layers(frozen=0, detector=4, adapter=4)
    assert Layers.of(fairnet_cases.spec(backbone={"frozen_layers": 0}), 12).detector == 6


def test_pictures_are_brought_to_the_size_and_scale_that_a_directory_names(tmp_path):
    folder = tiny_vit(tmp_path)
    said = {"image_mean": [0.0, 0.5, 0.25], "image_std": [1.0, 0.5, 0.25], "image_processor_type": "ViTImageProcessor"}
    assert load_backbone(BackboneSpec(source=str(folder))).scale == PixelScale()
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    backbone = load_backbone(BackboneSpec(source=str(folder)))
    grey = np.full((2, 20, 20, 3), 51, dtype=np.uint8)
    grey[1, :10] = 255
    values = pixel_values(grey, backbone.config.image_size, backbone.scale)
    assert values.shape == (2, 3, 8, 8)
    torch.testing.assert_close(values[0, :, 4, 4], torch.tensor([0.2, -0.6, -0.2]))
    torch.testing.assert_close(values[1, 0, 0], torch.ones(8))
    assert values[1, 0].mean() == pytest.approx(0.6, abs=1e-3)  # resizing keeps the mean
    assert len(RawRows.of(backbone, grey)) == 2 and RawRows.of(backbone, grey).lengths.tolist() == [5, 5]
