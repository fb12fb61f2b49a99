"""Requests that could mean two things, or are made to hurt: refused at the front, never passed on, never a 500."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.acceptance.conftest import Backend, Served, echo, response


def smuggled(path: str) -> bytes:
    """A request that must not be taken for one."""
    return f"GET /open{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers on a connection."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", id="differing Content-Length"),
        pytest.param(b"Content-Length: 5, 5\r\n\r\nabcde", id="a list of lengths"),
        pytest.param(b"Content-Length: +5\r\n\r\nabcde", id="plus"),
        pytest.param(b"Content-Length: -5\r\n\r\nabcde", id="minus"),
        pytest.param(b"Content-Length: 05\r\n\r\nabcde", id="leading zero"),
        pytest.param(b"Content-Length: 0x5\r\n\r\nabcde", id="hexadecimal"),
        pytest.param(b"Content-Length: 5 \r\nX:\r\n\tfolded\r\n\r\nabcde", id="folded field"),
        pytest.param(b"Content-Length: 99999999999999999999\r\n\r\nabcde", id="a length past 64 bits"),
        pytest.param(b"Content-Length : 5\r\n\r\nabcde", id="space before the colon"),
        pytest.param(b"Content-Length: \r\n\r\n", id="no length at all"),
        pytest.param(b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="another coding too"),
        pytest.param(b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="a coding that looks alike"),
        pytest.param(b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", id="chunked twice in a list"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked twice"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", id="chunked and identity"),
        pytest.param(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nabcde", id="identity with a length"),
        pytest.param(b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\nabcde", id="vertical tab"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", id="a chunk size that is none"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", id="a negative chunk size"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", id="a chunk size with a prefix"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\nabc", id="a chunk size past 64 bits"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", id="a chunk longer than it says"),
    ],
)
def test_a_framing_that_means_two_things_gets_no_answer_but_400(platform: Served, behind: Backend, framing: bytes) -> None:
    """RFC 9112 §6.3, §11.2. What cannot be told apart is refused or cut, and nothing behind it is taken for a request."""
    path, other = behind.at(echo), behind.at(response())
    answer = platform.raw(f"POST /open{path} HTTP/1.1\r\nHost: a\r\n".encode() + framing + smuggled(other), seconds=1)
    assert set(statuses(answer)) <= {400}
    assert not any(seen.whole for seen in behind.requests(path))
    assert not behind.requests(other)


def test_the_same_length_twice_is_one_length(platform: Served, behind: Backend) -> None:
    """RFC 9110 §8.6: identical copies may be taken for one, of which the back end is told once, or be refused."""
    path = behind.at(echo)
    head = f"POST /open{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"
    answered = statuses(platform.raw(head.encode() + b"abcde"))
    assert answered in ([200], [400])
    assert [(seen.all(b"content-length"), seen.body) for seen in behind.requests(path)] == [([b"5"], b"abcde")] * (
        answered == [200]
    )


def test_length_and_chunked_together_mean_chunked_and_end_the_connection(platform: Served, behind: Backend) -> None:
    """RFC 9112 §6.1: a gateway may take it as chunked if it says so to the next and closes."""
    path, other = behind.at(echo), behind.at(response())
    head = f"POST /open{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = platform.raw(head.encode() + b"0\r\n\r\n" + smuggled(other), seconds=2)
    assert len(statuses(answer)) == 1
    for seen in behind.requests(path):
        assert (seen.all(b"content-length"), seen.all(b"transfer-encoding"), seen.body) == ([], [b"chunked"], b"")
    assert not behind.requests(other)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /open/h HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two differing Hosts"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a/b\r\n\r\n", id="a path in Host"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a b\r\n\r\n", id="a blank in Host"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: u@a\r\n\r\n", id="a user in Host"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a, b\r\n\r\n", id="two names in Host"),
        pytest.param(b"GET /open/h x HTTP/1.1\r\nHost: a\r\n\r\n", id="a blank in the path"),
        pytest.param(b"GET /open/h\r\nHost: a\r\n\r\n", id="no version"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n", id="a blank in a name"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", id="no name"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", id="NUL in a value"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", id="a bare CR in a value"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", id="two Authorizations"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\r\nX-Request-ID: b\r\n\r\n", id="two request ids"),
        pytest.param(b"GET /open/h HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a\r\nidempotency-key: b\r\n\r\n", id="two keys"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS on a plain port"),
        pytest.param(b"\x00" * 100 + b"\r\n\r\n", id="noise"),
    ],
)
def test_a_malformed_request_is_refused(platform: Served, behind: Backend, head: bytes) -> None:
    before = len(behind.seen)
    answer = platform.raw(head, seconds=0.5)
    assert set(statuses(answer)) <= {400}
    assert len(behind.seen) == before


@pytest.mark.parametrize(
    "path",
    [
        "/open/../keyed/x", "/open/%2e%2e/x", "/open/.%2E/x", "/open/./x", "/open/x/..", "/open/x/%2E",
        "/open/..;/x", "/open/..%2fx",
        "/open/x%2f..%2fy", "//open/x", "//evil.example/open", "/open\\x", "/open/%5cx", "/open/%5C..%5Cx", "/open/%00",
        "/open/a%0d%0ab",
        "/open/%7f", "/open/%zz", "/open/%", "/open/%e", "/open/<x>", '/open/"x', "/open/é", "/open/\x01",
        "/open/x?a=<b>", "/open/x?\x7f", "*", "open/x",
    ],
)  # fmt: skip
def test_a_path_that_can_be_read_in_two_ways_is_400(platform: Served, behind: Backend, path: str) -> None:
    before = len(behind.seen)
    answer = platform.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode(), seconds=2)
    assert statuses(answer) in ([400], [])
    assert len(behind.seen) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/%73ecret"), ("GET", "/secre%74"), ("GET", "/x%2f..%2fsecret"), ("GET", "//secret"), ("GET", "/secret//"),
        ("GET", "/secret;v=1"), ("HEAD", "/secret"), ("POST", "/secret%2F1/lines"), ("POST", "/secret//1/lines"),
        ("POST", "/secret/1/line%73"), ("POST", "/secret/1;x/lines;y"), ("GET", "/%2Fsecret"), ("GET", "/secret%2F"),
        ("GET", "/secret%3Bv=1"), ("GET", "/secret/"),
    ],
)  # fmt: skip
def test_an_operation_s_own_security_cannot_be_spelt_around(platform: Served, behind: Backend, method: str, path: str) -> None:
    """RFC 3986 §6.2.2.2: another spelling of the same path is the same path to a back end, so it is to the policies (S36)."""
    before = len(behind.seen)
    answer = platform.raw(f"{method} /guarded{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode(), seconds=0.4)
    assert statuses(answer)[0] in (400, 401)
    assert len(behind.seen) == before


def test_percent_encoding_that_changes_nothing_passes(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    for spelling in ("/a%20b", "/a%2Fb", "/%7Euser", "/a//b", "/a;v=1", "/%C3%A9"):
        assert platform.call("GET", f"/guarded{path}{spelling}").status_code == 200
        assert behind.requests(path)[-1].target == f"{path}{spelling}".encode()


SPOOFED = [
    "NHSD-Request-ID", "NHSD-Correlation-ID", "NHSD-Identity-UUID", "NHSD-Identity-IdP", "NHSD-ASID", "NHSD-NHSLogin-User",
    "NHSD-Application", "NHSE-PDS-Custom-Attributes", "NHSE-PDS-Privileged-Access", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Real-IP", "Forwarded",
    "NHSD_ASID", "nhsd_identity_uuid", "X_Forwarded_For", "NHSD-Identity_UUID", "nhsd_application",
]  # fmt: skip


def test_a_client_cannot_speak_as_the_gateway(platform: Served, behind: Backend) -> None:
    """Internal fields are stripped from the client first, underscores too: CGI and WSGI read them as hyphens."""
    path = behind.at(response())
    for base, headers in (("/open", {}), ("/fhir/R4", platform.bearer()), ("/plain", {})):
        sent = {**dict.fromkeys(SPOOFED, "spoofed"), **headers}
        assert platform.call("GET", base + path, headers=sent).status_code == 200
    for seen in behind.requests(path):
        assert b"spoofed" not in seen.head
    _, fhir, _ = behind.requests(path)
    assert fhir.all(b"nhsd-asid") == [b"200000001115"]
    assert fhir.all(b"nhsd-application") == [b"ward"]
    assert fhir.all(b"x-forwarded-for") == [b"127.0.0.1"]


def test_the_gateway_s_own_credentials_end_there(platform: Served, behind: Backend) -> None:
    """A token for this platform is no business of a back end's, on the open operations of a restricted API neither."""
    path = behind.at(response())
    assert platform.call("GET", f"/fhir/R4{path}", headers=platform.bearer()).status_code == 200
    assert platform.call("GET", f"/mixed{path}", headers=platform.bearer()).status_code == 200
    assert platform.call("GET", f"/partly/public{path}", headers=platform.bearer()).status_code == 200
    for seen in behind.requests(path):
        assert platform.token("ward").encode() not in seen.head


def test_too_long_a_target_is_414(platform: Served, behind: Backend) -> None:
    for path in ("/open/" + "a" * 20_000, "/open/x?" + "a" * 20_000):
        assert platform.call("GET", path).status_code == 414
    assert platform.call("GET", "/open/" + "a" * 8000).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-{number}": "1" for number in range(300)},
        {"X-Large": "a" * 70_000},
        {f"X-{number}": "a" * 3000 for number in range(30)},
        {"X-Huge": "a" * 400_000},
    ],
    ids=["300 fields", "a field of 70 kB", "90 kB of fields", "400 kB"],
)
def test_too_many_or_too_large_fields_are_431(platform: Served, behind: Backend, headers: dict[str, str]) -> None:
    before = len(behind.seen)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    answer = platform.raw(f"GET /open/h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n".encode(), seconds=3)
    assert statuses(answer) in ([431], [])
    assert len(behind.seen) == before


def test_an_absolute_target_is_no_way_to_another_server(platform: Served, behind: Backend) -> None:
    """RFC 9112 §3.2.2: the absolute form is taken, or refused; the back end is the API's whatever it names."""
    path = behind.at(response())
    answer = platform.raw(
        f"GET http://evil.example/open{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode(), seconds=2
    )
    assert statuses(answer) in ([200], [400])
    for seen in behind.requests(path):
        assert seen.target == f"/base{path}".encode()
        assert seen.all(b"host") == [f"127.0.0.1:{behind.port}".encode()]


def test_http_1_0_is_answered_and_closed(platform: Served, behind: Backend) -> None:
    path = behind.at(response(200, b"ok"))
    answer = platform.raw(f"GET /open{path} HTTP/1.0\r\nHost: a\r\n\r\n".encode(), seconds=2)
    assert re.match(rb"HTTP/1\.[01] 200 ", answer)
    assert answer.endswith(b"ok")
    assert behind.requests(path)[0].all(b"via") == [b"1.0 fiveways"]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PRI"])
def test_methods_that_are_not_for_a_gateway_get_no_5xx(platform: Served, method: str) -> None:
    answer = platform.raw(f"{method} /open/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode(), seconds=2)
    assert all(status < 500 for status in statuses(answer))


@pytest.mark.parametrize("sent", ["x", "not a guid", "0" * 300, "a\tb", "12345678-1234-1234-1234-12345678901"])
def test_a_request_id_must_be_a_guid_where_the_api_says_so(platform: Served, sent: str) -> None:
    """PDS: 400 INVALID_VALUE with the value named."""
    answer = platform.call("GET", "/strict/x", headers={"X-Request-ID": sent})
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (400, "INVALID_VALUE")
    assert issue["diagnostics"].startswith("Invalid value - '")
    assert issue["diagnostics"].endswith("' in header 'X-Request-ID'")


def test_a_request_id_must_be_there_where_the_api_says_so(platform: Served, behind: Backend) -> None:
    assert platform.call("GET", "/strict/x").json()["issue"][0]["details"]["coding"][0]["code"] == "MISSING_VALUE"
    guid = "C0FFEE00-0000-4000-8000-00000000CAFE"
    answer = platform.call("GET", "/strict/x", headers={"X-Request-ID": guid})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, guid)


PATHS = st.text(st.characters(codec="latin-1"), max_size=30).map(lambda text: "/open/" + text)
PARTS = ["/", "//", "..", ".", "%2e", "%2F", "%5c", "\\", ";", "%", "%00", "?", "#", "a", "é", " ", "%25", "@", ":"]
SPICE = st.lists(st.sampled_from(PARTS), max_size=8).map(lambda parts: "/open/" + "".join(parts))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS | SPICE, http=st.sampled_from(["1.1", "1.0"]))
@example(path="/open/%252e%252e/x", http="1.1")
@example(path="/open/x;..", http="1.1")
def test_no_path_is_a_500_or_means_something_else_behind(platform: Served, behind: Backend, path: str, http: str) -> None:
    """Whatever the path: an answer below 500, and if it is passed on then unchanged and below the target's own path."""
    raw = path.encode("latin-1")
    before = len(behind.seen)
    answer = platform.raw(b"GET %b HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % (raw, http.encode()), seconds=2)
    assert all(status < 500 for status in statuses(answer))
    assert b"Traceback" not in answer
    for seen in behind.seen[before:]:
        # What ASGI cannot tell: a fragment, which is nobody's but the client's, and a '?' with nothing behind it.
        told = raw.rstrip(b" ").replace(b"/open", b"/base", 1).partition(b"#")[0]
        assert seen.target == (told[:-1] if told.find(b"?") == len(told) - 1 else told)
        segments = [part.partition(b";")[0] for part in unquote_to_bytes(seen.target.split(b"?")[0]).split(b"/")]
        assert b".." not in segments
        assert b"." not in segments


NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
VALUES = st.binary(max_size=60)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=6))
@example(fields=[("X", b"a\x80\xff")])
@example(fields=[("X", b"\x7f")])
@example(fields=[("TE", b"\xff")])
@example(fields=[("Cookie", b"\t")])
@example(fields=[("X-Request-ID", b"\xe9")])
@example(fields=[("traceparent", b"\xff")])
@example(fields=[("Content-Type", b"\xff\xfe")])
@example(fields=[("Connection", b"\xff, x")])
@example(fields=[("Expect", b"200-maybe")])
def test_no_field_is_a_500_or_becomes_another(platform: Served, behind: Backend, fields: list[tuple[str, bytes]]) -> None:
    """Whatever the fields: an answer below 500, and no field at the back end that nobody sent."""
    before = len(behind.seen)
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in fields)
    answer = platform.raw(b"GET /open/fields HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + b"\r\n", seconds=2)
    assert all(status < 500 for status in statuses(answer))
    assert b"Traceback" not in answer
    own = {
        b"host",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"nhsd-request-id",
        b"nhsd-correlation-id",
    }
    sent = {line.partition(b":")[0].strip().lower() for line in re.split(rb"[\r\n]+", head)}
    for seen in behind.seen[before:]:
        assert {name for name, _ in seen.fields} <= own | sent


def test_every_answer_carries_its_request_s_ids(platform: Served) -> None:
    """Faults too, of whatever kind."""
    for path, status in (("/open/x", 200), ("/nowhere", 404), ("/fhir/R4/Patient", 401), ("/open/%5c", 400), ("/nobody/x", 502)):
        answer = platform.call("GET", path, headers={"X-Request-ID": "my-id", "X-Correlation-ID": "our-id"})
        assert (answer.status_code, answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == (
            status,
            "my-id",
            "our-id",
        )
        assert platform.call("GET", path).headers["x-request-id"]


def test_http_2_without_a_length_has_a_body_only_where_it_has_one(platform: Served, behind: Backend) -> None:
    """RFC 9113 §8.1.1: the end of the stream tells; a GET without a body must not become a chunked one."""
    path = behind.at(echo)
    with httpx.Client(base_url=platform.url, http1=False, http2=True, trust_env=False) as client:
        bare = client.get(f"/open{path}")
        streamed = client.request("GET", f"/open{path}", content=iter([b"a", b"b"]))
        posted = client.post(f"/open{path}", content=iter([b"c" * 70_000]))
    assert (bare.content, streamed.content, len(posted.content)) == (b"", b"ab", 70_000)
    first, second, _ = behind.requests(path)
    assert first.all(b"transfer-encoding") == first.all(b"content-length") == []
    assert second.all(b"transfer-encoding") == [b"chunked"]


def test_a_refused_body_is_not_taken_for_the_next_request(platform: Served, behind: Backend) -> None:
    """413, 401 and 404 leave a body unread: it must not be parsed as a request."""
    other = behind.at(response())
    for path in ("/small/x", "/keyed/x", "/nowhere"):
        body = smuggled(other) * 50
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        assert statuses(platform.raw(head + body, seconds=0.7))[0] in (413, 401, 404)
    assert not behind.requests(other)
