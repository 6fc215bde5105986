"""Decisions over HTTP, in this process: the bundle's own, recorded before they are answered."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bundles_made import equiray, fairnet_run
from equiray.bundles.bundle import Bundle, load_bundle
from equiray.data.tasks.load import load_task
from equiray.serving.audit import LogNotWritable, verify_log
from equiray.serving.decisions import service as service_module
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.decisions.service import DecisionService
from equiray.serving.guard.refusals import Refused
from equiray.specs.fairnet import load_fairnet_spec
from equiray.specs.serving import LiveSpec
from serving_apps import KEY, Served, rows_of, served


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fairnet_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    assert equiray("bundle", run, "--pick", "seed0", "--out", run.parent / "bundle") == 0
    return load_bundle(run.parent / "bundle")


@pytest.fixture(scope="module")
def people(run: Path) -> pa.Table:
    spec = load_fairnet_spec(run / "spec.yaml")
    return load_task(spec.tasks[0], 0).split("test").slice(0, 60)


@pytest.fixture(scope="module")
def rows(bundle: Bundle, people: pa.Table) -> list[dict[str, Any]]:
    assert bundle.serializer is not None
    return rows_of(people, [feature.name for feature in bundle.serializer.schema.features])


@pytest.fixture
def app(bundle: Bundle, tmp_path: Path):
    with served(bundle, tmp_path) as made:
        yield made


def asking(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"task": "people", "rows": rows, **more}


def test_answers_are_the_bundles_own_with_gates(app: Served, bundle: Bundle, people: pa.Table, rows):
    gates = dict(zip(("sex", "region"), np.median(bundle.decide(people).risk, axis=0).tolist(), strict=True))
    app.service.configure(LiveSpec(gates=gates))  # some open and some shut
    expected = app.service._now[1].decide(people)
    answer = app.client("decide").post("/v1/decisions", json=asking(rows))
    assert answer.status_code == 200
    body = answer.json()
    assert [one["id"] for one in body["decisions"]] == [f"{body['id']}-{place}" for place in range(len(rows))]
    assert np.array_equal([one["probability"] for one in body["decisions"]], expected.probability)
    assert [bool(one["decision"]) for one in body["decisions"]] == expected.positive.tolist()
    opened = [[one["gates"][gate]["open"] for gate in expected.gates] for one in body["decisions"]]
    assert np.array_equal(opened, expected.open) and 0 < expected.open.sum() < expected.open.size
    risks = [[one["gates"][gate]["risk"] for gate in expected.gates] for one in body["decisions"]]
    assert np.array_equal(np.float32(risks), expected.risk)


def test_an_answer_is_in_the_log_and_people_are_beside_it(app: Served, rows):
    town = [{"town": "big"}] * 3  # no column of the model's
    answer = app.client("decide").post("/v1/decisions", json=asking(rows[:3], attributes=town)).json()
    (record,) = app.log.records()
    assert (record.record_id, record.kind) == (answer["id"], "decision")
    assert record.body == {"task": "people", "decisions": answer["decisions"]}
    assert record.payload is not None and set(record.payload) == {"attributes", "rows_sha256"}
    assert record.payload["attributes"] == [{"sex": row["sex"], "town": "big"} for row in rows[:3]]
    assert verify_log(f"sqlite:///{app.log._database.file}", key=KEY).problems == ()


def test_rows_are_kept_where_the_policy_says_so(bundle: Bundle, tmp_path: Path, rows):
    with served(bundle, tmp_path, keep_rows=True) as app:
        assert app.client("decide").post("/v1/decisions", json=asking(rows[:2])).status_code == 200
        (record,) = app.log.records()
        assert record.payload is not None and record.payload["rows"] == rows[:2]


def test_an_idempotency_key_is_answered_as_the_first_time_and_decided_once(app: Served, rows):
    client = app.client("decide")
    first = client.post("/v1/decisions", json=asking(rows[:2], idempotency_key="once"))
    app.service.configure(LiveSpec(threshold=0.999))
    again = client.post("/v1/decisions", json=asking(rows[:2], idempotency_key="once"))
    assert again.json() == first.json() and app.log.head().length == 1
    other = client.post("/v1/decisions", json=asking(rows[2:4], idempotency_key="once"))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    # another key's idempotency keys are its own
    assert app.client("decide").post("/v1/decisions", json=asking(rows[2:4], idempotency_key="once")).status_code == 200


def test_without_a_record_there_is_no_answer(app: Served, rows, monkeypatch):
    from concurrent.futures import Future

    def refuse(_):
        failed: Future[Any] = Future()
        failed.set_exception(LogNotWritable("disk full"))
        return failed

    monkeypatch.setattr(app.log, "append", refuse)
    answer = app.client("decide").post("/v1/decisions", json=asking(rows[:1]))
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "decisions" not in answer.json() and answer.json()["error"]["code"] == "log_not_writable"


WRONG = {
    "unknown column": (lambda row: {**row, "incom": 1}, "did you mean 'income'"),
    "column absent": (lambda row: {name: row[name] for name in list(row)[1:]}, "no column"),
    "text for a number": (lambda row: {**row, "income": "low"}, "'low' is no value of 'income'"),
    "truth for a number": (lambda row: {**row, "income": True}, "True is no value of 'income'"),
    "number for a text": (lambda row: {**row, "sex": 1}, "1 is no value of 'sex'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_rows_are_named_and_nothing_is_recorded(app: Served, rows, kind: str):
    change, words = WRONG[kind]
    answer = app.client("decide").post("/v1/decisions", json=asking([rows[0], change(rows[1])]))
    assert answer.status_code == 422 and words in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"].startswith("rows.1")
    assert app.log.head().length == 0


def test_other_tasks_scopes_and_sizes_are_refused(bundle: Bundle, tmp_path: Path, rows):
    with served(bundle, tmp_path, rows=5) as app:
        client = app.client("decide")
        assert client.post("/v1/decisions", json={"task": "loans", "rows": rows[:1]}).status_code == 404
        assert client.post("/v1/decisions", json=asking(rows[:6])).status_code == 413
        assert client.post("/v1/decisions", json=asking([])).status_code == 422
        assert app.client("audit").post("/v1/decisions", json=asking(rows[:1])).status_code == 403
        assert client.get("/v1/audit").status_code == 403
        uneven = asking(rows[:2], attributes=[{"sex": "male"}])
        assert client.post("/v1/decisions", json=uneven).status_code == 422


def test_a_key_reads_its_own_records_and_an_admin_all(app: Served, rows):
    one, other = app.client("decide", "audit"), app.client("decide", "audit")
    for client in (one, other, one):
        assert client.post("/v1/decisions", json=asking(rows[:1])).status_code == 200
    assert [record["seq"] for record in one.get("/v1/audit").json()["records"]] == [1, 3]
    assert [record["seq"] for record in app.client("admin").get("/v1/audit").json()["records"]] == [1, 2, 3]
    page = app.client("admin").get("/v1/audit", params={"limit": 2}).json()
    assert page["next_after"] == 2
    rest = app.client("admin").get("/v1/audit", params={"limit": 2, "after": 2}).json()
    assert [record["seq"] for record in rest["records"]] == [3] and rest["next_after"] is None


def test_an_idempotency_key_may_stand_in_the_header(app: Served, rows):
    client, key = app.client(), {"Idempotency-Key": "case-1"}
    first, again = (client.post("/v1/decisions", json=asking(rows[:2]), headers=key).json() for _ in range(2))
    assert first["id"] == again["id"] and app.log.head().length == 1
    assert client.post("/v1/decisions", json=asking(rows[:3]), headers=key).status_code == 409
    assert client.post("/v1/decisions", json=asking(rows[:2], idempotency_key="case-1")).json()["id"] == first["id"]


def test_a_whole_number_beyond_2_to_the_53_is_a_number_like_another(app: Served, rows):
    numeric = next(name for name, value in rows[0].items() if isinstance(value, float))
    answer = app.client().post("/v1/decisions", json=asking([rows[0] | {numeric: 2**53 + 1}]))
    assert answer.status_code == 200, answer.text


def test_what_nobody_foresaw_in_one_request_stays_with_it(bundle: Bundle, rows, monkeypatch):
    real = service_module.table_of

    def breaks(asked: Any, schema: Any) -> Any:
        if len(asked) == 3:
            raise ZeroDivisionError
        return real(asked, schema)

    monkeypatch.setattr(service_module, "table_of", breaks)
    service = DecisionService(bundle)
    first, second, third = service.decide([Asked(task="people", rows=rows[:count]) for count in (2, 3, 4)])
    assert isinstance(second, Refused) and second.status == 422
    assert isinstance(first, Decided) and len(first.decisions) == 2
    assert isinstance(third, Decided) and len(third.decisions) == 4


def test_an_attribute_that_the_task_does_not_have_is_named(app: Served, rows):
    refused = app.client().post("/v1/decisions", json=asking(rows[:1], attributes=[{"raec": "x"}]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_attribute")
    assert "raec" in refused.json()["error"]["message"] and app.log.head().length == 0


def test_nothing_is_ready_while_limits_cannot_be_checked(app: Served):
    assert app.client().get("/readyz").text == "ready"

    async def unknown() -> None:
        raise Refused(503, "limiter_unavailable", "not now", retry_after=1)

    app.app.state.services.check_limits = unknown
    refused = app.client().get("/readyz")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_outcomes_come_later_and_are_recorded(app: Served, rows):
    client = app.client("decide", "outcomes")
    decided = client.post("/v1/decisions", json=asking(rows[:2])).json()["decisions"]
    said = {"outcomes": [{"decision_id": one["id"], "label": 1} for one in decided]}
    answer = client.post("/v1/outcomes", json=said)
    assert answer.status_code == 200 and answer.json()["taken"] == 2
    record = app.log.records()[-1]
    assert (record.kind, record.body["outcomes"]) == ("outcome", said["outcomes"])
    wrong = {"outcomes": [{"decision_id": decided[0]["id"], "label": 2}]}
    assert client.post("/v1/outcomes", json=wrong).status_code == 422


def test_live_thresholds_change_decisions_and_the_version(bundle: Bundle, rows):
    service = DecisionService(bundle)
    asked = Asked(task="people", rows=rows)
    (before,) = service.decide([asked])
    probabilities = [one["probability"] for one in before.decisions]
    middle = float(np.median(probabilities))
    version = service.configure(LiveSpec(threshold=middle, gates={"sex": 2.0}))
    (after,) = service.decide([asked])
    assert after.model_version == version != before.model_version
    assert not any(one["gates"]["sex"]["open"] for one in after.decisions)
    assert all(one["decision"] == (np.float32(one["probability"]) > np.float32(middle)) for one in after.decisions)
    with pytest.raises(Exception, match=r"no gate is called 'age'"):
        service.configure(LiveSpec(gates={"age": 0.5}))
    assert service.model_version == version
    service.configure(LiveSpec())
    assert service.decide([asked]) == [before]


def test_requests_decided_together_are_decided_as_alone_and_one_refusal_stops_no_other(bundle: Bundle, rows):
    service = DecisionService(bundle)
    asked = [Asked(task="people", rows=rows[start : start + 7]) for start in range(0, 42, 7)]
    wrong = Asked(task="loans", rows=rows[:1])
    together = service.decide([asked[0], wrong, *asked[1:]])
    assert isinstance(together.pop(1), Refused)
    for alone, found in zip(asked, together, strict=True):
        (expected,) = service.decide([alone])
        assert isinstance(found, Decided) and isinstance(expected, Decided)
        assert [one["decision"] for one in found.decisions] == [one["decision"] for one in expected.decisions]
        both = zip(found.decisions, expected.decisions, strict=True)
        assert max(abs(a["probability"] - b["probability"]) for a, b in both) < 1e-2  # bfloat16: padding differs


def test_deterministic_decisions_have_equal_bits_in_any_company(bundle: Bundle, rows):
    service = DecisionService(bundle, deterministic=True)
    (together,) = service.decide([Asked(task="people", rows=rows[:20])])
    backwards = service.decide([Asked(task="people", rows=[row]) for row in reversed(rows[:20])])
    assert [one.decisions[0] for one in reversed(backwards)] == together.decisions
