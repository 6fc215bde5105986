"""Modes of Ray Serve that bypass the guard are refused, by the names that the installed Ray really reads."""

import subprocess
import sys
from pathlib import Path

import pytest

from equiray.errors import BadInput
from equiray.serving.guard import start_modes
from equiray.serving.guard.start_modes import check_start_modes

HOME = "127.0.0.1"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1"}, "no audit record"),
        ({"RAY_SERVE_ENABLE_HA_PROXY": "1"}, "every network interface"),
        ({"RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"}, "port of its own"),
        ({"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}, "RAY_SERVE_ENABLE_DIRECT_INGRESS on"),
    ],
)
def test_modes_that_bypass_the_guard(environ: dict[str, str], why: str):
    with pytest.raises(BadInput) as caught:
        check_start_modes(environ, HOME)
    with pytest.raises(BadInput):
        check_start_modes(environ, None)
    (variable,) = environ
    assert variable in caught.value.problem
    assert why in caught.value.problem
    assert f"unset {variable}" in caught.value.fix


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "true"},  # Ray takes 1 alone
        {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"},
    ],
)
def test_other_modes_start(environ: dict[str, str]):
    check_start_modes(environ, HOME)
    check_start_modes(environ, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.3", "example.org", "127.0.0.1.example.org", "[::]"])
def test_hosts_that_other_machines_reach(host: str):
    with pytest.raises(BadInput, match="remote: true"):
        check_start_modes({}, host)
    check_start_modes({}, host, remote=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_hosts_of_this_machine_alone(host: str):
    check_start_modes({}, host)


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({"RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"}, True),
        ({"RAY_SERVE_ENABLE_HA_PROXY": "1"}, True),
        ({"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}, True),
        ({"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"}, False),
        ({"RAY_SERVE_ENABLE_DIRECT_INGRESS": "true"}, False),
    ],
)
def test_the_installed_ray_reads_them_so(environ: dict[str, str], on: bool):
    asked = "from ray.serve._private.constants import RAY_SERVE_ENABLE_DIRECT_INGRESS as on; print(on)"
    said = subprocess.run(
        [sys.executable, "-c", asked],
        env={"PATH": "", "HOME": "/tmp"} | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split()[-1] == str(on)
    if on:
        with pytest.raises(BadInput):
            check_start_modes(environ, HOME)
    else:
        check_start_modes(environ, HOME)


def test_the_contract_lists_them():
    contract = (Path(__file__).parents[1] / "docs" / "contracts" / "guard.md").read_text()
    for variable in start_modes._WHY:
        assert f"| `{variable}` |" in contract


def test_the_installed_ray_knows_direct_streaming():
    import ray

    constants = Path(ray.__file__).parent / "llm" / "_internal" / "serve" / "constants.py"
    assert 'os.environ.get("RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING", "0") == "1"' in constants.read_text()
