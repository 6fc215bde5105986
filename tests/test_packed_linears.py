"""Packed linear layers multiply as torch's own, bit for bit, and step aside where they would be wrong."""

import copy
import pickle

import pytest
import torch
from peft import LoraConfig, get_peft_model

from equiray.models import packed_linears
from equiray.models.packed_linears import PackedLinear, pack_linears
from tiny_models import tiny


def packed(bias: bool = True, dtype: torch.dtype = torch.bfloat16) -> torch.nn.Linear:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(96, 160, bias=bias).to(dtype))
    pack_linears(model)
    layer = model[0]
    assert isinstance(layer, torch.nn.Linear)
    return layer


def by_torch(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, layer.weight, layer.bias)


needs_kernels = pytest.mark.skipif(
    type(packed()) is not PackedLinear, reason="this CPU or this torch has no packed bf16 kernels"
)


@needs_kernels
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 37, 2048])
def test_the_same_bits(bias: bool, rows: int) -> None:
    layer, x = packed(bias), torch.randn(2, rows, 96).bfloat16()
    with torch.inference_mode():
        assert torch.equal(layer(x), by_torch(layer, x))


@needs_kernels
def test_a_changed_weight_is_packed_anew() -> None:
    layer, x = packed(), torch.randn(5, 96).bfloat16()
    with torch.inference_mode():
        before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(2.0)
    with torch.inference_mode():
        assert torch.equal(layer(x), by_torch(layer, x))
        assert not torch.equal(layer(x), before)
    layer.weight = torch.nn.Parameter(torch.randn(160, 96).bfloat16())
    with torch.inference_mode():
        assert torch.equal(layer(x), by_torch(layer, x))


@needs_kernels
def test_a_weight_written_through_data_is_packed_anew() -> None:
    layer, x = packed(), torch.randn(5, 96).bfloat16()
    with torch.inference_mode():
        before = layer(x)
    layer.weight.data += 0.5  # neither the version nor the address changes
    with torch.inference_mode():
        assert torch.equal(layer(x), by_torch(layer, x))
        assert not torch.equal(layer(x), before)


@needs_kernels
def test_gradients_flow_as_without_packing() -> None:
    layer, x = packed(), torch.randn(5, 96).bfloat16().requires_grad_()
    layer(x).sum().backward()
    expected = torch.autograd.grad(by_torch(layer, x).sum(), [x, layer.weight])
    assert x.grad is not None and layer.weight.grad is not None
    assert torch.equal(x.grad, expected[0])
    assert torch.equal(layer.weight.grad, expected[1])


@needs_kernels
def test_copies_and_pickles_work_after_use() -> None:
    layer, x = packed(), torch.randn(5, 96).bfloat16()
    with torch.inference_mode():
        expected = layer(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert type(other) is PackedLinear
            assert torch.equal(other(x), expected)
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_full_precision_stays_torch_s_own() -> None:
    assert type(packed(dtype=torch.float32)) is torch.nn.Linear


def test_large_models_keep_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linears, "MOST_BYTES", 96 * 160 * 2 - 1)
    assert type(packed()) is torch.nn.Linear


@needs_kernels
def test_adapters_wrap_packed_layers() -> None:
    lm = tiny("llama")
    model = lm.model
    torch.nn.Module.to(model, torch.bfloat16)
    pack_linears(model)
    ids = torch.arange(1, 9)[None]
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    with torch.inference_mode():
        packed_logits = adapted(input_ids=ids).logits
    for module in adapted.modules():
        if type(module) is PackedLinear:
            object.__setattr__(module, "__class__", torch.nn.Linear)
    with torch.inference_mode():
        assert torch.equal(packed_logits, adapted(input_ids=ids).logits)


@needs_kernels
@pytest.mark.parametrize("safe", [False, True])
def test_adapters_merge_into_packed_layers_already_used(safe: bool) -> None:
    lm = tiny("llama")
    torch.nn.Module.to(lm.model, torch.bfloat16)
    pack_linears(lm.model)
    ids = torch.arange(1, 9)[None]
    with torch.inference_mode():
        before = lm.model(input_ids=ids).logits
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    merged = get_peft_model(lm.model, config).merge_and_unload(safe_merge=safe)
    with torch.inference_mode():
        logits = merged(input_ids=ids).logits
        assert not torch.equal(logits, before)
        assert torch.equal(logits, copy.deepcopy(merged)(input_ids=ids).logits)  # a copy packs for itself
