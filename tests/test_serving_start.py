"""What `equiray serve` refuses before anything starts: exit 3, and a line that says what to do."""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bundles_made import equiray
from equiray.errors import BadInput, Incomplete
from equiray.serving.live import check_live
from equiray.serving.proxy import Unreachable
from equiray.serving.starting import _exception_in, _make_folder_of
from equiray.specs.serve_config import load_serve_config
from served import config_of

NOWHERE = Path("/nowhere/bundle")


def written(folder: Path, bundle: Path = NOWHERE, **changes: object) -> Path:
    (folder / "serve.yaml").write_text(yaml.safe_dump(config_of(bundle, folder, **changes)))
    return folder / "serve.yaml"


def test_a_host_that_others_reach_must_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("serve", written(tmp_path), "--host", "0.0.0.0") == 3
    assert "host 0.0.0.0 is open to other machines" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"])
def test_modes_that_lead_past_the_guard(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, mode: str):
    monkeypatch.setenv(mode, "1")
    assert equiray("serve", written(tmp_path)) == 3
    said = capsys.readouterr().err
    assert f"{mode}=1 bypasses the guard" in said and f"unset {mode}" in said


def test_a_bundle_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("serve", written(tmp_path)) == 3
    assert str(NOWHERE) in capsys.readouterr().err


def test_wrong_keys_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("serve", written(tmp_path, batchin={"rows": 3}, limits={"rows": 0})) == 3
    said = capsys.readouterr().err
    assert "batchin" in said and "limits.rows" in said


@pytest.mark.parametrize("deployment", ["Decider", "Shadow"])
@pytest.mark.parametrize(
    ("live", "said"),
    [
        ({"gates": {"age": 0.5}}, "no gate is called 'age'"),
        ({"threshold": "high"}, "threshold"),
        ({"treshold": 0.5}, "treshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"gates": {"sex": float("nan")}}, "gates.sex"),
    ],
)
def test_live_settings_that_no_replica_would_take(tmp_path: Path, monkeypatch, live: dict, said: str, deployment: str):
    fairnet = SimpleNamespace(thresholds={"sex": 0.5})
    manifest = SimpleNamespace(parts=SimpleNamespace(fairnet=fairnet))
    monkeypatch.setattr("equiray.serving.live.read_manifest", lambda path: manifest)
    document = config_of(NOWHERE, tmp_path, shadow=str(NOWHERE))
    document["applications"][0]["deployments"] = [{"name": deployment, "user_config": live}]
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(document))
    config = load_serve_config(tmp_path / "serve.yaml", "equiray.serving:build")
    with pytest.raises(BadInput, match=said):
        check_live(config, "equiray.serving:build")


def test_a_deployment_that_there_is_not_is_named(tmp_path: Path):
    document = config_of(NOWHERE, tmp_path)
    document["applications"][0]["deployments"] = [{"name": "Dceider", "user_config": {}}]
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match="Dceider"):
        check_live(load_serve_config(tmp_path / "serve.yaml", "equiray.serving:build"), "equiray.serving:build")


def test_of_a_traceback_all_that_the_exception_says_is_told():
    traceback = 'Traceback (most recent call last):\n  File "x", line 1\n'
    said = _exception_in(f"{traceback}equiray.errors.BadInput: 7 is wrong\n  fix:   8\n")
    assert said == "equiray.errors.BadInput: 7 is wrong; fix: 8"
    assert _exception_in("the node is gone\n") == "the node is gone"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file"):
        _make_folder_of(f"sqlite:///{tmp_path}/file/below/store.db")


def test_a_config_that_is_no_yaml_or_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("serve", tmp_path / "absent.yaml") == 3
    assert "absent.yaml" in capsys.readouterr().err
    (tmp_path / "broken.yaml").write_text("a: [")
    assert equiray("serve", tmp_path / "broken.yaml") == 3
    assert "broken.yaml" in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("equiray.serving.starting.application", lambda args: None)  # the bundle is another test's
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert equiray("serve", written(tmp_path), "--port", port) == 3
    said = capsys.readouterr().err
    assert "Address already in use" in said and f"port {port}" in said and "--port 0" in said


@pytest.mark.parametrize(
    ("deployments", "said"),
    [
        ([("Watch", "Traceback:\n  File x\nValueError: no such file\n\n")], "Watch: ValueError: no such file"),
        ([], "deploying failed"),
    ],
)
def test_what_a_deployment_raised_is_said(deployments: list[tuple[str, str]], said: str):
    from ray.serve._private.application_state import ApplicationStatusInfo, StatusOverview
    from ray.serve._private.common import DeploymentStatus, DeploymentStatusInfo, DeploymentStatusTrigger
    from ray.serve.schema import ApplicationStatus

    from equiray.serving.starting import _wait_until_running

    trigger = DeploymentStatusTrigger.REPLICA_STARTUP_FAILED
    failed = [
        DeploymentStatusInfo(name, DeploymentStatus.DEPLOY_FAILED, trigger, message) for name, message in deployments
    ]
    whole = ApplicationStatusInfo(ApplicationStatus.DEPLOY_FAILED, "deploying failed", 0.0)

    class Client:
        def list_serve_statuses(self) -> list[StatusOverview]:
            return [StatusOverview(app_status=whole, name="equiray", deployment_statuses=failed)]

    with pytest.raises(Incomplete, match=f"did not start: {said}$"):
        _wait_until_running(Client())


@pytest.mark.parametrize(
    ("status", "headers", "becomes"),
    [
        (200, [(b"content-type", b"application/json")], 200),
        (404, [(b"content-type", b"application/json")], 404),  # the application's own
        (404, [(b"content-type", b"text/plain")], 503),  # the proxy knows no route yet
        (503, [(b"retry-after", b"1")], 503),
        (503, [], 503),
        (500, [(b"content-type", b"text/plain")], 503),
        (None, [], 503),  # a replica died: the proxy ends without a word
    ],
)
def test_what_the_proxy_says_alone_becomes_503(status: int | None, headers: list[tuple[bytes, bytes]], becomes: int):
    import asyncio

    sent: list[dict] = []

    async def proxy(scope, receive, send) -> None:
        if status is not None:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"of the inside"})

    async def send(message) -> None:
        sent.append(dict(message))

    async def receive() -> dict:
        return {"type": "http.request", "body": b""}

    asyncio.run(Unreachable(proxy)({"type": "http", "method": "GET", "path": "/"}, receive, send))
    start, body = sent
    assert start["status"] == becomes
    kept = becomes == status and (becomes != 503 or headers != [])
    assert (body["body"] == b"of the inside") == kept
    if becomes == 503:
        assert b"retry-after" in dict(start["headers"])
