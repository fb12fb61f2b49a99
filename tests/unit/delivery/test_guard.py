"""The outbound guard: the allow-list, how URLs are read, and names that lead inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fiveways.delivery.guard import Guard, Refused, Resolver, Unresolved, system_resolver
from fiveways.delivery.settings import OutboundSettings

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"


def names(**known: list[str]) -> Resolver:
    """A resolver that knows these names, dots written as underscores."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return known[host.replace(".", "_")]

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/", "https://hooks.example", "https://hooks.example:8443/any/path?q=1", "https://HOOKS.example/x",
        "https://a.below.example/", "https://b.a.below.example/", "https://start.example:8443/in", "https://start.example:8443/in/here",
        "https://93.184.216.34/x",
    ],
)  # fmt: skip
async def test_what_is_on_the_list_passes(url: str) -> None:
    allow = ["hooks.example", "*.below.example", "https://start.example:8443/in/", PUBLIC]

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [PUBLIC]

    destination = await Guard(allow, resolver=resolve).destination(url)
    assert [str(address) for address in destination.addresses] == [PUBLIC]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://other.example/", "not on the allow-list"),
        ("https://hooks.example.evil.example/", "not on the allow-list"),
        ("https://hooks.example./", "not on the allow-list"),
        ("https://below.example/", "not on the allow-list"),
        ("https://notbelow.example/", "not on the allow-list"),
        ("https://start.example/in", "not on the allow-list"),
        ("https://start.example:8443/inside", "not on the allow-list"),
        ("https://start.example:8443/in/../out", "not on the allow-list"),
        ("https://start.example:8443/in/%2e%2e/out", "not on the allow-list"),
        ("https://start.example:8443/", "not on the allow-list"),
        ("http://hooks.example/", "only https"),
        ("ftp://hooks.example/", "only https"),
        ("file:///etc/passwd", "needs a host"),
        ("https://user:secret@hooks.example/", "credentials"),
        ("https://hooks.example@other.example/", "credentials"),
        ("https://@hooks.example/", "credentials"),
        ("https://hooks.example\\@other.example/", "visible ASCII"),
        ("https://hooks.example/\r\nHost: x", "visible ASCII"),
        ("https://ⓗooks.example/", "visible ASCII"),
        ("https://hooks.example/#part", "fragment"),
        ("//hooks.example/", "no URL"),
        ("hooks.example", "no URL"),
        ("", "visible ASCII"),
        ("https://0x7f.1/", "not on the allow-list"),
        ("https://2130706433/", "not on the allow-list"),
        ("https://[::1]/", "not on the allow-list"),
    ],
)
async def test_what_is_not_on_the_list_is_refused(url: str, why: str) -> None:
    guard = Guard(["hooks.example", "*.below.example", "https://start.example:8443/in"], ["0.0.0.0/0"])
    with pytest.raises(Refused, match=why) as refused:
        await guard.destination(url)
    assert "secret" not in str(refused.value)


def test_nothing_is_allowed_where_nothing_is_said() -> None:
    with pytest.raises(Refused):
        Guard([]).judge("https://hooks.example/")


@pytest.mark.parametrize("entry", ["", "*", "*.", "a b", "hooks.example:8443", "https://user@hooks.example/", "-x.example"])
def test_an_entry_that_means_nothing_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Guard([entry])


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,30}", fullmatch=True))
def test_whatever_is_written_is_judged_or_refused(url: str) -> None:
    guard = Guard(["hooks.example"], plain=True)
    try:
        _, host, _ = guard.judge(url)
    except Refused:
        return
    assert host == "hooks.example"


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.8"])
@pytest.mark.parametrize("besides", [[], [PUBLIC]])
async def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(inside: str, besides: list[str]) -> None:
    guard = Guard(["hooks.example"], resolver=names(hooks_example=[*besides, inside]))
    with pytest.raises(Refused, match="public") as refused:
        await guard.destination("https://hooks.example/")
    assert inside not in str(refused.value)


def test_a_private_address_in_a_url_is_refused_when_it_is_declared() -> None:
    for url in ("https://127.0.0.1/", "https://[::1]/", "https://0x7f.1/", "https://10.1.2.3/"):
        with pytest.raises(Refused, match="not the public Internet's"):
            Guard(["127.0.0.1", "::1", "10.1.2.3"]).judge(url)
        Guard(["127.0.0.1", "::1", "10.1.2.3"], ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]).judge(url)


def test_what_a_deployment_says_of_the_guard_is_checked_when_it_is_read() -> None:
    for wrong in ({"allow": ["ex ample"]}, {"allow": ["https://user@host/"]}, {"networks": ["10.0.0.1/8"]}, {"ca": "a secret"}):
        with pytest.raises(ValidationError):
            OutboundSettings.model_validate(wrong)
    with pytest.raises(Refused):
        OutboundSettings().guard().judge("https://hooks.example/")
    OutboundSettings(allow=("*.example",)).guard().judge("https://hooks.example/")


async def test_an_address_in_the_url_is_judged_in_every_spelling() -> None:
    guard = Guard(["127.0.0.1", "::1", "::ffff:7f00:1"], plain=True)
    for url in (
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://127.1/",
    ):
        with pytest.raises(Refused, match="loopback"):
            await guard.destination(url)


async def test_a_name_that_is_not_known_just_now_is_no_refusal() -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise OSError

    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        raise AssertionError

    async def empty(host: str, port: int) -> Sequence[str]:
        return []

    for resolver in (fails, hangs, empty):
        guard = Guard(["hooks.example"], resolver=resolver, patience=timedelta(milliseconds=50))
        with pytest.raises(Unresolved):
            await guard.destination("https://hooks.example/")


async def test_the_machines_own_name_for_itself_is_refused_unless_allowed() -> None:
    assert "127.0.0.1" in await system_resolver("localhost", 80) or "::1" in await system_resolver("localhost", 80)
    with pytest.raises(Refused, match="loopback"):
        await Guard(["localhost"]).destination("https://localhost/")
    allowed = await Guard(["localhost"], ["127.0.0.0/8", "::1/128"]).destination("https://localhost/")
    assert allowed.addresses
