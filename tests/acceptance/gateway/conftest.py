"""One platform with APIs of every kind, served for all the gateway's tests; what needs settings of its own serves its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from tests.acceptance.conftest import API_KEY, STATUS_KEY, Backend, Serve, Served, hashed


@pytest.fixture(scope="session")
def behind() -> Iterator[Backend]:
    """The back end behind the shared platform. Tests take paths of their own at it."""
    made = Backend()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def platform(behind: Backend, serve: Serve) -> Iterator[Served]:
    """The shared platform: over plain HTTP."""
    text = Template((Path(__file__).parent / "deployment.yaml").read_text())
    with serve(text.substitute(url=behind.url, status_key=hashed(STATUS_KEY), api_key=hashed(API_KEY))) as served:
        yield served
