"""Every route of the application against its own OpenAPI document, in this process: no answer is undocumented."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from equiray.bundles.bundle import load_bundle
from served import small_bundle
from serving_apps import Served, served

load_all_checks()
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("app")
    with served(load_bundle(small_bundle(folder)), Path(folder)) as made:
        yield made


ROUTES = [
    ("/v1/decisions", "POST", {422}), ("/v1/outcomes", "POST", {200}), ("/v1/audit", "GET", {200}),
    ("/v1/fairness", "GET", {404}), ("/v1/models", "GET", {200}), ("/metrics", "GET", {404}),
    ("/dashboard", "GET", {200}), ("/healthz", "GET", {200}), ("/readyz", "GET", {200}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "method", "met"), ROUTES)
def test_no_answer_is_undocumented(app: Served, path: str, method: str, met: set[int]):
    key = dict(app.client().headers)["authorization"]
    operation = schemathesis.openapi.from_asgi("/openapi.json", app.app)[path][method]
    statuses: Counter[int] = Counter()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        if isinstance(case.body, dict) and path == "/v1/decisions":
            case.body["task"] = "people"
        response = case.call(headers={"Authorization": key})
        statuses[response.status_code] += 1
        case.validate_response(response, checks=[*CHECKS, not_a_server_error])
        assert "Traceback" not in response.text and 'File "' not in response.text

    fuzz()
    assert met <= set(statuses)


def test_every_route_is_fuzzed(app: Served):
    documented = {(path, method.upper()) for path, one in app.app.openapi()["paths"].items() for method in one}
    assert documented == {(path, method) for path, method, _ in ROUTES}
