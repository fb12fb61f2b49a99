"""Credentials: what no header field can carry, what is no token, and cookies that are kept for whom they were set."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from tests.listening import listening

from fiveways.clock import ManualClock, SystemClock
from fiveways.methods.synchronous.credentials.credential import CredentialUnavailable
from fiveways.methods.synchronous.credentials.fixed import ApiKey, Basic, Fixed
from fiveways.methods.synchronous.credentials.oauth2 import AccessToken, OAuth2, _key, _token, token_endpoint
from fiveways.methods.synchronous.credentials.sessions import Sessions, SessionSettings
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.types import Consumer

pytestmark = pytest.mark.anyio

WARD, OTHER = Consumer(application="ward"), Consumer(application="other")


@pytest.mark.parametrize("secret", [b"", b"a\nb", b"a\r", b" a", b"a\x00b", b"\x7f"])
def test_a_key_that_no_header_field_can_carry_is_refused(tmp_path: Path, secret: bytes) -> None:
    (tmp_path / "key").write_bytes(secret)
    with pytest.raises(ValueError, match="no header field"):
        Fixed.api_key(ApiKey.model_validate({"key": "file:key"}), tmp_path)


def test_a_password_of_any_characters_can_be_presented(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes("pä:ss\nwörd".encode())
    assert Fixed.basic(Basic.model_validate({"user": "me", "password": "file:password"}), tmp_path).owns == {b"authorization"}


@pytest.mark.parametrize(("lifetime", "seconds"), [(599, 599.0), ("599", 599.0), (0.5, 0.5)])
def test_a_token_is_taken_however_its_life_is_written(lifetime: object, seconds: float) -> None:
    body = msgspec.json.encode({"access_token": "abc", "token_type": "bearer", "expires_in": lifetime})
    assert _token(200, body) == (b"abc", seconds)


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        (401, {"error": "invalid_client"}, "401 invalid_client"),
        (401, {"error": "<script>"}, "It answered 401."),
        (200, {"access_token": "a b", "token_type": "Bearer"}, "200"),
        (200, {"access_token": "", "token_type": "Bearer"}, "200"),
        (200, {"access_token": "x", "token_type": "mac"}, "200"),
        (200, {"access_token": "x", "token_type": "Bearer", "expires_in": "0"}, "expired"),
        (200, {"access_token": "x", "token_type": "Bearer", "expires_in": "nan"}, "expired"),
        (200, {"access_token": "x", "token_type": "Bearer", "expires_in": "soon"}, "no token"),
        (200, {"access_token": "ü", "token_type": "Bearer"}, "no token"),
    ],
)
def test_what_is_no_token_says_why_and_repeats_nothing_else(status: int, said: dict[str, str], why: str) -> None:
    with pytest.raises(CredentialUnavailable) as refused:
        _token(status, msgspec.json.encode(said))
    assert why in refused.value.diagnostics
    assert "script" not in refused.value.diagnostics


@given(st.integers(200, 599), st.one_of(st.binary(max_size=200), st.from_type(dict[str, str]).map(msgspec.json.encode)))
def test_no_answer_of_a_token_endpoint_is_more_than_unavailable(status: int, body: bytes) -> None:
    with pytest.raises(CredentialUnavailable):
        _token(status, body)


async def test_a_token_that_several_found_refused_is_replaced_once(tmp_path: Path) -> None:
    given = 0

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal given
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: ([0-9]+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            given += 1
            body = b'{"access_token": "t%d", "token_type": "Bearer"}' % given
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    (tmp_path / "key.pem").write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    async with listening(server) as port:
        said = {"token_url": f"http://127.0.0.1:{port}/token", "client_id": "me", "kid": "1", "key": "file:key.pem"}
        settings = OAuth2.model_validate(said)
        upstream = Upstream(token_endpoint(settings), base=tmp_path, clock=SystemClock())
        token = AccessToken(settings, upstream, tmp_path, SystemClock())
        first = await asyncio.gather(*(token.fields() for _ in range(5)))
        assert {tuple(each) for each in first} == {((b"authorization", b"Bearer t1"),)}
        for presented in first:  # the back end refused all five: only what was presented is given up
            assert token.refused(presented)
            assert await token.fields() == [(b"authorization", b"Bearer t2")]
        await upstream.close()


@pytest.mark.parametrize("algorithm", ["RS512", "ES256", "PS256"])
def test_a_key_that_the_algorithm_cannot_use_is_said_to_be_none(algorithm: str) -> None:
    other: Any = RSAKey.generate_key(2048) if algorithm == "ES256" else ECKey.generate_key("P-256")
    for pem in (other.as_pem(private=True), b"no key at all", b""):
        with pytest.raises(ValueError, match=f"no key for {algorithm}"):
            _key(pem, algorithm)


def sessions(clock: ManualClock, **said: object) -> Sessions:
    return Sessions(SessionSettings.model_validate(said), "http://theatre.example/app", clock)


def kept(held: Sessions, consumer: Consumer, *cookies: bytes, at: bytes = b"/app/x") -> None:
    answer = held.keep(consumer, at, [(b"x", b"y"), *((b"set-cookie", cookie) for cookie in cookies)])
    assert answer == [(b"x", b"y")]


def test_cookies_go_to_whom_and_where_they_were_set_for() -> None:
    held = sessions(ManualClock())
    kept(held, WARD, b"SID=1; Path=/app", b"DEEP=2; Path=/app/deep", b"OTHER=3; Domain=elsewhere.example; Path=/")
    assert held.fields(WARD, b"/app/x?y=z") == [(b"cookie", b"SID=1")]
    assert sorted(held.fields(WARD, b"/app/deep/x")[0][1].split(b"; ")) == [b"DEEP=2", b"SID=1"]
    assert held.fields(WARD, b"/elsewhere") == []
    assert held.fields(OTHER, b"/app/x") == []
    kept(held, WARD, b"SID=; Max-Age=0; Path=/app")
    assert held.fields(WARD, b"/app/x") == []


def test_an_anonymous_caller_has_no_session() -> None:
    held = sessions(ManualClock())
    kept(held, Consumer(), b"SID=1; Path=/")
    assert held.fields(Consumer(), b"/app/x") == []


def test_sessions_are_forgotten_when_idle_and_when_there_are_too_many() -> None:
    clock = ManualClock()
    held = sessions(clock, idle="10s", most=2)
    for name in ("a", "b", "c"):
        kept(held, Consumer(application=name), b"SID=1; Path=/")
    assert [bool(held.fields(Consumer(application=name), b"/")) for name in ("a", "b", "c")] == [False, True, True]
    clock.advance(timedelta(seconds=9))
    assert held.fields(Consumer(application="b"), b"/")
    clock.advance(timedelta(seconds=9))
    assert [bool(held.fields(Consumer(application=name), b"/")) for name in ("b", "c")] == [True, False]


@given(st.lists(st.binary(max_size=100), max_size=3), st.binary(max_size=50).filter(lambda value: b"\n" not in value))
def test_no_cookie_breaks_anything_and_none_breaks_out_of_its_field(cookies: list[bytes], target: bytes) -> None:
    held = sessions(ManualClock())
    usable = [cookie for cookie in cookies if b"\n" not in cookie and b"\r" not in cookie and b"\0" not in cookie]
    held.keep(WARD, b"/" + target, [(b"set-cookie", cookie) for cookie in usable])
    for _, value in held.fields(WARD, b"/" + target):
        assert b"\r" not in value
        assert b"\n" not in value
