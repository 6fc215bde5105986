"""Where language models come from: directories, GGUF, the embedded one; and what each bad source is told."""

import json
import shutil
import time

import pytest
import torch

import tiny_models
from equiray.errors import BadInput
from equiray.models.loading import check_source, load_causal_lm


@pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))
def test_a_saved_directory_comes_back(architecture, tmp_path):
    made = tiny_models.tiny(architecture, chat=True)
    directory = tiny_models.save(made, tmp_path / "model")
    check_source(str(directory))
    lm = load_causal_lm(str(directory), dtype="float32", device=torch.device("cpu"))
    ids = torch.tensor([[5, 6, 7, 8]])
    for model in (lm.model, made.model):
        model.config._attn_implementation = "eager"
    with torch.no_grad():
        torch.testing.assert_close(lm.model(ids).logits, made.model(ids).logits)
    tied = lm.model.get_output_embeddings().weight is lm.model.get_input_embeddings().weight
    assert tied == bool(lm.model.config.tie_word_embeddings)
    head = sum(p.numel() for p in made.model.get_output_embeddings().parameters())
    backbone = sum(p.numel() for p in made.backbone.parameters())
    assert lm.parameters == backbone + (0 if tied else head)
    assert not lm.model.training
    assert lm.tokenizer.chat_template
    assert lm.pad_id == tiny_models.SPECIAL.index("<pad>")
    assert len(lm.identity) == 64


def test_identity_follows_the_weights(tmp_path):
    identities = []
    for seed in (0, 0, 1):
        directory = tiny_models.save(tiny_models.tiny("llama", seed=seed), tmp_path / f"{len(identities)}")
        identities.append(load_causal_lm(str(directory), dtype="float32").identity)
    assert identities[0] == identities[1] != identities[2]


def test_a_tokenizer_without_pad_token_uses_its_end_of_text(tmp_path):
    directory = tiny_models.save(tiny_models.tiny("gpt2"), tmp_path / "model")
    tiny_models.tokenizer(pad=False).save_pretrained(directory)
    lm = load_causal_lm(str(directory))
    assert lm.pad_id == tiny_models.SPECIAL.index("</s>")
    assert lm.model.dtype == torch.bfloat16
    assert lm.tokenizer.chat_template is None


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("tokenizer*", "holds no tokenizer"),
        ("config.json", "holds no config.json"),
        ("*.safetensors", "holds no weights"),
    ],
)
def test_an_incomplete_directory(tmp_path, missing, problem):
    directory = tiny_models.save(tiny_models.tiny("llama"), tmp_path / "model")
    for file in directory.glob(missing):
        file.unlink()
    for check in (check_source, load_causal_lm):
        with pytest.raises(BadInput, match=problem):
            check(str(directory))


def test_a_torn_weight_file(tmp_path):
    directory = tiny_models.save(tiny_models.tiny("llama"), tmp_path / "model")
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BadInput, match="cannot load the language model"):
        load_causal_lm(str(directory))


def test_weights_of_another_shape_than_the_config_says(tmp_path):
    directory = tiny_models.save(tiny_models.tiny("llama"), tmp_path / "model")
    config = directory / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 64}))
    with pytest.raises(BadInput, match=r"cannot load the language model .*: RuntimeError: "):
        load_causal_lm(str(directory))


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("tokenizer.json", "{}", "KeyError"),
        ("tokenizer.json", "{", "JSONDecodeError"),
        ("tokenizer_config.json", "{", "JSONDecodeError"),
        ("config.json", "{", "OSError"),
        ("config.json", "{}", "ValueError"),
    ],
)
def test_a_broken_file_is_known_before_any_compute(tmp_path, file, text, named):
    directory = tiny_models.save(tiny_models.tiny("llama"), tmp_path / "model")
    (directory / file).write_text(text)
    for check in (check_source, load_causal_lm):
        with pytest.raises(BadInput, match=f"cannot load the language model .*: {named}: "):
            check(str(directory))


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "cache").write_text("a file, no folder")
    monkeypatch.setenv("EQUIRAY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match="set EQUIRAY_CACHE to a writable folder") as caught:
        load_causal_lm(str(tmp_path / "model.gguf"))
    assert caught.value.place == f"the cache {tmp_path / 'cache'}"


def test_a_torn_gguf_is_no_fault_of_the_cache(tmp_path, monkeypatch):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("EQUIRAY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match=r"cannot load the language model .*model.gguf"):
        load_causal_lm(str(tmp_path / "model.gguf"))
    assert not list((tmp_path / "cache" / "models").iterdir())


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("./nowhere", "no model directory at"),
        ("a/b/c", "no model directory at"),
        ("nowhere.gguf", "no GGUF file at"),
        ("no such thing!", "neither a file nor a directory"),
    ],
)
def test_sources_that_are_nowhere(source, problem):
    for check in (check_source, load_causal_lm):
        with pytest.raises(BadInput, match=problem):
            check(source)


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"<html>not found</html>")
    with pytest.raises(BadInput, match="not a GGUF file"):
        check_source(str(tmp_path / "model.gguf"))


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    start = time.perf_counter()
    for check in (check_source, load_causal_lm):
        with pytest.raises(BadInput, match="the hub does not give it: no route"):
            check("nobody/no-such-model")
    assert time.perf_counter() - start < 5


@pytest.mark.slow
def test_the_embedded_gguf_by_path_and_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIRAY_CACHE", str(tmp_path / "cache"))
    embedded = load_causal_lm("embedded")
    assert embedded.name == "SmolLM2-135M-Instruct"
    assert round(embedded.parameters / 1e6, 1) == 134.5
    assert embedded.model.get_output_embeddings().weight is embedded.model.get_input_embeddings().weight
    (converted,) = (tmp_path / "cache" / "models").iterdir()
    from equiray.models.sources import _embedded_file  # the one test that must know where the package lies

    copy = shutil.copy(_embedded_file(), tmp_path / "mine.gguf")
    start = time.perf_counter()
    again = load_causal_lm(str(copy))
    assert time.perf_counter() - start < 15  # the same bytes, converted before
    assert (again.name, again.identity) == ("mine", embedded.identity)
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [converted.name]
    ids = embedded.tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        token = embedded.model(**ids).logits[0, -1].argmax()
    assert embedded.tokenizer.decode(token) == " Paris"
