"""Fixtures that every test may use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from postgres import NoPostgres, Postgres, running_postgres

if TYPE_CHECKING:
    from sweep_runs import Done

# Before anything imports ray, which reads them once: one auth mode for every local cluster of the tests
# (unset, it depends on whether a token file happens to exist), and no usage report leaves the machine.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

# A deadline in wall time fails on a busy machine, not on a wrong result.
settings.register_profile("equiray", deadline=None)
settings.load_profile("equiray")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The mirror of public data named by EQUIRAY_DATA; tests that need it skip where it is absent."""
    named = os.environ.get("EQUIRAY_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("EQUIRAY_DATA names no mirror of the public data")
    return Path(named)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As a worker of one CPU has: with others a product's last bits may differ."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def equiray(capsys: pytest.CaptureFixture[str]) -> "Callable[..., Done]":
    """The command, in this process."""
    from sweep_runs import started

    return started(capsys)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster of this process alone: 2 CPUs, no dashboard; gone at the end of the session."""
    import ray

    ray.init(  # "local": never join a cluster that somebody else runs on this machine
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=256 * 2**20,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session; tests that need it skip where it is not installed."""
    try:
        with running_postgres() as server:
            yield server
    except NoPostgres as reason:
        pytest.skip(str(reason))
