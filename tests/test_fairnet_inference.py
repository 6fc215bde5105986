"""One pass decides as two do, closed gates leave the base model as it is, bit for bit, and no gate opens on NaN."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import fairnet_cases
from equiray.errors import BadInput
from equiray.mitigation.fairnet import lower_states, one_pass, subset_probabilities, two_pass, two_pass_stopped
from equiray.mitigation.fairnet.gates import Opened, gates
from equiray.mitigation.fairnet.inference import from_states
from equiray.mitigation.fairnet.support import Support

every_family = pytest.mark.parametrize("family", ["bert", "llama", "vit"])
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def halfway(fairnet, batch):
    """The same FairNet with thresholds that open each gate for about half of the rows."""
    risk = one_pass(replace(fairnet, support=None), batch).risk
    middle = dict(zip(fairnet.attributes, risk.median(0).values.tolist(), strict=True))
    return replace(fairnet, thresholds=middle)


def base_logits(fairnet, batch):
    backbone = fairnet.classifier.backbone
    with torch.inference_mode():
        with backbone.computing():
            states = backbone.embed(batch)
        return fairnet.classifier.logits(states, 0)


def example(family="bert", dtype=torch.float32, **layers):
    made = fairnet_cases.corrected(family, dtype=dtype, **layers).fairnet
    batch = fairnet_cases.batch(made.classifier.backbone)
    return halfway(made, batch), batch


@every_dtype
@every_family
def test_a_closed_gate_is_the_base_model_bit_for_bit(family, dtype):
    fairnet, batch = example(family, dtype)
    made, base = one_pass(fairnet, batch), base_logits(fairnet, batch)
    closed = ~made.open.any(1)
    assert 0 < int(closed.sum()) < len(closed)
    assert torch.equal(made.logits[closed], base[closed])
    assert bool((made.logits[~closed] != base[~closed]).any(1).all())


@every_dtype
@every_family
def test_one_pass_is_two_passes(family, dtype):
    fairnet, batch = example(family, dtype)
    ours = one_pass(fairnet, batch)
    for peer in (two_pass(fairnet, batch), two_pass_stopped(fairnet, batch)):
        for mine, theirs in zip(ours, peer, strict=True):
            assert torch.equal(mine, theirs)


@every_family
def test_the_published_layers_rerun_the_detectors_own(family):
    fairnet, batch = example(family, layer=2, first_layer=1)
    assert fairnet.layers.reran and fairnet.layers.cached == 1
    ours, theirs, base = one_pass(fairnet, batch), two_pass(fairnet, batch), base_logits(fairnet, batch)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(ours.risk, theirs.risk)
    closed = ~ours.open.any(1)
    assert 0 < int(closed.sum()) < len(closed) and torch.equal(ours.logits[closed], base[closed])


def test_each_row_is_as_if_it_stood_alone():
    """Gates per sample, by the other route: each row in a batch of its own with its own gates."""
    fairnet, batch = example()
    made, backbone = one_pass(fairnet, batch), fairnet.classifier.backbone
    for row in range(len(batch.ids)):
        one = backbone.embed(type(batch)(batch.ids[row : row + 1], batch.mask[row : row + 1]))
        adapters = [a for a, is_open in zip(fairnet.adapters.values(), made.open[row], strict=True) if is_open]
        with torch.no_grad(), gates(backbone, [Opened(adapter, None) for adapter in adapters]):
            alone = fairnet.classifier.logits(one, 0)
        torch.testing.assert_close(made.logits[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_adapters_add():
    """With both gates open the projections move by the sum of what each adapter moves them."""
    fairnet, _ = example()
    backbone = fairnet.classifier.backbone
    place = backbone.projections(2)["value"]
    x = torch.randn(5, 3, backbone.width, generator=torch.Generator().manual_seed(0))

    def moved(names):
        with torch.no_grad(), gates(backbone, [Opened(fairnet.adapters[name], None) for name in names]):
            return place(x)

    expected = moved([]) + sum(moved([name]) - moved([]) for name in ("sex", "race"))
    torch.testing.assert_close(moved(["sex", "race"]), expected)
    low = fairnet.adapters["sex"].layers["2_value"]
    torch.testing.assert_close(moved(["sex"]) - moved([]), 16 / 8 * x @ low.a.T @ low.b.T, rtol=1e-4, atol=1e-5)


def test_a_gate_opens_strictly_above_its_threshold():
    fairnet, batch = example()
    risk = one_pass(fairnet, batch).risk
    at_a_row = dict(zip(fairnet.attributes, risk[3].tolist(), strict=True))
    made = one_pass(replace(fairnet, thresholds=at_a_row), batch)
    assert not made.open[3].any()
    assert torch.equal(made.open, made.risk > risk[3])


def test_outside_the_support_no_gate_opens():
    fairnet, batch = example()
    width = fairnet.classifier.backbone.width
    nowhere = Support(torch.zeros(width), torch.eye(width), torch.tensor(0.0))
    made = one_pass(replace(fairnet, support=nowhere, thresholds={"sex": -1.0, "race": -1.0}), batch)
    assert bool(made.risk.isnan().all()) and not bool(made.open.any())
    assert torch.equal(made.logits, base_logits(fairnet, batch))


def test_support_is_a_quantile_of_training_distances():
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.normal(size=(400, 4)).astype(np.float32)) * torch.tensor([1.0, 5.0, 0.1, 2.0])
    support = Support.fit(features, 0.1)
    assert float(support.inside(features).float().mean()) == pytest.approx(0.9, abs=0.005)
    centred = (features - features.mean(0)).double()
    by_hand = (centred @ torch.linalg.inv(centred.T @ centred / 400) * centred).sum(1).sqrt()
    torch.testing.assert_close(support.distance(features).double(), by_hand, rtol=0.1, atol=0.05)
    assert not bool(support.inside(features + 100).any())


@pytest.mark.parametrize("layers", [{}, {"layer": 2, "first_layer": 1}, {"layer": 1, "first_layer": 2}], ids=str)
def test_every_subset_of_gates_is_the_gated_output_of_the_rows_that_open_it(layers):
    fairnet, batch = example(**layers)
    lower = lower_states(fairnet.classifier.backbone, fairnet_cases.sequences()[:24], fairnet.layers.cached)
    kept = subset_probabilities(fairnet, lower)
    decided = one_pass(fairnet, batch)
    assert kept.probability.shape == (24, 4)
    np.testing.assert_allclose(kept.risk, decided.risk.numpy(), rtol=1e-4, atol=1e-5)
    subset = decided.open.long() @ torch.tensor([1, 2])
    assert len(subset.unique()) == 4
    chosen = kept.probability[np.arange(24), subset.numpy()]
    np.testing.assert_allclose(chosen, decided.logits.softmax(1)[:, 1].numpy(), rtol=1e-4, atol=1e-5)


def test_more_than_three_gates_are_computed_on_demand():
    made, _ = example()
    four = {f"{name}{i}": part for i in (1, 2) for name, part in made.adapters.items()}
    detectors = {f"{name}{i}": part for i in (1, 2) for name, part in made.detectors.items()}
    fairnet = replace(made, adapters=four, detectors=detectors)
    lower = lower_states(made.classifier.backbone, fairnet_cases.sequences()[:24], 1)
    with pytest.raises(BadInput, match="4 gates have 16 subsets"):
        subset_probabilities(fairnet, lower)
    some = subset_probabilities(fairnet, lower, subsets=(0, 1))
    np.testing.assert_allclose(some.probability, subset_probabilities(made, lower).probability[:, :2], rtol=1e-5)


def test_cached_states_decide_as_the_whole_does():
    fairnet, batch = example()
    lower = lower_states(fairnet.classifier.backbone, fairnet_cases.sequences()[:24], 1)
    made = from_states(fairnet, lower.batch(np.arange(24)), 1)
    torch.testing.assert_close(made.logits, one_pass(fairnet, batch).logits, rtol=1e-4, atol=1e-5)
