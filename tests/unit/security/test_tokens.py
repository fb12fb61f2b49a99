"""Access tokens: what is issued verifies, until it expires, is revoked, or its key is withdrawn; nothing else does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey
from joserfc.jwt import encode

from fiveways.clock import ManualClock
from fiveways.security import jwt
from fiveways.security.keys import PlatformKeys
from fiveways.security.revocations import Revocation, Revocations
from fiveways.security.tokens import (
    BadSignature,
    ExpiredToken,
    InvalidToken,
    IssuedToken,
    MalformedToken,
    MissingToken,
    RevokedToken,
    TokenIssuer,
    TokenVerifier,
    WrongAudience,
    bearer_of,
)
from fiveways.security.users.person import Person

TEN_MINUTES = timedelta(minutes=10)
SCOPES = frozenset({"urn:nhsd:apim:app:level3:patients", "urn:nhsd:apim:app:level3:summary"})


@pytest.fixture
def issuer(keys: PlatformKeys, clock: ManualClock) -> TokenIssuer:
    return TokenIssuer(keys, clock, issuer="urn:fiveways", audience="urn:gateway", lifetime=TEN_MINUTES)


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


@pytest.fixture
def verifier(keys: PlatformKeys, revocations: Revocations) -> TokenVerifier:
    return TokenVerifier(keys, revocations, issuer="urn:fiveways", audience="urn:gateway")


def issue(by: TokenIssuer, /, **more: Any) -> IssuedToken:
    return by.issue("ward-tablet", "client-1", SCOPES, **more)


def test_what_was_issued_is_granted(issuer: TokenIssuer, verifier: TokenVerifier, clock: ManualClock) -> None:
    issued = issue(issuer)
    for _ in range(2):  # from the signature, then from memory
        assert verifier.verify(issued.token.encode(), clock.time()) == issued.grant
    assert issued.grant.scopes == SCOPES
    assert (issued.grant.level, issued.grant.context) == ("level3", "signed-jwt")
    assert (issued.grant.person, issued.grant.session) == (None, "")
    assert issued.token not in repr(issued)


def test_the_claims_are_those_of_rfc_9068(issuer: TokenIssuer, clock: ManualClock) -> None:
    token = jwt.parse(issue(issuer).token.encode(), limit=8192)
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == token.claims["client_id"] == "client-1"
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"} <= set(token.claims)
    assert token.claims["exp"] == int(clock.time()) + 600


def test_a_client_is_told_599_seconds_of_ten_minutes(issuer: TokenIssuer) -> None:
    assert issue(issuer).expires_in == 599


@pytest.mark.parametrize(("asked", "told"), [(100_000, 99), (500_000, 499), (700_000, 599), (1_000_000, 599), (1, 0)])
def test_a_lifetime_is_only_ever_shortened(issuer: TokenIssuer, clock: ManualClock, asked: int, told: int) -> None:
    issued = issue(issuer, lifetime=timedelta(milliseconds=asked))
    assert issued.expires_in == told
    assert issued.grant.expires - clock.time() <= min(asked / 1000, 600)


def test_a_person_is_carried_with_who_vouched_for_them(issuer: TokenIssuer, verifier: TokenVerifier, clock: ManualClock) -> None:
    person = Person("555021935107", "https://cis2.test", "cis2", "aal3", roles={"093895563513": "RXN"}, nhs_number="9000000009")
    issued = issue(issuer, person=person, session="session-1")
    grant = verifier.verify(issued.token.encode(), clock.time())
    assert (grant.person, grant.session, grant.level, grant.context) == (person, "session-1", "aal3", "user-restricted")


def test_what_is_personal_cannot_be_read_in_a_token(issuer: TokenIssuer) -> None:
    """Whoever holds it, or finds it in a log, sees the subject and nothing else of the person."""
    person = Person("555021935107", "https://cis2.test", "cis2", "aal3", roles={"093895563513": "RXN"}, nhs_number="9000000009")
    claims = jwt.parse(issue(issuer, person=person, session="s").token.encode(), limit=8192).claims
    assert claims["sub"] == "555021935107"
    assert not any(secret in json.dumps(claims) for secret in ("093895563513", "9000000009"))


def test_all_tokens_of_a_session_are_revoked_at_once(
    issuer: TokenIssuer, verifier: TokenVerifier, revocations: Revocations, clock: ManualClock
) -> None:
    person = Person("555021935107", "https://cis2.test", "cis2", "aal3")
    one, two, other = (issue(issuer, person=person, session=session).token.encode() for session in ("a", "a", "b"))
    verifier.verify(one, clock.time())
    revocations.apply(Revocation("ward-tablet", clock.time() + 600, jti="a"))
    for token in (one, two):
        with pytest.raises(RevokedToken):
            verifier.verify(token, clock.time())
    verifier.verify(other, clock.time())


def test_a_token_expires_though_it_is_remembered(issuer: TokenIssuer, verifier: TokenVerifier, clock: ManualClock) -> None:
    token = issue(issuer).token.encode()
    verifier.verify(token, clock.time())
    clock.advance(TEN_MINUTES - timedelta(seconds=1))
    verifier.verify(token, clock.time())
    clock.advance(timedelta(seconds=1))
    for _ in range(2):
        with pytest.raises(ExpiredToken):
            verifier.verify(token, clock.time())


def test_a_revoked_token_is_refused_at_once(
    issuer: TokenIssuer, verifier: TokenVerifier, revocations: Revocations, clock: ManualClock
) -> None:
    kept, taken = issue(issuer), issue(issuer)
    for issued in (kept, taken):
        verifier.verify(issued.token.encode(), clock.time())
    revocations.apply(Revocation("ward-tablet", taken.grant.expires, jti=taken.grant.jti))
    verifier.verify(kept.token.encode(), clock.time())
    with pytest.raises(RevokedToken):
        verifier.verify(taken.token.encode(), clock.time())


def test_an_application_is_cut_off_but_may_come_back(
    issuer: TokenIssuer, verifier: TokenVerifier, revocations: Revocations, clock: ManualClock
) -> None:
    before = issue(issuer)
    other = issuer.issue("theatre", "client-2", SCOPES)
    clock.advance(timedelta(seconds=1))
    revocations.apply(Revocation("ward-tablet", clock.time() + 600, issued_before=clock.time()))
    after = issue(issuer)
    with pytest.raises(RevokedToken):
        verifier.verify(before.token.encode(), clock.time())
    for issued in (after, other):
        verifier.verify(issued.token.encode(), clock.time())


def test_revocations_are_forgotten_when_they_no_longer_matter(revocations: Revocations) -> None:
    revocations.apply(Revocation("a", 100, jti="1"))
    revocations.apply(Revocation("a", 200, issued_before=50))
    revocations.apply(Revocation("a", 150, issued_before=40))
    revocations.forget(150)
    assert len(revocations) == 1
    revocations.forget(200)
    assert len(revocations) == 0


def test_a_withdrawn_key_takes_what_it_signed_with_it(
    issuer: TokenIssuer, verifier: TokenVerifier, keys: PlatformKeys, clock: ManualClock
) -> None:
    token = issue(issuer).token.encode()
    verifier.verify(token, clock.time())
    keys.withdraw(keys.current.kid)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(BadSignature):
        verifier.verify(token, clock.time())


def test_tokens_outlive_the_rotation_of_keys(
    issuer: TokenIssuer, verifier: TokenVerifier, keys: PlatformKeys, clock: ManualClock
) -> None:
    old = issue(issuer).token.encode()
    keys.rotate(lead=timedelta(seconds=5))
    clock.advance(timedelta(seconds=6))
    new = issue(issuer).token.encode()
    assert jwt.parse(old, limit=8192).kid != jwt.parse(new, limit=8192).kid
    verifier.verify(old, clock.time())
    verifier.verify(new, clock.time())


def test_memory_is_bounded_and_forgetting_changes_no_answer(keys: PlatformKeys, issuer: TokenIssuer, clock: ManualClock) -> None:
    verifier = TokenVerifier(keys, Revocations(), issuer="urn:fiveways", audience="urn:gateway", remembered=3)
    tokens = [issue(issuer).token.encode() for _ in range(5)]
    for _ in range(2):
        for token in tokens:
            verifier.verify(token, clock.time())
    assert len(verifier._grants) == 3


def test_refused_tokens_are_not_remembered(verifier: TokenVerifier, clock: ManualClock) -> None:
    for n in range(10):
        with pytest.raises(MalformedToken):
            verifier.verify(f"rubbish-{n}".encode(), clock.time())
    assert not verifier._grants


Forge = Callable[[PlatformKeys, dict[str, Any], RSAKey], str]


def as_access_token(claims: dict[str, Any], key: Any, alg: str = "RS512", **header: Any) -> str:
    return encode({"alg": alg, "typ": "at+jwt", **header}, claims, key, algorithms=[alg])


@pytest.mark.parametrize(
    ("forge", "expected"),
    [
        pytest.param(lambda k, c, o: as_access_token(c, o, kid=k.current.kid), BadSignature, id="signed by another"),
        pytest.param(lambda k, c, o: as_access_token(c, o, kid="made-up"), BadSignature, id="unknown kid"),
        pytest.param(lambda k, c, o: as_access_token(c, k.current.private), BadSignature, id="no kid"),
        pytest.param(
            lambda k, c, o: as_access_token(c, o, kid=k.current.kid, jwk=o.as_dict(private=False)),
            BadSignature,
            id="brings its own key",
        ),
        pytest.param(lambda k, c, o: as_access_token(c, k.current.private, "RS256", kid=k.current.kid), BadSignature, id="RS256"),
        pytest.param(lambda k, c, o: as_access_token(c, k.current.private, "PS512", kid=k.current.kid), BadSignature, id="PS512"),
        pytest.param(
            lambda k, c, o: as_access_token(c, OctKey.import_key("x" * 64), "HS512", kid=k.current.kid),
            BadSignature,
            id="HS512",
        ),
        pytest.param(lambda k, c, o: k.current.sign(c, typ="receipt+jwt"), MalformedToken, id="a receipt of ours"),
        pytest.param(lambda k, c, o: k.current.sign(c, typ="JWT"), MalformedToken, id="another kind of JWT"),
        pytest.param(lambda k, c, o: k.current.sign({**c, "aud": "urn:other"}, typ="at+jwt"), WrongAudience, id="other aud"),
        pytest.param(lambda k, c, o: k.current.sign({**c, "iss": "urn:other"}, typ="at+jwt"), WrongAudience, id="other iss"),
        pytest.param(lambda k, c, o: k.current.sign({**c, "exp": None}, typ="at+jwt"), MalformedToken, id="no exp"),
        pytest.param(lambda k, c, o: k.current.sign({**c, "scope": 5}, typ="at+jwt"), MalformedToken, id="scope a number"),
    ],
)
def test_a_forged_token_grants_nothing(
    keys: PlatformKeys,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
    clock: ManualClock,
    other_key: RSAKey,
    forge: Forge,
    expected: type[InvalidToken],
) -> None:
    genuine = jwt.parse(issue(issuer).token.encode(), limit=8192)
    forged = forge(keys, genuine.claims, other_key)
    with pytest.raises(expected):
        verifier.verify(forged.encode(), clock.time())


def test_an_unsigned_or_publicly_signed_token_grants_nothing(
    keys: PlatformKeys, issuer: TokenIssuer, verifier: TokenVerifier, clock: ManualClock
) -> None:
    token = issue(issuer).token
    head, claims, _ = token.split(".")
    none = json.dumps({"alg": "none", "typ": "at+jwt", "kid": keys.current.kid}).encode()
    unsigned = base64.urlsafe_b64encode(none).rstrip(b"=").decode()
    for forged in (f"{unsigned}.{claims}.", f"{head}.{claims}.", f"{head}.{claims}"):
        with pytest.raises((MalformedToken, BadSignature)):
            verifier.verify(forged.encode(), clock.time())
    public_as_secret = OctKey.import_key({"kty": "oct", "k": keys.current.public.as_dict(private=False)["n"]})
    parsed = jwt.parse(token.encode(), limit=8192)
    with pytest.raises(BadSignature):
        verifier.verify(as_access_token(parsed.claims, public_as_secret, "HS512", kid=keys.current.kid).encode(), clock.time())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_a_remembered_token_is_granted(
    data: st.DataObject, issuer: TokenIssuer, verifier: TokenVerifier, clock: ManualClock
) -> None:
    token = issue(issuer).token.encode()
    verifier.verify(token, clock.time())
    at = data.draw(st.integers(0, len(token) - 1))
    changed = data.draw(
        st.sampled_from([token[:at], token[:at] + token[at + 1 :], token + b"A"])
        | st.binary(min_size=1, max_size=2).map(lambda b: token[:at] + b + token[at + len(b) :])
    )
    if changed == token:
        return
    with pytest.raises(InvalidToken):
        verifier.verify(changed, clock.time())


def test_each_refusal_says_why_to_the_audit_and_challenges_the_client() -> None:
    assert MissingToken().headers == {"WWW-Authenticate": "Bearer"}
    for kind in (MalformedToken, BadSignature, WrongAudience, ExpiredToken, RevokedToken):
        fault = kind()
        assert fault.status == 401
        assert fault.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    kinds = (MissingToken, MalformedToken, BadSignature, WrongAudience, ExpiredToken, RevokedToken)
    assert len({kind.reason for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("field", [b"Bearer abc", b"bearer abc", b"BEARER abc", b"Bearer   abc "])
def test_a_bearer_is_taken_from_its_field(field: bytes) -> None:
    assert bearer_of(field) == b"abc"


@pytest.mark.parametrize("field", [None, b"", b"Basic abc", b"Bearer", b"Bearerabc", b"abc"])
def test_without_a_bearer_the_token_is_missing(field: bytes | None) -> None:
    with pytest.raises(MissingToken):
        bearer_of(field)


def test_an_empty_bearer_is_missing(verifier: TokenVerifier, clock: ManualClock) -> None:
    with pytest.raises(MissingToken):
        verifier.verify(bearer_of(b"Bearer "), clock.time())
