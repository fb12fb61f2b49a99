"""Whatever is posted to a receiver, it is answered, and nothing is kept that was not signed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client import Answer, Ledger, Receiver
from fiveways.client.jobs import Jobs
from fiveways.client.ledger import EXCHANGE
from fiveways.signing import HEADER, sign

SECRET = b"a secret of enough bytes"
NAMES = (
    "fiveways-status",
    "fiveways-event",
    "x-request-id",
    "content-location",
    "content-length",
    "content-encoding",
    "content-type",
)
VALUES = st.binary(max_size=30) | st.sampled_from([b"200", b"ping", b"gzip", b"\xb2", b"9" * 5000, b"http://[", b"-1", b""])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with one job that has no outcome."""
    with Ledger(Path(tmp_path_factory.mktemp("ledger")) / "ledger.sqlite") as ledger:
        ledger.open(EXCHANGE, "https://a.example", own="", local_id="one")
        yield ledger


def posted(ledger: Ledger, headers: list[tuple[bytes, bytes]], pieces: list[bytes]) -> int:
    """The status that a callback is answered with."""
    sent: list[dict[str, Any]] = []
    left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(Receiver(ledger, [SECRET], largest=1000)(scope, receive, send))
    return int(sent[0]["status"])


@given(st.lists(st.tuples(st.sampled_from([*NAMES, HEADER.lower()]).map(str.encode), VALUES)), st.lists(st.binary(max_size=600)))
def test_what_is_not_signed_is_never_kept(kept: Ledger, headers: list[tuple[bytes, bytes]], pieces: list[bytes]) -> None:
    assert posted(kept, headers, pieces) in (401, 413)


@given(st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), VALUES)), st.binary(max_size=1000))
def test_whatever_is_signed_is_answered(kept: Ledger, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    signed = (HEADER.lower().encode(), sign([SECRET], time.time(), body).encode())
    assert posted(kept, [*headers, signed], [body]) in (204, 400, 404, 413)
    (request,) = kept.waiting()
    assert Jobs(kept).outcome(request.id) is None


def test_what_is_signed_and_ours_is_kept(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        request = ledger.open(EXCHANGE, "https://a.example", own="")
        said = {HEADER.lower(): sign([SECRET], time.time(), b"ab"), "fiveways-status": "200", "x-request-id": request.id}
        assert posted(ledger, [(name.encode(), value.encode()) for name, value in said.items()], [b"a", b"b"]) == 204
        found = Jobs(ledger).conclusion(request.id)
        assert isinstance(found, Answer)
        assert found.content == b"ab"
