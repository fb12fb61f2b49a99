"""A token has one spelling and one meaning, or it is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from fiveways.security import jwt


def segment(content: bytes | dict[str, Any]) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def token(header: bytes | dict[str, Any], claims: bytes | dict[str, Any], signature: bytes = b"signature") -> bytes:
    return b".".join([segment(header), segment(claims), segment(signature)])


@pytest.fixture(scope="module")
def signed(rsa_key: RSAKey) -> bytes:
    return jwt.sign({"sub": "ward-tablet", "exp": 1}, rsa_key, kid="test-1", typ="JWT").encode()


def test_a_signed_token_reads_back_and_verifies(signed: bytes, rsa_key: RSAKey) -> None:
    read = jwt.parse(signed, limit=4096)
    assert read.claims == {"sub": "ward-tablet", "exp": 1}
    assert read.kid == "test-1"
    assert read.header == {"typ": "JWT", "alg": "RS512", "kid": "test-1"}
    assert read.is_signed_by(rsa_key)


def test_another_key_did_not_sign_it(signed: bytes, other_key: RSAKey) -> None:
    assert not jwt.parse(signed, limit=4096).is_signed_by(other_key)


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"a.b",
        b"a.b.c.d",
        b"..",
        b"not a token",
        token({"alg": "RS512"}, {}) + b"\n",
        b" " + token({"alg": "RS512"}, {}),
        token({"alg": "RS512"}, {}) + b"=",
        token(b'{"alg":"RS512","alg":"none"}', {}),
        token({"alg": "RS512"}, b'{"sub":"a","sub":"b"}'),
        token({"alg": "RS512"}, b'{"act":{"sub":"a","sub":"b"}}'),
        token({"alg": "RS512"}, b"[]"),
        token(b'"RS512"', {}),
        token({"alg": "RS512"}, b'{"exp":NaN}'),
        token({"alg": "RS512"}, b'{"exp":Infinity}'),
        token({"alg": "RS512"}, b'{"jti":"\\ud800"}'),
        token({"alg": "RS512"}, b'{"jti":"\xff"}'),
        token({"alg": "RS512"}, b'\xef\xbb\xbf{"jti":"a"}'),
        token({"alg": "RS512"}, b"[" * 3000 + b"]" * 3000),
        token({"alg": "RS512"}, b'{"exp":' + b"9" * 5000 + b"}"),
        token({"alg": "RS512", "crit": ["exp"]}, {}),
        token({"alg": "RS512", "b64": False, "crit": ["b64"]}, {}),
        token({"alg": "RS512"}, token({"alg": "RS512"}, {})),
    ],
)
def test_what_is_no_token_or_could_be_read_two_ways_is_refused(malformed: bytes) -> None:
    with pytest.raises(jwt.MalformedJwt):
        jwt.parse(malformed, limit=16384)


def test_a_token_over_the_limit_is_refused() -> None:
    fits = token({"alg": "RS512"}, {"jti": "x" * 100})
    assert jwt.parse(fits, limit=len(fits)).claims["jti"] == "x" * 100
    with pytest.raises(jwt.MalformedJwt):
        jwt.parse(fits, limit=len(fits) - 1)


def test_stray_bits_at_the_end_of_a_segment_are_refused(signed: bytes) -> None:
    """Base64 of 256 bytes leaves four bits unused: sixteen spellings of one signature, of which one is taken."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = 0
    for letter in alphabet:
        try:
            jwt.parse(signed[:-1] + bytes([letter]), limit=4096)
        except jwt.MalformedJwt:
            continue
        accepted += 1
    assert accepted == 4


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_token_changed_in_a_byte_verifies(data: st.DataObject, signed: bytes, rsa_key: RSAKey) -> None:
    at = data.draw(st.integers(0, len(signed) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != signed[at]))
    changed = signed[:at] + bytes([byte]) + signed[at + 1 :]
    try:
        read = jwt.parse(changed, limit=4096)
    except jwt.MalformedJwt:
        return
    assert not read.is_signed_by(rsa_key)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.from_regex(rb"\A[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\Z"))
def test_anything_at_all_is_parsed_or_refused(text: bytes) -> None:
    try:
        jwt.parse(text, limit=4096)
    except jwt.MalformedJwt:
        pass


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "RS256", "PS512", "ES512", "", None, ["RS512"]])
def test_only_rs512_verifies(alg: Any, rsa_key: RSAKey) -> None:
    """The signature is a good RS512 one over this very header, yet the header says another algorithm."""
    head, payload = segment({"alg": alg, "kid": "test-1"}), segment({"sub": "a"})
    good = jwt._ALGORITHMS[jwt.ALGORITHM].sign(head + b"." + payload, rsa_key)
    read = jwt.parse(b".".join([head, payload, segment(good)]), limit=4096)
    assert not read.is_signed_by(rsa_key)
