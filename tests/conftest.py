"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fiveways

# The same examples at every run, however slow the machine: a red run can be run again. HYPOTHESIS_PROFILE=explore finds new ones.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio: the servers and clients here are asyncio's."""
    return "asyncio"


def pytest_sessionstart() -> None:
    """A compiled module that is older than its source would be tested in its place."""
    for compiled in Path(fiveways.__file__).parent.rglob("*.so"):
        source = compiled.with_name(compiled.name.partition(".")[0] + ".py")
        if source.exists() and source.stat().st_mtime > compiled.stat().st_mtime:
            pytest.exit(f"{compiled.name} is older than its source: run `make install` (or FIVEWAYS_PURE=1 make install)", 3)
