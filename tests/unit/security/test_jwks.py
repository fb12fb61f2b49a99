"""Where clients' public keys come from, and what is refused as a key."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from tests.listening import listening

from fiveways.clock import ManualClock
from fiveways.security.fetch import is_loopback, may_fetch
from fiveways.security.jwks import FetchedKeys, FileKeys, FixedKeys, JwksError, read_jwks


def public(key: RSAKey, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


def test_a_set_is_read_by_key_id(rsa_key: RSAKey, other_key: RSAKey) -> None:
    keys = read_jwks({"keys": [public(rsa_key), public(other_key, kid="test-2", use="sig", alg="RS512")]})
    assert set(keys) == {"test-1", "test-2"}
    assert not keys["test-1"].is_private


def test_keys_for_something_else_are_passed_over(rsa_key: RSAKey) -> None:
    elliptic = ECKey.generate_key("P-256", {"kid": "ec"}).as_dict(private=False)
    others = [
        elliptic,
        public(rsa_key, kid="enc", use="enc"),
        public(rsa_key, kid="256", alg="RS256"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
    ]
    assert set(read_jwks({"keys": [*others, public(rsa_key)]})) == {"test-1"}


def integer(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kid": None}, "no kid"),
        ({"kid": ""}, "no kid"),
        ({"kid": 7}, "no kid"),
        ({"n": integer((1 << 2046) + 1)}, "2047 bits"),
        ({"n": integer((1 << 8192) + 1)}, "8193 bits"),
        ({"n": 5}, "not a usable RSA key"),
        ({"n": "€"}, "not a usable RSA key"),
        ({"e": "Ag"}, "not a usable RSA key"),
        ({"e": ""}, "not a usable RSA key"),
        ({"d": "AQAB"}, "private key"),
    ],
)
def test_a_key_that_cannot_be_trusted_is_an_error(rsa_key: RSAKey, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(JwksError, match=complaint):
        read_jwks({"keys": [{**public(rsa_key), **change}]})


def test_a_kid_given_twice_is_an_error(rsa_key: RSAKey, other_key: RSAKey) -> None:
    with pytest.raises(JwksError, match="repeats"):
        read_jwks({"keys": [public(rsa_key), public(other_key)]})


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_anything_that_is_no_set_is_an_error(document: Any) -> None:
    if isinstance(document, dict) and isinstance(document.get("keys"), list):
        return
    with pytest.raises(JwksError):
        read_jwks(document)


def test_a_set_of_too_many_keys_is_an_error(rsa_key: RSAKey) -> None:
    with pytest.raises(JwksError, match="100"):
        read_jwks({"keys": [public(rsa_key, kid=str(n)) for n in range(101)]})


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://ward.example/jwks", True),
        ("http://127.0.0.1:9/jwks", True),
        ("http://[::1]:9/jwks", True),
        ("http://localhost/jwks", True),
        ("http://ward.example/jwks", False),
        ("http://127.0.0.1.example/jwks", False),
        ("http://localhost.example/jwks", False),
        ("http://10.0.0.1/jwks", False),
        ("https://user@ward.example/jwks", False),
        ("http://127.0.0.1@ward.example/jwks", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("http://[::1/jwks", False),
        ("http://localhost:port/", False),
    ],
)
def test_plain_http_is_fetched_from_this_machine_alone(url: str, may: bool) -> None:
    assert may_fetch(url) is may


def test_loopback_is_loopback() -> None:
    assert [host for host in ("localhost", "LOCALHOST", "127.9.9.9", "::1", "0.0.0.0", "::", "example") if is_loopback(host)] == [
        "localhost",
        "LOCALHOST",
        "127.9.9.9",
        "::1",
    ]


@pytest.mark.anyio
async def test_fixed_keys_are_found(rsa_key: RSAKey) -> None:
    source = FixedKeys(read_jwks({"keys": [public(rsa_key)]}))
    assert await source.find("test-1") is not None
    assert await source.find("test-2") is None


@pytest.mark.anyio
async def test_a_changed_file_is_read_again(tmp_path: Path, clock: ManualClock, rsa_key: RSAKey) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public(rsa_key)]}))
    source = FileKeys(path, clock)
    assert await source.find("test-1") is not None
    path.write_text(json.dumps({"keys": [public(rsa_key, kid="another")]}))
    os.utime(path, ns=(1, 1))
    clock.advance(timedelta(seconds=1))
    assert await source.find("test-1") is None
    assert await source.find("another") is not None


@pytest.mark.anyio
@pytest.mark.parametrize("content", [None, "{", "[]", "[" * 100_000])
async def test_a_file_that_cannot_be_read_says_so_without_its_content(
    tmp_path: Path, clock: ManualClock, content: str | None
) -> None:
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(JwksError):
        await FileKeys(path, clock).find("test-1")


class Publisher:
    """A client's web server, which answers as it is told and counts."""

    def __init__(self) -> None:
        self.body = b""
        self.status = "200 OK"
        self.headers = ""
        self.requests = 0
        self.delay = 0.0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        await asyncio.sleep(self.delay)
        head = f"HTTP/1.1 {self.status}\r\ncontent-length: {len(self.body)}\r\nconnection: close\r\n{self.headers}\r\n"
        writer.write(head.encode() + self.body)
        await writer.drain()


@asynccontextmanager
async def publishing(*keys: dict[str, Any]) -> AsyncIterator[Publisher]:
    publisher = Publisher()
    publisher.body = json.dumps({"keys": list(keys)}).encode()
    async with listening(publisher.serve) as port:
        publisher.url = f"http://127.0.0.1:{port}/jwks"
        yield publisher


@pytest.mark.anyio
async def test_a_fetched_set_is_kept_for_an_hour(clock: ManualClock, rsa_key: RSAKey) -> None:
    async with publishing(public(rsa_key)) as publisher:
        source = FetchedKeys(publisher.url, clock)
        for _ in range(3):
            assert await source.find("test-1") is not None
        clock.advance(timedelta(minutes=59))
        assert await source.find("test-1") is not None
        assert publisher.requests == 1
        clock.advance(timedelta(minutes=2))
        assert await source.find("test-1") is not None
        assert publisher.requests == 2


@pytest.mark.anyio
async def test_an_unknown_kid_has_the_set_fetched_again_but_not_at_once(
    clock: ManualClock, rsa_key: RSAKey, other_key: RSAKey
) -> None:
    async with publishing(public(rsa_key)) as publisher:
        source = FetchedKeys(publisher.url, clock)
        assert await source.find("test-1") is not None
        publisher.body = json.dumps({"keys": [public(other_key, kid="test-2")]}).encode()
        for n in range(20):
            assert await source.find(f"made-up-{n}") is None
        assert publisher.requests == 1
        clock.advance(timedelta(seconds=31))
        assert await source.find("test-2") is not None
        assert await source.find("test-1") is None
        assert publisher.requests == 2


@pytest.mark.anyio
async def test_many_at_once_fetch_once(clock: ManualClock, rsa_key: RSAKey) -> None:
    async with publishing(public(rsa_key)) as publisher:
        publisher.delay = 0.02
        source = FetchedKeys(publisher.url, clock)
        found = await asyncio.gather(*(source.find("test-1") for _ in range(20)))
        assert all(found)
        assert publisher.requests == 1


@pytest.mark.anyio
async def test_a_set_outlives_its_server_by_a_day(clock: ManualClock, rsa_key: RSAKey) -> None:
    async with publishing(public(rsa_key)) as publisher:
        source = FetchedKeys(publisher.url, clock)
        assert await source.find("test-1") is not None
    clock.advance(timedelta(hours=24))
    assert await source.find("test-1") is not None
    clock.advance(timedelta(hours=2))
    with pytest.raises(JwksError):
        await source.find("test-1")


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["status", "redirect", "size", "json", "depth", "time", "private"])
async def test_a_set_that_cannot_be_had_is_an_error(clock: ManualClock, rsa_key: RSAKey, fault: str) -> None:
    async with publishing(public(rsa_key)) as publisher, publishing(public(rsa_key)) as elsewhere:
        match fault:
            case "status":
                publisher.status = "500 Internal Server Error"
            case "redirect":
                publisher.status = "302 Found"
                publisher.headers = f"location: {elsewhere.url}\r\n"
            case "size":
                publisher.body += b" " * 300_000
            case "json":
                publisher.body = b"<html>"
            case "depth":
                publisher.body = b"[" * 100_000
            case "time":
                publisher.delay = 5
            case "private":
                publisher.body = json.dumps({"keys": [rsa_key.as_dict(private=True)]}).encode()
        source = FetchedKeys(publisher.url, clock, timeout=timedelta(milliseconds=200))
        with pytest.raises(JwksError):
            await source.find("test-1")
        assert elsewhere.requests == 0
        publisher.delay = 0
