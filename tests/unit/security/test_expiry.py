"""Certificates that expire: told of in time, read again only when changed, and told of where they cannot be read."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from fiveways.clock import ManualClock
from fiveways.security.certificates import issue_server, make_authority
from fiveways.security.expiry import Expiry

DAY = timedelta(days=1)


@pytest.mark.parametrize(("days", "word"), [(-1, "expired on"), (1, "expires on"), (13, "expires on"), (15, ""), (300, "")])
def test_what_ends_soon_is_told_of(tmp_path: Path, days: int, word: str) -> None:
    clock = ManualClock()
    issue_server(make_authority("A", clock), clock, valid=400 * DAY).write(tmp_path, "server")
    clock.advance((400 - days) * DAY)
    told = dict(Expiry({"listener main": tmp_path / "server.pem"}, 14 * DAY).near(clock.now()))
    assert (word in told.get("listener main", "")) if word else told == {}


def test_the_first_end_of_a_chain_counts_and_a_renewed_file_is_read_again(tmp_path: Path) -> None:
    clock = ManualClock()
    authority = make_authority("A", clock, valid=5 * DAY)
    certificate, _ = issue_server(authority, clock).write(tmp_path, "server")
    ca, _ = authority.write(tmp_path, "ca")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + ca.read_bytes())
    expiry = Expiry({"it": chain}, 14 * DAY)
    assert "expires on 2026-01-06" in dict(expiry.near(clock.now()))["it"]
    chain.write_bytes(certificate.read_bytes())
    os.utime(chain, ns=(1, 1))
    assert dict(expiry.near(clock.now())) == {}


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"])
def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.pem").write_bytes(content)
    assert "cannot be read" in dict(Expiry({"it": tmp_path / "a.pem"}, DAY).near(ManualClock().now()))["it"]
