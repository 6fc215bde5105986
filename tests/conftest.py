"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The mirror of public data named by EQUIRAY_DATA; tests that need it skip where it is absent."""
    named = os.environ.get("EQUIRAY_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("EQUIRAY_DATA names no mirror of the public data")
    return Path(named)
