"""What the security tests share: keys, which are dear to make, and a clock that stands still."""

from __future__ import annotations

from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from fiveways.clock import ManualClock
from fiveways.security.keys import PlatformKeys


@pytest.fixture(scope="session")
def rsa_key() -> RSAKey:
    """A client's private key."""
    return RSAKey.generate_key(2048, {"kid": "test-1"})


@pytest.fixture(scope="session")
def other_key() -> RSAKey:
    """Another client's private key."""
    return RSAKey.generate_key(2048, {"kid": "test-1"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(tmp_path: Path, clock: ManualClock) -> PlatformKeys:
    """The platform's keys, in an empty folder."""
    return PlatformKeys.open(tmp_path / "keys", clock, bits=2048)
