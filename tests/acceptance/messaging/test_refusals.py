"""What is refused before a request reaches messaging is refused in the words that MESH's clients read, below its paths.

Raw sockets, as no library sends such requests: proxies and attackers do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from mesh_client import MeshClient, MeshError
from tests.acceptance.messaging.conftest import Sandbox

HOST = "Host: sandbox\r\n"
PATHS = {
    "dot segments": "/messageexchange/ALICE/../BOB/inbox",
    "encoded dot segments": "/messageexchange/ALICE/%2e%2E/BOB/inbox",
    "behind an encoded slash": "/messageexchange/ALICE%2F../BOB/inbox",
    "a slash before": "//messageexchange/ALICE/inbox",
    "an encoded slash": "/messageexchange%2FALICE/inbox",
    "a backslash": "/messageexchange/ALICE\\inbox",
    "an encoded control character": "/messageexchange/ALICE%00/inbox",
    "half an escape": "/messageexchange/ALICE/inbox%2",
    "a query that is none": '/messageexchange/ALICE/inbox?workflow_filter="',
    "sandbox control": "/messageexchange/admin/../ALICE/inbox",
}
FIELDS = {
    "two credentials": "Authorization: NHSMESH a\r\nAuthorization: NHSMESH b\r\n",
    "no host": "",
    "two ids": "X-Request-ID: a\r\nX-Request-ID: b\r\n",
    "a length that is none": "Content-Length: 00\r\n",
}


@pytest.fixture
def exchange(sandbox: Sandbox) -> Callable[..., Any]:
    """Sends bytes and reads the one answer, to the end of the connection: status, content type and content."""
    address = urlsplit(sandbox.url)

    def ask(path: str, fields: str = HOST, method: str = "GET", content: str = "") -> tuple[int, str, bytes]:
        request = f"{method} {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n{content}"
        with socket.create_connection((address.hostname or "", address.port or 0), 5) as connection:
            connection.sendall(request.encode("latin-1"))
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        kind = next((line.partition(": ")[2] for line in lines if line.startswith("content-type")), "")
        return int(lines[0].split()[1]), kind, body

    return ask


def readable(answer: tuple[int, str, bytes], status: int = 400) -> None:
    """mesh-client reads `detail` of every refusal as a list of objects with a `msg`."""
    assert answer[:2] == (status, "application/vnd.mesh.v2+json")
    told = msgspec.json.decode(answer[2])
    assert told["internal_id"]
    assert all(each["msg"] for each in told["detail"])
    assert told["detail"]


@pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
def test_a_path_that_can_be_read_in_two_ways_is_refused_in_words_that_clients_read(exchange: Any, path: str) -> None:
    readable(exchange(path))
    readable(exchange(path, method="POST", fields=HOST + "Content-Length: 5\r\n", content="hello"))


@pytest.mark.parametrize("fields", FIELDS.values(), ids=list(FIELDS))
def test_so_are_fields_that_may_mean_two_things(exchange: Any, fields: str) -> None:
    readable(exchange("/messageexchange/ALICE/outbox", method="POST", fields=(HOST if fields else "") + fields))


def test_so_is_a_path_that_is_too_long(exchange: Any) -> None:
    readable(exchange("/messageexchange/ALICE/inbox/" + "A" * 20_000), 414)


def test_so_is_a_body_that_is_too_large(exchange: Any) -> None:
    readable(exchange("/messageexchange/ALICE/outbox", method="POST", fields=f"{HOST}Content-Length: 200000000\r\n"), 413)


@pytest.mark.parametrize("path", ["/elsewhere/../inbox", "//inbox", "/messageexchangeALICE/../inbox", "/inbox%00"])
def test_elsewhere_the_platform_refuses_in_its_own_words(exchange: Any, path: str) -> None:
    status, kind, body = exchange(path)
    assert (status, kind) == (400, "application/problem+json")
    assert msgspec.json.decode(body)["detail"]


def test_mesh_client_tells_its_user_what_was_refused(client: Callable[..., MeshClient]) -> None:
    with pytest.raises(MeshError, match="can be read in more than one way"):
        client("ALICE\\").send_message("BOB", b"hello", workflow_id="NOTE")
