"""FairNet's stages on tiny models: what each moves, what it leaves alone, and what it computes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import cross_entropy

import fairnet_cases
from equiray.errors import BadInput
from equiray.mitigation.fairnet import (
    Classifier,
    Layers,
    Validation,
    correct,
    fit,
    lower_states,
    row_losses,
    subset_probabilities,
    train_base,
)
from equiray.mitigation.fairnet.adapting import AdapterFit, AdapterStep, Anchors, fit_adapter
from equiray.mitigation.fairnet.batches import shuffled_batches, sorted_batches
from equiray.mitigation.fairnet.contrastive import contrastive_losses
from equiray.mitigation.fairnet.detector import Detector, detector_targets, fit_detector
from equiray.mitigation.fairnet.gates import Adapter
from equiray.mitigation.fairnet.prototypes import majority_prototypes
from equiray.mitigation.fairnet.regimes import known_groups, outliers
from equiray.models.backbones import States
from equiray.specs.fairnet import DetectorSpec, TrainingSpec

every_family = pytest.mark.parametrize("family", ["bert", "llama", "vit"])
THREE_STEPS = TrainingSpec(epochs=3 * 16 / fairnet_cases.ROWS, learning_rate=1e-2, batch_rows=16)


def copied(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before, module):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(before[name], tensor)}


@every_family
def test_three_steps_move_every_layer_that_is_not_frozen(family):
    backbone = fairnet_cases.backbone(family)
    lower = lower_states(backbone, fairnet_cases.inputs(family), 1)
    classifier = Classifier(backbone, frozen_layers=1)
    before, below = copied(classifier), copied(backbone)
    fitted = fit(classifier, lower, fairnet_cases.labels(), spec=THREE_STEPS, seed=0)
    expected = {f"backbone.{n}" if not n.startswith("head") else n for n in _full_names(classifier)}
    still = {name for name in expected if name.endswith(("key.bias", "k_proj.bias"))}  # softmax does not see it
    assert moved(before, classifier) >= expected - still and moved(before, classifier) <= expected
    assert not moved(below, backbone) and len(fitted.losses) == 3
    assert not any(p.requires_grad for p in classifier.backbone.parameters())


def _full_names(classifier):
    return {name if name.startswith(("head", "norm")) else f"layers.{name}" for name, _ in classifier.trained().items()}


def test_the_base_learns_and_keeps_its_best_checkpoint():
    backbone, base = fairnet_cases.trained_base()
    rows = fairnet_cases.training_rows(backbone)
    assert Validation(rows.lower, rows.labels).accuracy(base) > 0.9
    upside_down = Validation(rows.lower, 1 - rows.labels)  # the better it learns, the worse it looks
    classifier, fitted = train_base(backbone, rows, upside_down, fairnet_cases.spec(), 0)
    assert fitted.best == max(fitted.checks, key=lambda check: check.accuracy) and len(fitted.checks) == 8
    assert upside_down.accuracy(classifier) == fitted.best.accuracy
    assert fitted.checks[-1].accuracy < fitted.best.accuracy


def test_a_checkpoint_can_be_chosen_by_its_worst_cell():
    backbone, base = fairnet_cases.trained_base()
    lower, truth = lower_states(backbone, fairnet_cases.sequences(), 1), fairnet_cases.labels()
    labels = np.where(np.arange(fairnet_cases.ROWS) % 5 == 0, 1 - truth, truth)  # what it learnt is wrong for some
    cell = 2 * fairnet_cases.groups()["race"].astype(np.int64) + labels
    right = base.predict(lower).argmax(1).numpy() == labels
    by_hand = [sum(right[cell == each]) / sum(cell == each) for each in range(4)]
    assert min(by_hand) < max(by_hand)
    assert Validation(lower, labels, cell).accuracy(base) == min(by_hand)
    worst = int(np.argmin(by_hand))
    without = np.where(cell == worst, -1, cell)
    assert Validation(lower, labels, without).accuracy(base) == sorted(by_hand)[1]


def test_twins_bring_no_steps_of_their_own():
    backbone = fairnet_cases.backbone()
    twice = lower_states(backbone, fairnet_cases.sequences() * 2, 1)
    labels, spec = np.tile(fairnet_cases.labels(), 2), fairnet_cases.spec(epochs=1).base

    def steps(people):
        return len(fit(Classifier(backbone, frozen_layers=1), twice, labels, spec=spec, seed=0, people=people).losses)

    assert (steps(fairnet_cases.ROWS), steps(None)) == (10, 20)


def test_training_is_drawn_from_the_seed_alone():
    backbone = fairnet_cases.backbone()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    spec = fairnet_cases.spec(epochs=0.5)

    def run(seed):
        torch.randn(3)  # torch's own generator is somewhere else each time
        base, _ = train_base(backbone, rows, Validation(rows.lower, rows.labels), spec, seed)
        return base, correct(base, rows, spec, seed).fairnet

    (base, first), (_, again), (_, other) = run(0), run(0), run(1)
    for part in ("detectors", "adapters"):
        same, different = getattr(again, part)["sex"], getattr(other, part)["sex"]
        assert not moved(copied(getattr(first, part)["sex"]), same)
        assert moved(copied(getattr(first, part)["sex"]), different)
    assert not moved(copied(base), first.classifier)


def test_a_reducer_decides_what_a_batch_s_rows_count():
    """Rows of weight 0 teach nothing: the same model as from a file whose labels are wrong in those rows."""
    backbone = fairnet_cases.backbone()
    lower, labels = lower_states(backbone, fairnet_cases.sequences(), 1), fairnet_cases.labels()
    counts = torch.arange(fairnet_cases.ROWS) % 3 > 0
    wrong = np.where(counts.numpy(), labels, 1 - labels)

    def weighted(losses, rows):
        return (losses * counts[rows]).mean()

    def trained(said, reduce):
        classifier = Classifier(backbone, frozen_layers=1)
        fit(classifier, lower, said, spec=THREE_STEPS, seed=0, reduce=reduce)
        return copied(classifier)

    one, two = trained(labels, weighted), trained(wrong, weighted)
    assert all(torch.equal(one[name], two[name]) for name in one)
    plain = trained(labels, lambda losses, rows: losses.mean())
    assert any(not torch.equal(one[name], plain[name]) for name in one)


def test_row_losses_are_those_of_each_row():
    backbone, base = fairnet_cases.trained_base()
    lower, labels = lower_states(backbone, fairnet_cases.sequences(), 1), fairnet_cases.labels()
    alone = [
        cross_entropy(base.logits(lower.batch(np.array([i])), 1), torch.tensor([labels[i]])).item() for i in range(20)
    ]
    np.testing.assert_allclose(row_losses(base, lower, labels)[:20].numpy(), alone, rtol=1e-3, atol=1e-5)


def test_batches_hold_every_row_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 500)
    for batches in (list(sorted_batches(lengths, 32)), shuffled_batches(lengths, 32, np.random.default_rng(1))):
        assert sorted(np.concatenate(batches)) == list(range(500)) and max(map(len, batches)) == 32
        padded = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
        assert padded < 1.1 * lengths.sum()
    again = shuffled_batches(lengths, 32, np.random.default_rng(2))
    assert [rows.tolist() for rows in again] != [rows.tolist() for rows in batches]


@every_family
def test_detector_and_adapter_leave_the_base_as_it_is(family):
    backbone, base = fairnet_cases.trained_base(family)
    before = copied(base)
    made = correct(base, fairnet_cases.training_rows(backbone), fairnet_cases.spec(epochs=0.5), 0)
    assert not moved(before, base)
    assert not any(p.requires_grad for p in base.backbone.parameters())
    assert set(made.fairnet.attributes) == {"sex", "race"}


@every_family
def test_three_steps_move_every_part_of_the_adapter_and_nothing_else_has_a_gradient(family):
    backbone, base = fairnet_cases.trained_base(family)
    rows, spec = (
        fairnet_cases.training_rows(backbone),
        fairnet_cases.spec(adapter={"training": THREE_STEPS.model_dump()}),
    )
    adapter = Adapter(base.backbone, first_layer=1, rank=4, alpha=8, seed=0, stage="x")
    before = copied(adapter)
    anchors = Anchors(lower=rows.lower, rows=np.flatnonzero(rows.vulnerable["sex"]), labels=rows.labels)
    prototypes = torch.nn.functional.normalize(torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0)), dim=2)
    log = fit_adapter(adapter, base, anchors, prototypes, spec=spec.adapter, seed=0, stage="x")
    assert moved(before, adapter) == set(before) and len(before) == 2 * 2 * 2 and len(log.steps) == 3
    assert all(parameter.grad is None for parameter in base.parameters())


def test_an_adapter_starts_as_no_change():
    _, base = fairnet_cases.trained_base()
    adapter = Adapter(base.backbone, first_layer=1, rank=4, alpha=8, seed=0, stage="x")
    for change in adapter.layers.values():
        assert not bool(change(torch.randn(3, 32)).any()) and bool(change.a.any())


def test_the_adapter_helps_the_group_it_is_for():
    """A base that never saw the vulnerable group's positives as such is corrected by an adapter that did."""
    backbone = fairnet_cases.backbone()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    blind = np.where(rows.vulnerable["sex"], 0, rows.labels)
    base, _ = train_base(backbone, replace(rows, labels=blind), Validation(rows.lower, blind), fairnet_cases.spec(), 0)
    made = correct(base, rows, fairnet_cases.spec(detector={"kind": "group"}), 0)
    kept, cell = subset_probabilities(made.fairnet, rows.lower), rows.vulnerable["sex"] & (rows.labels == 1)
    assert (kept.probability[cell, 1] > 0.5).mean() > (kept.probability[cell, 0] > 0.5).mean() + 0.3


def test_the_detector_finds_the_group():
    backbone, base = fairnet_cases.trained_base()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    spec = fairnet_cases.spec(detector={"kind": "group"})
    made = correct(base, rows, spec, 0)
    lower = lower_states(backbone, fairnet_cases.sequences(), 1)
    risk = made.fairnet.detectors["sex"].risk(lower.batch(np.arange(fairnet_cases.ROWS))).numpy()
    assert roc_auc_score(rows.vulnerable["sex"], risk) > 0.9
    losses = made.detector_losses["sex"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_attention_pooling_by_hand():
    detector = Detector(8, seed=0, stage="x").eval()
    states = States(torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))
    for row, length in ((0, 5), (1, 3)):
        h = states.hidden[row, :length]
        scores = torch.tanh(h @ detector.attention.weight.T + detector.attention.bias) @ detector.score.weight[0]
        pooled = (scores.softmax(0)[:, None] * h).sum(0)
        torch.testing.assert_close(detector(states)[row], detector.mlp(pooled)[0])


def test_every_part_of_the_detector_moves():
    detector = Detector(8, seed=0, stage="x")
    before = copied(detector)
    random = np.random.default_rng(0)
    states = States(torch.randn(32, 5, 8), torch.ones(32, 5, dtype=torch.bool))
    spec = TrainingSpec(epochs=3, learning_rate=1e-2, batch_rows=32)
    losses = fit_detector(
        detector, lambda rows: states.rows(torch.from_numpy(rows)), np.full(32, 5), random.random(32) < 0.3,
        spec=spec, seed=0, stage="x",
    )  # fmt: skip
    assert moved(before, detector) == set(before) - {"score.bias"} and len(losses) == 3
    assert not detector.training


def test_detector_targets():
    vulnerable = np.array([True] * 4 + [False] * 6)
    losses = np.array([4, 1, 3, 2, 9, 8, 7, 0, 0, 0], dtype=np.float32)
    assert detector_targets("group", vulnerable, losses, 0.5).tolist() == vulnerable.tolist()
    assert np.flatnonzero(detector_targets("risk", vulnerable, losses, 0.3)).tolist() == [4, 5, 6]
    assert np.flatnonzero(detector_targets("both", vulnerable, losses, 0.5)).tolist() == [0, 2]


def test_a_detector_needs_both_kinds_of_rows():
    with pytest.raises(BadInput, match="0 of 8 rows"):
        fit_detector(
            Detector(8, seed=0, stage="x"), lambda rows: None, np.full(8, 5), np.zeros(8, bool),
            spec=TrainingSpec(), seed=0, stage="x",
        )  # fmt: skip


def test_hinges_by_hand():
    """Two classes on the plane's axes: distances 0 and sqrt(2), whatever the feature's length."""
    prototypes = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    features = torch.tensor([[5.0, 0.0], [5.0, 0.0], [1.0, 1.0]])
    losses = contrastive_losses(features, torch.tensor([0, 1, 0]), prototypes, 0.5)
    torch.testing.assert_close(losses, torch.tensor([0.0, 2**0.5 + 0.5, 0.5]))


def test_of_several_prototypes_the_nearest_counts():
    random = torch.Generator().manual_seed(0)
    prototypes = torch.nn.functional.normalize(torch.randn(3, 4, 6, generator=random), dim=2)
    features, labels = torch.randn(10, 6, generator=random), torch.arange(10) % 3
    by_hand = []
    for feature, label in zip(features / features.norm(dim=1, keepdim=True), labels.tolist(), strict=True):
        nearest = [min(float((feature - p).norm()) for p in cell) for cell in prototypes]
        by_hand.append(max(0.0, nearest[label] - min(d for i, d in enumerate(nearest) if i != label) + 0.5))
    losses = contrastive_losses(features, labels, prototypes, 0.5)
    np.testing.assert_allclose(losses.numpy(), by_hand, rtol=1e-4, atol=1e-5)


def test_the_loss_has_a_finite_gradient_at_a_prototype():
    feature = torch.tensor([[2.0, 0.0]], requires_grad=True)
    contrastive_losses(feature, torch.tensor([0]), torch.tensor([[[1.0, 0.0]], [[0.9, 0.1]]]), 1.0).sum().backward()
    assert bool(feature.grad.isfinite().all())


def test_prototypes_are_means_of_normalised_features_of_the_majority():
    random = np.random.default_rng(0)
    features, labels = torch.from_numpy(random.normal(size=(40, 6)).astype(np.float32)), random.integers(0, 2, 40)
    majority = random.random(40) < 0.6
    made = majority_prototypes(features, labels, majority, 2, 1, 0)
    for label in (0, 1):
        rows = features[torch.from_numpy(majority & (labels == label))].numpy()
        mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(0)
        np.testing.assert_allclose(made[label, 0].numpy(), mean / np.linalg.norm(mean), rtol=1e-5)
    with pytest.raises(BadInput, match="class 0 has"):
        majority_prototypes(features, labels, majority, 2, 30, 0)


def test_several_prototypes_find_a_cell_s_clusters():
    random = np.random.default_rng(0)
    centres = np.eye(6, dtype=np.float32)[:3]
    features = torch.from_numpy(np.repeat(centres, 20, 0) + random.normal(size=(60, 6)).astype(np.float32) * 0.01)
    labels = np.zeros(60, dtype=np.int64)
    made = majority_prototypes(features, labels, np.ones(60, bool), 1, 3, 0)[0].numpy()
    np.testing.assert_allclose(np.sort((made @ centres.T).max(1)), np.ones(3), atol=0.01)
    assert sorted((made @ centres.T).argmax(1)) == [0, 1, 2]


def anchors(**more):
    labels = np.array([0] * 90 + [1] * 10)
    lower = lower_states(fairnet_cases.backbone(), fairnet_cases.sequences(100), 1)
    return Anchors(lower=lower, rows=np.arange(100), labels=labels, **more)


def test_anchors_are_balanced_over_classes():
    drawn = anchors().draw(32, np.random.default_rng(0))
    assert np.bincount(anchors().labels[drawn]).tolist() == [16, 16]
    odd = anchors().draw(33, np.random.default_rng(0))
    assert sorted(np.bincount(anchors().labels[odd])) == [16, 17]


def test_hard_negatives_are_drawn_more_often():
    losses = np.ones(100, np.float32)
    losses[[3, 95]] = 50
    drawn = anchors(losses=losses).draw(2000, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=100)
    assert counts[3] / 1000 == pytest.approx(50 / 139, abs=0.05)
    assert counts[95] / 1000 == pytest.approx(50 / 59, abs=0.05)
    assert anchors(losses=np.zeros(100, np.float32)).draw(10, np.random.default_rng(0)).shape == (10,)


def test_twins_take_part_in_the_adapter_s_training():
    backbone, base = fairnet_cases.trained_base()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    twins = lower_states(backbone, fairnet_cases.sequences(seed=5), 1)
    spec = fairnet_cases.spec(epochs=0.5, adapter={"augmentation": True})
    with_twins = correct(base, replace(rows, twins=twins), spec, 0).adapters["sex"]
    without = correct(base, replace(rows, twins=twins), fairnet_cases.spec(epochs=0.5), 0).adapters["sex"]
    assert with_twins.steps != without.steps
    for absent in (None, lower_states(backbone, fairnet_cases.sequences(10), 1)):
        with pytest.raises(BadInput, match="twins"):
            correct(base, replace(rows, twins=absent), spec, 0)


def test_shut_hinges_are_said_out_loud():
    shut, open_ = AdapterStep(0.5, 0.0, 0.0), AdapterStep(0.5, 0.1, 0.25)
    assert AdapterFit(steps=(shut, open_)).open_hinges == 0.125 and AdapterFit(steps=(shut, open_)).warnings == ()
    assert "no hinge was open" in AdapterFit(steps=(shut, shut)).warnings[0]
    made = fairnet_cases.corrected()
    silent = replace(made, adapters={"sex": AdapterFit(steps=(shut,))})
    assert silent.warnings[0].startswith("sex: no hinge")


def test_partial_regime_knows_a_share_and_nothing_of_the_others():
    vulnerable = np.random.default_rng(0).random(200) < 0.3
    spec = DetectorSpec(regime="partial", label_share=0.1)
    known = known_groups(vulnerable, None, spec, 0, "x")
    assert len(known.rows) == 20 == len(np.unique(known.rows))
    assert known.vulnerable.tolist() == vulnerable[known.rows].tolist()
    assert known_groups(vulnerable, None, spec, 1, "x").rows.tolist() != known.rows.tolist()
    full = known_groups(vulnerable, None, DetectorSpec(), 0, "x")
    assert full.rows.tolist() == list(range(200)) and full.vulnerable.tolist() == vulnerable.tolist()


def test_in_the_partial_regime_unknown_groups_change_nothing():
    backbone, base = fairnet_cases.trained_base()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    spec = fairnet_cases.spec(epochs=1, detector={"regime": "partial", "label_share": 0.5, "kind": "group"})
    known = known_groups(rows.vulnerable["sex"], None, spec.detector, 0, "labels of sex").rows
    lied = ~rows.vulnerable["sex"]
    lied[known] = rows.vulnerable["sex"][known]
    one, two = (
        correct(base, replace(rows, vulnerable={"sex": said}), spec, 0).fairnet
        for said in (rows.vulnerable["sex"], lied)
    )
    assert not moved(copied(one.detectors["sex"]), two.detectors["sex"])
    assert not moved(copied(one.adapters["sex"]), two.adapters["sex"])


@pytest.mark.parametrize("regime", ["full", "partial"])
def test_rows_without_a_group_are_no_majority(regime):
    backbone, base = fairnet_cases.trained_base()
    rows = fairnet_cases.training_rows(backbone, attributes=("sex",))
    detector = {"regime": regime, "label_share": 0.6, "kind": "group"}
    spec = fairnet_cases.spec(epochs=1, detector=detector)
    grouped = {"sex": np.random.default_rng(2).random(len(rows.labels)) < 0.7}
    said = rows.vulnerable["sex"]
    made = [
        correct(base, replace(rows, vulnerable={"sex": flags}, grouped=known), spec, 0).fairnet
        for flags, known in ((said, grouped), (said ^ ~grouped["sex"], grouped), (said, {}))
    ]
    weights = [(copied(each.detectors["sex"]), copied(each.adapters["sex"])) for each in made]
    assert not moved(weights[0][0], made[1].detectors["sex"]) and not moved(weights[0][1], made[1].adapters["sex"])
    assert moved(weights[0][1], made[2].adapters["sex"]), "they stand for the majority: nothing is tested"


@pytest.mark.parametrize("method", ["lof", "isolation_forest"])
def test_outliers_are_the_rows_far_from_all_others(method):
    random = np.random.default_rng(0)
    features = random.normal(size=(100, 4)).astype(np.float32)
    features[:10] *= 20
    found = outliers(features, method, 0.1, 0)
    far = NearestNeighbors(n_neighbors=21).fit(features).kneighbors(features)[0][:, -1]
    assert int(found.sum()) == 10 and set(np.flatnonzero(found)) == set(np.argsort(-far)[:10])


def test_the_unlabelled_regime_has_one_gate_and_looks_at_no_group():
    backbone, base = fairnet_cases.trained_base()
    rows = replace(fairnet_cases.training_rows(backbone), vulnerable={})
    spec = fairnet_cases.spec(epochs=1, detector={"regime": "unlabelled", "contamination": 0.3, "kind": "group"})
    made = correct(base, rows, spec, 0)
    assert made.fairnet.attributes == ("outliers",)
    with pytest.raises(BadInput, match="no vulnerable group"):
        correct(base, rows, fairnet_cases.spec(), 0)


def test_layers_of_a_spec():
    assert Layers.of(fairnet_cases.spec(backbone={}), 6) == Layers(frozen=4, detector=4, adapter=4)
    published = Layers.of(fairnet_cases.spec(backbone={}, detector={"layer": 6}, adapter={"first_layer": 5}), 12)
    assert published == Layers(frozen=8, detector=6, adapter=5)
    assert (published.cached, published.reran) == (5, True)
    with pytest.raises(BadInput, match=r"layer 3, but the backbone has 3 layers, one above.*\s+where: detector\.layer"):
        Layers.of(fairnet_cases.spec(detector={"layer": 3}), 3)
    with pytest.raises(BadInput, match=r"detector\.layer"):
        Layers.of(fairnet_cases.spec(detector={"layer": 4}), 3)
    with pytest.raises(BadInput, match=r"backbone\.frozen_layers"):
        Layers.of(fairnet_cases.spec(backbone={"frozen_layers": 4}), 3)


def test_rows_that_cannot_be_used_are_refused():
    backbone, base = fairnet_cases.trained_base()
    rows, spec = fairnet_cases.training_rows(backbone), fairnet_cases.spec()
    with pytest.raises(BadInput, match="160 rows, 10 labels"):
        correct(base, replace(rows, labels=rows.labels[:10]), spec, 0)
    with pytest.raises(BadInput, match=r"labels \[0\]"):
        correct(base, replace(rows, labels=rows.labels * 0), spec, 0)
    with pytest.raises(BadInput, match="states after 2 layers"):
        correct(base, replace(rows, lower=lower_states(backbone, fairnet_cases.sequences(), 2)), spec, 0)
    one_class = {"sex": rows.vulnerable["sex"] & (rows.labels == 0)}
    with pytest.raises(BadInput, match=r"labels \[0\] only"):
        correct(base, replace(rows, vulnerable=one_class), fairnet_cases.spec(detector={"kind": "group"}), 0)
    with pytest.raises(BadInput, match="no rows"):
        lower_states(backbone, [], 1)


def test_lower_states_are_each_row_s_own():
    backbone = fairnet_cases.backbone()
    sequences = fairnet_cases.sequences(20)
    lower = lower_states(backbone, sequences, 2, batch_rows=6)
    batch = lower.batch(np.array([7, 3]))
    for place, row in enumerate((7, 3)):
        ids = torch.tensor([sequences[row]])
        alone = backbone.run(backbone.embed(type(fairnet_cases.batch(backbone))(ids, ids > 0)), 0, 2).hidden[0]
        assert int(batch.mask[place].sum()) == len(sequences[row])
        torch.testing.assert_close(batch.hidden[place, : len(sequences[row])], alone, rtol=1e-4, atol=1e-5)
    assert not bool(batch.hidden[~batch.mask].any())
    assert copy.copy(lower) == lower and len(lower) == 20
