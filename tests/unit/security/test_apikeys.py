"""API keys are kept hashed, found by their hash, and never seen again."""

from __future__ import annotations

import pytest

from fiveways.errors import DeploymentError
from fiveways.security import apikeys
from fiveways.security.apikeys import ApiKeys


def test_a_new_key_finds_its_application() -> None:
    new, other = apikeys.generate(), apikeys.generate()
    known = ApiKeys([(new.stored, "ward-tablet"), (other.stored, "theatre")])
    assert known.find(new.key.encode()) == "ward-tablet"
    assert known.find(other.key.encode()) == "theatre"


def test_an_application_may_have_two_keys() -> None:
    old, new = apikeys.generate(), apikeys.generate()
    known = ApiKeys([(old.stored, "ward-tablet"), (new.stored, "ward-tablet")])
    assert known.find(old.key.encode()) == known.find(new.key.encode()) == "ward-tablet"


def test_what_was_not_handed_out_finds_nothing() -> None:
    new = apikeys.generate()
    known = ApiKeys([(new.stored, "ward-tablet"), (apikeys.stored_form(b""), "careless")])
    for presented in (b"", new.key[:-1].encode(), new.stored.encode(), new.key.upper().encode(), b"x" * 100_000, b"\xff"):
        assert known.find(presented) is None


def test_the_key_itself_is_not_shown() -> None:
    new = apikeys.generate()
    assert new.key not in repr(new)
    assert new.key not in new.stored
    assert len(new.key) == 47


def test_two_applications_cannot_share_a_key() -> None:
    new = apikeys.generate()
    with pytest.raises(DeploymentError, match="ward-tablet and theatre"):
        ApiKeys([(new.stored, "ward-tablet"), (new.stored, "theatre")])
