"""Signatures: what was signed is verified, and nothing else is; secrets are changed without a gap."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.signing import BadSignature, Signature, sign, verify

OLD, NEW = b"old secret, 20 bytes", b"new secret, 20 bytes"
secrets = st.binary(min_size=16, max_size=80)


def test_the_form_is_what_is_documented() -> None:
    code = hmac.new(NEW, b"1795365421.{}", hashlib.sha256).hexdigest()
    assert sign([NEW], 1795365421.9, b"{}") == f"t=1795365421,v1={code}"


@given(secrets, st.binary(max_size=200), st.lists(st.integers(0, 200)), st.integers(0, 10**11))
def test_a_body_signed_in_pieces_is_verified_whole(secret: bytes, body: bytes, cuts: list[int], at: int) -> None:
    signature = Signature([secret], at)
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in pairwise(edges):
        signature.add(body[start:end])
    verify([secret], signature.value(), body, at)


@pytest.mark.parametrize(("signing", "known"), [([OLD], [OLD, NEW]), ([OLD, NEW], [OLD]), ([OLD, NEW], [NEW]), ([NEW], [OLD, NEW])])
def test_while_a_secret_is_changed_either_is_good(signing: list[bytes], known: list[bytes]) -> None:
    verify(known, sign(signing, 1000, b"body"), b"body", 1000)


def test_a_secret_that_was_taken_away_is_good_no_more() -> None:
    with pytest.raises(BadSignature, match="another secret"):
        verify([NEW], sign([OLD], 1000, b"body"), b"body", 1000)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_body_or_moment_is_noticed(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    value = sign([NEW], 1000, body)
    for bad, what in ((value, changed), (value.replace("t=1000", "t=1001"), body)):
        with pytest.raises(BadSignature):
            verify([NEW], bad, what, 1000)


@pytest.mark.parametrize(("age", "good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_copy_is_good_for_a_while(age: int, good: bool) -> None:
    value = sign([NEW], 1000, b"x")
    if good:
        verify([NEW], value, b"x", 1000 + age)
    else:
        with pytest.raises(BadSignature, match="too old"):
            verify([NEW], value, b"x", 1000 + age)
    verify([NEW], value, b"x", 1000 + age, tolerance=timedelta(seconds=301))


@given(st.text(max_size=120) | st.from_regex(r"t=[0-9]{1,14}(,v1=[0-9a-f]{60,66}){0,12}", fullmatch=True))
def test_nonsense_is_a_bad_signature_and_nothing_else(value: str) -> None:
    with pytest.raises(BadSignature):
        verify([NEW], value, b"body", 1000)


@pytest.mark.parametrize("short", [[], [b""], [NEW, b"fifteen bytes.."]])
def test_a_secret_that_can_be_guessed_is_refused(short: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        sign(short, 1000, b"")
