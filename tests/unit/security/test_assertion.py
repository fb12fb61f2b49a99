"""Client assertions: who is let in, and that nobody else is, however the assertion is bent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from joserfc.jwt import encode

from fiveways.clock import ManualClock
from fiveways.errors import DeploymentError
from fiveways.ledger.replay import ReplayGuard, replays
from fiveways.security import refusals as r
from fiveways.security.assertion import CHECKS, AssertionVerifier
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.jwks import FixedKeys, read_jwks
from fiveways.security.refusals import JWT_BEARER, Refusal, Refused
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

URL = "https://api.northshire.test/oauth2/token"


class UsedOnce:
    """A ReplayGuard in memory, which gives way to others as a database would."""

    def __init__(self) -> None:
        self.claimed: dict[tuple[str, str], datetime] = {}

    async def claim(self, namespace: str, value: str, until: datetime) -> bool:
        await asyncio.sleep(0)
        return self.claimed.setdefault((namespace, value), until) is until


def keys_of(*keys: RSAKey) -> FixedKeys:
    return FixedKeys(read_jwks({"keys": [key.as_dict(private=False) for key in keys]}))


@pytest.fixture
def guard() -> UsedOnce:
    return UsedOnce()


@pytest.fixture
def clients(rsa_key: RSAKey, other_key: RSAKey) -> Clients:
    return Clients(
        [
            RegisteredClient("ward-tablet", "RXN", "client-1", frozenset(), keys_of(rsa_key)),
            RegisteredClient("theatre", "RXN", "client-2", frozenset(), keys_of(other_key)),
            RegisteredClient("keyless", "RXN", "client-3", frozenset(), None),
            RegisteredClient("suspended", "RXN", "client-4", frozenset(), keys_of(rsa_key), approved=False),
            RegisteredClient("idle", "RXN", "client-5", frozenset(), keys_of(rsa_key), subscribed=False),
        ]
    )


@pytest.fixture
def verifier(clients: Clients, guard: UsedOnce, clock: ManualClock) -> AssertionVerifier:
    return AssertionVerifier(clients, guard, clock)


def claims(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    good = {"iss": "client-1", "sub": "client-1", "jti": "e8b2", "aud": URL, "exp": int(clock.time()) + 300}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def form(claims: Mapping[str, Any], key: RSAKey, **header: Any) -> dict[str, str]:
    head = {"alg": "RS512", "kid": "test-1", "typ": "JWT", **header}
    return {"client_assertion_type": JWT_BEARER, "client_assertion": encode(head, dict(claims), key, algorithms=["RS512"])}


async def refusal(verifier: AssertionVerifier, sent: Mapping[str, str]) -> Refusal:
    with pytest.raises(Refused) as caught:
        await verifier.authenticate(sent, {URL})
    return caught.value.refusal


@pytest.mark.anyio
async def test_a_client_is_known_by_its_assertion(verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey) -> None:
    client = await verifier.authenticate(form(claims(clock), rsa_key, typ="jwt"), {URL})
    assert client.application == "ward-tablet"


@pytest.mark.anyio
async def test_an_assertion_is_used_once_however_many_try_together(
    verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey
) -> None:
    sent = form(claims(clock), rsa_key)
    tried = await asyncio.gather(*(verifier.authenticate(sent, {URL}) for _ in range(20)), return_exceptions=True)
    let_in = [outcome for outcome in tried if isinstance(outcome, RegisteredClient)]
    refused = [outcome.refusal for outcome in tried if isinstance(outcome, Refused)]
    assert len(let_in) == 1
    assert refused == [r.JTI_USED] * 19


@pytest.mark.anyio
async def test_a_jti_is_remembered_for_thirty_days(
    verifier: AssertionVerifier, guard: UsedOnce, clock: ManualClock, rsa_key: RSAKey
) -> None:
    await verifier.authenticate(form(claims(clock), rsa_key), {URL})
    assert guard.claimed == {("client_assertion:client-1", "e8b2"): clock.now() + timedelta(days=30)}


@pytest.mark.anyio
async def test_an_assertion_is_used_once_across_a_restart(
    clients: Clients, clock: ManualClock, rsa_key: RSAKey, tmp_path: Path
) -> None:
    sent = form(claims(clock, jti="x" * 5000 + "\0"), rsa_key)
    answers: list[object] = []
    for _ in range(2):
        database = Database.open(f"sqlite:///{tmp_path / 'db'}", clock)
        async with database.write() as connection:
            await connection.run_sync(lambda sync: replays.create(sync, checkfirst=True))
        group = GroupWriter(database)
        try:
            answers.append((await AssertionVerifier(clients, ReplayGuard(group), clock).authenticate(sent, {URL})).application)
        except Refused as refused:
            answers.append(refused.refusal)
        await group.close()
        await database.close()
    assert answers == ["ward-tablet", r.JTI_USED]


@pytest.mark.anyio
async def test_a_short_memory_still_lasts_until_the_assertion_expires(
    clients: Clients, guard: UsedOnce, clock: ManualClock, rsa_key: RSAKey
) -> None:
    verifier = AssertionVerifier(clients, guard, clock, memory=timedelta(0))
    sent = claims(clock)
    await verifier.authenticate(form(sent, rsa_key), {URL})
    (until,) = guard.claimed.values()
    assert until == datetime.fromtimestamp(sent["exp"], UTC) + timedelta(seconds=10)


@pytest.mark.anyio
async def test_two_clients_may_choose_the_same_jti(
    verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey, other_key: RSAKey
) -> None:
    await verifier.authenticate(form(claims(clock), rsa_key), {URL})
    await verifier.authenticate(form(claims(clock, iss="client-2", sub="client-2"), other_key), {URL})


@pytest.mark.anyio
async def test_a_refused_assertion_does_not_use_up_its_jti(
    verifier: AssertionVerifier, guard: UsedOnce, clock: ManualClock, rsa_key: RSAKey, other_key: RSAKey
) -> None:
    """Whoever knows only a client's id can neither fill the memory nor burn an id the client is about to use."""
    assert await refusal(verifier, form(claims(clock), other_key)) == r.SIGNATURE_INVALID
    assert not guard.claimed
    await verifier.authenticate(form(claims(clock), rsa_key), {URL})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": "client-2", "sub": "client-2"}, r.SIGNATURE_INVALID),
        ({"iss": "client-3", "sub": "client-3"}, r.KEY_UNREGISTERED),
        ({"iss": "client-4", "sub": "client-4"}, r.NOT_APPROVED),
        ({"iss": "client-5", "sub": "client-5"}, r.NOT_SUBSCRIBED),
        ({"iss": "nobody", "sub": "nobody"}, r.ISS_SUB_UNKNOWN),
        ({"iss": 1, "sub": 1}, r.ISS_SUB_UNKNOWN),
        ({"iss": ["client-1"], "sub": ["client-1"]}, r.ISS_SUB_UNKNOWN),
        ({"iss": {}, "sub": {}}, r.ISS_SUB_MISMATCH),
        ({"iss": "client-1", "sub": "client-2"}, r.ISS_SUB_MISMATCH),
        ({"iss": "", "sub": ""}, r.ISS_SUB_MISMATCH),
        ({"aud": ...}, r.AUD_INVALID),
        ({"aud": URL + "/"}, r.AUD_INVALID),
        ({"aud": URL.upper()}, r.AUD_INVALID),
        ({"aud": []}, r.AUD_INVALID),
        ({"aud": [[URL]]}, r.AUD_INVALID),
        ({"aud": {URL: 1}}, r.AUD_INVALID),
        ({"exp": None}, r.EXP_MISSING),
        ({"exp": ""}, r.EXP_MISSING),
        ({"exp": True}, r.EXP_TYPE),
        ({"exp": "1767226200"}, r.EXP_TYPE),
        ({"exp": 1767225900.5}, r.EXP_TYPE),
        ({"exp": 10**400}, r.EXP_TOO_FAR),
        ({"exp": -(10**400)}, r.EXP_PASSED),
        ({"exp": 0}, r.EXP_PASSED),
        ({"jti": ""}, r.JTI_MISSING),
        ({"jti": None}, r.JTI_MISSING),
        ({"jti": 1}, r.JTI_TYPE),
        ({"jti": ["a"]}, r.JTI_TYPE),
        ({"nbf": 1767225611}, r.NBF_INVALID),
        ({"nbf": "soon"}, r.NBF_INVALID),
        ({"nbf": 10**400}, r.NBF_INVALID),
    ],
)
async def test_claims_that_are_not_right_are_refused(
    verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey, changes: dict[str, Any], expected: Refusal
) -> None:
    assert await refusal(verifier, form(claims(clock, **changes), rsa_key)) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("offset", "expected"), [(-11, r.EXP_PASSED), (-10, None), (310, None), (311, r.EXP_TOO_FAR), (50_000, r.EXP_TOO_FAR)]
)
async def test_the_leeway_is_ten_seconds_and_the_horizon_five_minutes(
    verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey, offset: int, expected: Refusal | None
) -> None:
    sent = form(claims(clock, exp=int(clock.time()) + offset), rsa_key)
    if expected is None:
        await verifier.authenticate(sent, {URL})
    else:
        assert await refusal(verifier, sent) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kid": "made-up"}, r.KID_UNKNOWN),
        ({"kid": ""}, r.KID_MISSING),
        ({"typ": "at+jwt"}, r.TYP_INVALID),
        ({"crit": ["kid"]}, r.ASSERTION_MALFORMED),
    ],
)
async def test_headers_that_are_not_right_are_refused(
    verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey, changes: dict[str, Any], expected: Refusal
) -> None:
    assert await refusal(verifier, form(claims(clock), rsa_key, **changes)) == expected


@pytest.mark.anyio
async def test_keys_brought_along_in_the_header_mean_nothing(
    verifier: AssertionVerifier, clock: ManualClock, other_key: RSAKey
) -> None:
    brought = {"jwk": other_key.as_dict(private=False), "jku": "https://evil.test/jwks", "x5u": "https://evil.test/x5u"}
    assert await refusal(verifier, form(claims(clock), other_key, **brought)) == r.SIGNATURE_INVALID


@pytest.mark.anyio
async def test_a_client_may_rotate_its_keys(
    verifier: AssertionVerifier, clients: Clients, clock: ManualClock, rsa_key: RSAKey, other_key: RSAKey
) -> None:
    await verifier.authenticate(form(claims(clock), rsa_key), {URL})
    clients.replace([RegisteredClient("ward-tablet", "RXN", "client-1", frozenset(), keys_of(other_key))])
    assert await refusal(verifier, form(claims(clock, jti="2"), rsa_key)) == r.SIGNATURE_INVALID
    await verifier.authenticate(form(claims(clock, jti="3"), other_key), {URL})


@pytest.mark.anyio
async def test_the_first_of_two_mistakes_is_told(verifier: AssertionVerifier, clock: ManualClock, rsa_key: RSAKey) -> None:
    both = form(claims(clock, exp=1, jti=...), rsa_key, kid="")
    assert await refusal(verifier, both) == r.EXP_PASSED
    assert [expected for _, expected in CHECKS][:3] == [r.ALG_MISSING, r.ALG_INVALID, r.EXP_PASSED]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, r.ASSERTION_TYPE),
        ({"client_assertion_type": "other", "client_assertion": "x"}, r.ASSERTION_TYPE),
        ({"client_assertion_type": JWT_BEARER}, r.ASSERTION_MISSING),
        ({"client_assertion_type": JWT_BEARER, "client_assertion": "invalid"}, r.ASSERTION_MALFORMED),
        ({"client_assertion_type": JWT_BEARER, "client_assertion": "\ud800"}, r.ASSERTION_MALFORMED),
        ({"client_assertion_type": JWT_BEARER, "client_assertion": "a" * 20_000}, r.ASSERTION_MALFORMED),
    ],
)
async def test_a_form_without_an_assertion_is_refused(verifier: AssertionVerifier, sent: dict[str, str], expected: Refusal) -> None:
    assert await refusal(verifier, sent) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(["iss", "sub", "jti", "aud", "exp", "nbf"]), JSON, min_size=1),
    header=st.dictionaries(st.sampled_from(["kid", "typ"]), st.text(max_size=8)),
)
def test_whatever_is_claimed_is_accepted_or_refused_and_never_breaks(
    clients: Clients, clock: ManualClock, rsa_key: RSAKey, changes: dict[str, Any], header: dict[str, str]
) -> None:
    verifier = AssertionVerifier(clients, UsedOnce(), clock)
    try:
        sent = form({**claims(clock), **changes}, rsa_key, **header)
    except (ValueError, UnicodeEncodeError):
        return
    try:
        client = asyncio.run(verifier.authenticate(sent, {URL}))
    except Refused:
        return
    assert client.client_id == {**claims(clock), **changes}["sub"]


def test_two_clients_cannot_have_one_id(clients: Clients) -> None:
    twin = RegisteredClient("a", "RXN", "same", frozenset(), None)
    with pytest.raises(DeploymentError, match="same client_id"):
        clients.replace([twin, RegisteredClient("b", "RXN", "same", frozenset(), None)])
    assert clients.find("client-1") is not None, "a refused reload changes nothing"
