"""Pseudonyms: the same person is the same, and the number is nowhere."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from fiveways.ledger.keys import read_public_key, secret, signing_key
from fiveways.ledger.pseudonym import Pseudonyms

NUMBER = b"9000000009"


def test_a_pseudonym_is_the_keyed_hmac_of_the_number() -> None:
    expected = hmac.new(b"k" * 32, NUMBER, hashlib.sha256).hexdigest()[:32]
    pseudonyms = Pseudonyms(b"k" * 32)
    assert pseudonyms.of(NUMBER) == f"nhs:{expected}"
    assert pseudonyms.of(NUMBER) == f"nhs:{expected}"
    assert Pseudonyms(b"j" * 32).of(NUMBER) != f"nhs:{expected}"
    assert pseudonyms.of(b"9000000017") != f"nhs:{expected}"


def test_the_cache_is_bounded_and_never_wrong() -> None:
    pseudonyms = Pseudonyms(b"k" * 32)
    first = pseudonyms.of(NUMBER)
    for number in range(25_000):
        pseudonyms.of(str(number).encode())
    assert len(pseudonyms._cache) <= 10_000
    assert pseudonyms.of(NUMBER) == first


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert Pseudonyms.open(tmp_path).of(NUMBER) == Pseudonyms.open(tmp_path).of(NUMBER)
    key = tmp_path / "keys" / "pseudonyms.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in key.parent.iterdir()] == ["pseudonyms.key"]


def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Pseudonyms(b"short")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(Exception, match="32 bytes"):
        secret(tmp_path / "key")


def test_a_signing_key_is_made_once_with_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.pem"
    first, second = signing_key(path), signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    read_public_key((tmp_path / "audit.pub").read_bytes()).verify(first.sign(b"x"), b"x")
    assert first.private_bytes_raw() == second.private_bytes_raw()


def test_what_is_no_public_key_is_refused() -> None:
    with pytest.raises(Exception, match="public key"):
        read_public_key(b"nothing")
