"""What follows from a FAIL: actions, alarms to an address, figures for Prometheus; and where bounds come from."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from equiray.bundles.manifest import Manifest
from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.simultaneous import projected
from equiray.policies import load_policy
from equiray.serving.monitor import (
    Bound,
    Failed,
    Monitor,
    OnFail,
    Settings,
    policy_bounds,
    settings_for,
    validation_bounds,
)
from equiray.serving.monitor.actions import action_for
from equiray.serving.monitor.alerts import WAITING_AT_MOST, Webhook
from monitor_cases import stream

CONTRACTS = Path(__file__).parents[1] / "docs" / "contracts"
GAP = Bound(metric="demographic_parity_difference", attribute="sex", side="max", value=0.1)
SEX = Settings(attributes=("sex",), bounds=(GAP,))


@pytest.mark.parametrize(
    ("on_fail", "failures", "accepted", "expected"),
    [
        (OnFail(), {}, (), ("answer", "new", "")),
        (OnFail(), {"new": "gap"}, (), ("answer", "new", "gap")),
        (OnFail(do="refuse"), {}, (), ("answer", "new", "")),
        (OnFail(do="refuse"), {"new": "gap"}, (), ("refuse", None, "gap")),
        (OnFail(do="refuse"), {"new": "gap"}, ("new",), ("answer", "new", "")),
        (OnFail(do="refuse"), {"old": "gap"}, (), ("answer", "new", "")),
        (OnFail(do="fall_back", fallback="old"), {"new": "gap"}, (), ("fall_back", "old", "gap")),
        (OnFail(do="fall_back", fallback="old"), {"new": "gap", "old": "tpr"}, (), ("refuse", None, "gap; old: tpr")),
        (OnFail(do="fall_back", fallback="old"), {"new": "gap", "old": "tpr"}, ("old",), ("fall_back", "old", "gap")),
        (OnFail(do="fall_back", fallback="new"), {"new": "gap"}, (), ("refuse", None, "gap")),
    ],
)
def test_what_the_gateway_must_do(
    on_fail: OnFail, failures: dict[str, str], accepted: tuple[str], expected: tuple
) -> None:
    action = action_for("new", on_fail, failures, accepted)
    assert (action.do, action.by, action.because) == expected


def test_a_monitor_says_what_to_do_and_why() -> None:
    monitor = Monitor(SEX, on_fail=OnFail(do="fall_back", fallback="v0"))
    monitor.take(stream({"f": 0.4, "m": 0.4}, 1000))
    assert monitor.action("v1").do == "answer"
    monitor.take(stream({"f": 0.8, "m": 0.2}, 2000, first=51))
    action = monitor.document(serving="v1")["action"]
    assert action == {"do": "fall_back", "by": "v0", "because": "demographic_parity_difference of sex at most 0.1"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"do": "fall_back"}, "do: fall_back, fallback: None"),
        ({"do": "refuse", "fallback": "v0"}, "do: refuse, fallback: v0"),
        ({"webhook": "example.org"}, "'example.org' is no address"),
    ],
)
def test_policies_that_cannot_be_say_why(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        OnFail(**wrong)  # pyright: ignore[reportArgumentType]


class Taken(ThreadingHTTPServer):
    """Answers with these statuses in turn, the last one ever after, and keeps what came."""

    def __init__(self, statuses: list[int]) -> None:
        came: list[tuple[str, dict]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                came.append((self.headers["Idempotency-Key"], body))
                self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's own name)
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.came = came


@contextmanager
def receiver(*statuses: int) -> Iterator[Taken]:
    server = Taken(list(statuses))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until(true: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # pyright: ignore[reportCallIssue]
        time.sleep(0.01)
    assert true()  # pyright: ignore[reportCallIssue]


def test_an_alarm_is_posted_until_it_is_taken_and_waits_longer_each_time() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    with receiver(500, 503, 200) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/", wait=wait)
        monitor = Monitor(SEX, on_alarm=hook.send)
        monitor.take(stream({"f": 0.8, "m": 0.2}, 2000))
        until(lambda: len(server.came) == 3)
        again = Monitor(SEX, on_alarm=hook.send)  # a monitor that reads the log anew
        again.take(stream({"f": 0.8, "m": 0.2}, 2000)[:60])
        again.take(stream({"f": 0.8, "m": 0.2}, 2000))
        until(lambda: len(server.came) == 4)
        hook.close()
    assert waits == [1, 2]
    assert len({key for key, _ in server.came}) == 1, "the same alarm has the same id"
    body = server.came[0][1]
    assert body["schema"] == "equiray.alarm/1" and body["rule"] == GAP.rule and body["version"] == "v1"
    assert body["e_value"] >= 1 / body["alpha"] == 40


def test_nobody_waits_for_an_address_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    alarm = Failed("x", "v1", GAP.rule, "2026-01-05T10:00:00Z", 1, 1, 50.0, 0.025)
    held, closing = threading.Event(), threading.Event()

    def wait(_: float) -> bool:
        held.wait(20)
        return closing.is_set()

    hook = Webhook("http://127.0.0.1:9/", attempts=3, wait=wait)
    with caplog.at_level(logging.WARNING):
        begun = time.monotonic()
        for _ in range(WAITING_AT_MOST + 2):
            hook.send(alarm)
        assert time.monotonic() - begun < 5, "the thread still waits for its second attempt"
        assert f"{WAITING_AT_MOST} are waiting" in caplog.text
        held.set()
        until(lambda: "(attempt 3 of 3): ConnectError" in caplog.text and "given up" in caplog.text)
        closing.set()
        hook.close(60)
    assert "alerts" not in {thread.name for thread in threading.enumerate()}


def test_prometheus_reads_the_numbers_of_the_document() -> None:
    monitor = Monitor(SEX)
    monitor.take(stream({"f": 0.8, 'm"\n': 0.2}, 2000))
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(monitor.prometheus())
        for sample in family.samples
    }
    (version,) = monitor.document()["versions"]
    (series,) = version["series"]
    labels = {
        "model_version": "v1",
        "metric": GAP.metric,
        "attribute": "sex",
        "group": "",
        "side": "max",
        "source": "policy",
    }
    for word in ("value", "low", "high", "bound", "e_value", "e_needed"):
        assert found[f"equiray_bound_{word}", tuple(sorted(labels.items()))] == pytest.approx(series[word])
    assert found["equiray_bound_verdict", tuple(sorted({**labels, "verdict": "FAIL"}.items()))] == 1
    assert found["equiray_bound_verdict", tuple(sorted({**labels, "verdict": "PASS"}.items()))] == 0
    assert found["equiray_decisions_total", (("model_version", "v1"),)] == 2000
    assert found["equiray_monitor_read_records", ()] == 100
    group = {"attribute": "sex", "group": 'm"\n', "metric": "selection_rate", "model_version": "v1"}
    assert found["equiray_group_rate", tuple(sorted(group.items()))] == pytest.approx(0.2, abs=0.05)


def test_a_policy_is_watched_as_far_as_it_can_be() -> None:
    bounds, left_out = policy_bounds(load_policy("four_fifths").policy, ("sex", "race"))
    assert [bound.rule for bound in bounds] == [f"disparate_impact_ratio of {a} at least 0.8" for a in ("sex", "race")]
    assert left_out == ()
    policy = load_policy(str(CONTRACTS / "policy.yaml")).policy
    bounds, left_out = policy_bounds(policy, ("sex",))
    assert [bound.rule for bound in bounds] == [
        "demographic_parity_difference of sex at most 0.1",
        "selection_rate of female (sex) at least 0.2",
        "impact_ratio of sex at least 0.8",
        "accuracy at least 0.7",
    ]
    assert bounds[2].min_share == 0.02
    assert left_out == ("tpr of race: the attribute is not among those that are counted",)


def estimate(metric: str, group: str | None, value: float, n: int, high: float | None = None) -> Estimate:
    return Estimate(
        task="german", stage="baseline", model="lr", metric=metric, attribute="sex", group=group, value=value,
        low=None, high=high, confidence=0.95, n=n, status="estimated", direction="lower",
    )  # fmt: skip


def test_the_bound_of_validation_has_its_error_in_alpha() -> None:
    rates = [estimate("selection_rate", "f", 0.3, 400), estimate("selection_rate", "m", 0.4, 600)]
    gap = estimate("demographic_parity_difference", None, 0.1, 1000, high=0.16)
    (bound,) = validation_bounds([gap, *rates], ("sex",), share=0.02)
    limits = projected("max_difference", [Counted([120, 240], [400, 600])], 0.98)
    assert bound.value == pytest.approx(float(limits.high)) and bound.value > 0.16
    assert (bound.source, bound.error, bound.spends) == ("validation", 0.01, True)
    monitor = Monitor(Settings(attributes=("sex",), bounds=(bound,), alpha=0.04))
    monitor.take(stream({"f": 0.4, "m": 0.4}, 200))
    (series,) = monitor.document()["versions"][0]["series"]
    assert series["alpha"] == 0.01 and series["bound_error"] == 0.01, "half of the share of .02 each"


def test_settings_of_a_policy_and_a_bundle_share_one_alpha() -> None:
    rates = [estimate("selection_rate", "f", 0.3, 400), estimate("selection_rate", "m", 0.4, 600)]
    gap = estimate("demographic_parity_difference", None, 0.1, 1000, high=0.16)
    settings = settings_for(("sex",), policy=load_policy("four_fifths"), test=[gap, *rates])
    assert [bound.source for bound in settings.bounds] == ["policy", "validation"]
    assert settings.share(1) == 0.05 / 2 / 2 and settings.bounds[1].error == settings.share(1) / 2
    assert settings.name == "four_fifths" and "29 CFR" in settings.about
    assert settings_for(("sex",)).bounds == ()


def test_a_stored_limit_is_taken_where_rates_are_not_and_its_error_is_shown() -> None:
    manifest = Manifest.model_validate_json((CONTRACTS / "bundle_manifest.json").read_text())
    (bound,) = validation_bounds(manifest.provenance.test, ("sex",), share=0.025)
    assert (bound.metric, bound.value) == ("equalized_odds_difference_max", 0.2021)
    assert bound.error == pytest.approx(0.025) and not bound.spends
    kept = Bound(metric="equalized_odds_difference_max", attribute="sex", side="max", value=0.1)
    assert validation_bounds(manifest.provenance.test, ("sex",), share=0.025, except_for=[kept]) == ()
    assert validation_bounds(manifest.provenance.test, ("race",), share=0.025) == ()
