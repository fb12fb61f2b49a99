"""Where we go, and where our credentials do: nowhere but where we were told."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client import ClientError, Untrusted
from fiveways.client.origins import Origins

BASE = "https://gateway.example/base"
ORIGINS = Origins(BASE, ["https://polls.example:8443"], ["https://store.example"])


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/status/1", "https://gateway.example/status/1"),
        ("status/1?a=b", "https://gateway.example/base/status/1?a=b"),
        ("https://gateway.example:443/s", "https://gateway.example/s"),
        ("HTTPS://GATEWAY.example/s", "https://gateway.example/s"),
        ("https://polls.example:8443/1", "https://polls.example:8443/1"),
        ("", "https://gateway.example/base/job"),
    ],
)
def test_what_is_the_deployments_own_is_shown_our_credentials(reference: str, url: str) -> None:
    assert ORIGINS.follow(reference, f"{BASE}/job") == (url, True)


def test_what_is_trusted_is_asked_without_credentials() -> None:
    assert ORIGINS.follow("https://store.example/o?sig=1", f"{BASE}/job") == ("https://store.example/o?sig=1", False)


@pytest.mark.parametrize(
    "reference",
    [
        "https://evil.example/", "//evil.example/", "\\\\evil.example\\", "http://gateway.example/", "https://gateway.example:444/",
        "https://gateway.example.evil.example/", "https://gateway.example@evil.example/", "https://u:p@gateway.example/",
        "https://polls.example/", "javascript:alert(1)", "file:///etc/passwd", "data:,x", "ftp://gateway.example/", "https://",
        "http://[::1", "\thttps://evil.example", "/\\evil.example", "https:\\\\evil.example",
    ],
)  # fmt: skip
def test_nothing_else_is_followed(reference: str) -> None:
    with pytest.raises(Untrusted):
        ORIGINS.follow(reference, f"{BASE}/job")


HOSTILE = st.text(alphabet="htps:/\\@evil.gateway.example?#%[] \t\n1", max_size=60)


@given(HOSTILE | st.builds("https://gateway.example{}".format, HOSTILE) | st.builds("//{}".format, HOSTILE) | st.text())
def test_whatever_is_said_what_is_followed_is_where_we_were_told(reference: str) -> None:
    with suppress(Untrusted):
        place = ORIGINS.follow(reference, f"{BASE}/job")
        read_otherwise = urlsplit(place.url)  # another parser sees the same host
        assert (read_otherwise.scheme, read_otherwise.username) == ("https", None)
        assert (read_otherwise.netloc in ("gateway.example", "polls.example:8443")) is place.own
        assert place.own or read_otherwise.netloc == "store.example"


@given(st.text())
def test_a_path_never_leaves_the_deployment(path: str) -> None:
    with suppress(ClientError):
        place = ORIGINS.at(path)
        assert place.own
        assert urlsplit(place.url).netloc == "gateway.example"


@pytest.mark.parametrize(
    "url", ["gateway.example", "ftp://x", "https://u:p@x", "https://x?a=b", "https://x#a", "https://", "file:///x"]
)
def test_a_deployment_is_at_an_address(url: str) -> None:
    with pytest.raises(ClientError):
        Origins(url)
