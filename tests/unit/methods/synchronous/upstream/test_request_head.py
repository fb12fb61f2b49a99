"""What is written is one request, whatever is put into it."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.methods.synchronous.upstream.request_head import RequestHead

HEAD = RequestHead(b"records.example:8443")


def _render(
    method: bytes = b"GET",
    target: bytes = b"/Patient",
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes | None = None,
) -> bytes:
    return HEAD.render(UpstreamRequest(method, target, headers or [], body))


def test_request_line_host_and_fields_are_written_as_given() -> None:
    assert _render(headers=[(b"accept", b"text/plain"), (b"X-Odd", b"caf\xe9")], target=b"/a//b%2F?x=%41&y") == (
        b"GET /a//b%2F?x=%41&y HTTP/1.1\r\nhost: records.example:8443\r\naccept: text/plain\r\nX-Odd: caf\xe9\r\n\r\n"
    )


def test_framing_host_and_hop_by_hop_fields_of_the_caller_are_left_out() -> None:
    fields = [b"Host", b"content-length", b"Transfer-Encoding", b"connection", b"te", b"upgrade", b"proxy-authorization"]
    assert _render(headers=[(name, b"1") for name in fields]) == _render()


@pytest.mark.parametrize(
    ("method", "body", "length", "framing"),
    [
        (b"GET", None, None, []),
        (b"POST", None, None, [(b"content-length", b"0")]),
        (b"PUT", b"abc", None, [(b"content-length", b"3")]),
        (b"DELETE", b"", None, [(b"content-length", b"0")]),
    ],
)
def test_the_end_of_the_body_is_told(method: bytes, body: bytes | None, length: int | None, framing: object) -> None:
    head = HEAD.render(UpstreamRequest(method, b"/", [], body, length))
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert [field for field in event.headers if field[0] in (b"content-length", b"transfer-encoding")] == framing


@pytest.mark.parametrize("evil", [b"a\r\nx: y", b"a\nx: y", b"a\rx", b"a\0", b"\r\n\r\nGET /admin HTTP/1.1"])
def test_line_breaks_and_nul_in_a_value_are_refused(evil: bytes) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        _render(headers=[(b"x-note", evil)])


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\0", b"caf\xe9", b" a"])
def test_a_field_name_must_be_a_token(name: bytes) -> None:
    with pytest.raises(ValueError, match="token"):
        _render(headers=[(name, b"v")])


@pytest.mark.parametrize("target", [b"", b"Patient", b"/a b", b"/a\r\nx: y", b"/\0", b"/\x7f", b"http://other/", b"*"])
def test_a_target_that_could_end_the_request_line_is_refused(target: bytes) -> None:
    with pytest.raises(ValueError, match="target"):
        _render(target=target)


@pytest.mark.parametrize("method", [b"", b"GET /x", b"G\r\n", b"CONNECT"])
def test_a_method_must_be_a_token_and_not_connect(method: bytes) -> None:
    with pytest.raises(ValueError, match="method"):
        _render(method=method)


def test_a_proxy_is_asked_in_absolute_form() -> None:
    head = RequestHead(b"a.example", absolute=b"http://a.example").render(UpstreamRequest(b"GET", b"/x", []))
    assert head.startswith(b"GET http://a.example/x HTTP/1.1\r\nhost: a.example\r\n")


@given(
    st.binary(max_size=12),
    st.binary(max_size=30).map(lambda tail: b"/" + tail),
    st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=20)), max_size=5),
)
def test_any_bytes_are_refused_or_stay_where_they_were_put(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    try:
        head = _render(method, target, headers)
    except ValueError:
        return
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert lines[0] == method + b" " + target + b" HTTP/1.1"
    assert len(lines) <= 3 + len(headers)
    assert b"\n" not in b"".join(lines)
    assert head.count(b"\r\n\r\n") == 1
