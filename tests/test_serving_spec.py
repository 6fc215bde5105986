"""What may stand in serve/config.yaml, and what is said about what may not."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from equiray.errors import BadInput
from equiray.serving.decisions.bodies import DecisionsAnswer, DecisionsRequest
from equiray.serving.guard.refusals import Refused, refusal_document
from equiray.serving.routes import OutcomesAnswer, OutcomesRequest
from equiray.specs.serve_config import load_serve_config
from equiray.specs.serving import serve_spec

ROOT = Path(__file__).parents[1]
BUILD = "equiray.serving:build"
AUDIT = {"store": "sqlite:///serving.db", "secrets": "secrets"}


def contract() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docs/contracts/serve.yaml").read_text())


def test_the_contract_has_every_key_and_is_a_spec():
    written = contract()
    spec = serve_spec(written)
    assert set(written) == {name.removesuffix("_") for name in type(spec).model_fields}
    for part in ("chat", "audit", "on_fail", "limits", "batching", "gateway", "decider"):
        assert set(written[part]) == set(type(getattr(spec, part)).model_fields), part


WRONG = {
    "unknown key": ({"bundel": "x"}, "bundel"),
    "nothing to serve": (
        {"bundle": None, "chat": None, "shadow": None, "fallback": None, "on_fail": {}},
        "nothing to serve",
    ),
    "fallback unused": ({"on_fail": {"do": "log"}}, "need each other"),
    "range turned round": ({"decider": {"least": 3, "most": 2}}, "`most` \\(2\\) is below `least` \\(3\\)"),
    "temperature": ({"chat": {"bundle": "x", "risk": 1}}, "chat.risk"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named(kind: str):
    change, words = WRONG[kind]
    with pytest.raises(BadInput, match=words):
        serve_spec(contract() | change)


def config(folder: Path, **changes: Any) -> Path:
    application = {
        "name": "equiray",
        "import_path": BUILD,
        "args": {"schema": "equiray.serve/1", "bundle": "b", "audit": AUDIT},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"applications": [application | changes]}))
    return path


def test_paths_are_made_absolute_for_replicas_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = config(tmp_path)
    monkeypatch.chdir(tmp_path)
    loaded = load_serve_config(file, BUILD)
    assert loaded.spec.bundle == str(tmp_path / "b") and loaded.spec.audit.secrets == str(tmp_path / "secrets")
    assert loaded.spec.audit.store == f"sqlite:///{tmp_path / 'serving.db'}"
    assert (loaded.host, loaded.port) == ("127.0.0.1", 8000)
    assert loaded.document["applications"][0]["args"]["bundle"] == loaded.spec.bundle


def test_a_config_without_our_application_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="0 applications with `import_path"):
        load_serve_config(config(tmp_path, import_path="other:app"), BUILD)


def test_the_config_that_comes_with_equiray_is_one_that_ray_serve_takes():
    from ray.serve.schema import ServeDeploySchema

    path = ROOT / "serve/config.yaml"
    ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    assert load_serve_config(path, BUILD).spec.bundle is not None


def test_the_examples_of_bodies_are_bodies():
    written = json.loads((ROOT / "docs/contracts/decisions.json").read_text())
    models = {
        "request": DecisionsRequest,
        "answer": DecisionsAnswer,
        "refused": DecisionsAnswer,
        "outcomes_request": OutcomesRequest,
        "outcomes_answer": OutcomesAnswer,
    }
    for name, model in models.items():
        assert model.model_validate(written[name]).model_dump() == written[name], name
    error = written["error"]["error"]
    refused = Refused(422, error["code"], error["message"], param=error["param"])
    assert refusal_document(refused) == written["error"]
