"""Promises: what is in order with what, and what is kept of a request, whatever it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.correlation import Correlation
from fiveways.delivery import envelope
from fiveways.delivery.envelope import Envelope
from fiveways.errors import MissingValue
from fiveways.fhir.resource import mismatch
from fiveways.methods.synchronous.promise.order import Order, pointed
from fiveways.methods.synchronous.promise.settings import OrderSettings
from fiveways.types import Consumer, Headers, Interaction

SCOPE = {"http_version": "1.1", "scheme": "https", "client": ("192.0.2.7", 1)}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def request(
    method: str = "POST", below: bytes = b"/x", headers: Headers | None = None, ids: Correlation | None = None
) -> Interaction:
    path, fields, known = b"/a" + below, {b"host": b"h"}, ids or Correlation()
    made = Interaction("id", method, path, b"q=1", headers or [], fields, None, None, known, 0, SCOPE)
    made.below = below
    return made


def order(**said: str) -> Order:
    return Order(OrderSettings.model_validate(said))


@pytest.mark.parametrize(
    ("document", "pointer", "found"),
    [
        ({"a": {"b": "x"}}, "/a/b", b"x"),
        ({"a": [{"b": 7}]}, "/a/0/b", b"7"),
        ({"a/b": {"~": "x"}}, "/a~1b/~0", b"x"),
        ({"": "x"}, "/", b"x"),
        ({"a": "x"}, "/b", None),
        ({"a": ["x"]}, "/a/1", None),
        ({"a": ["x"]}, "/a/-1", None),
        ({"a": True}, "/a", None),
        ({"a": ""}, "/a", None),
        ({"a": {}}, "/a", None),
        ({"a": 1.5}, "/a", None),
        ("x", "/a", None),
        (None, "/a", None),
    ],
)
def test_a_json_pointer_leads_to_a_string_or_a_whole_number(document: Any, pointer: str, found: bytes | None) -> None:
    assert pointed(document, pointer) == found


@given(JSON, st.from_regex(r"(/[^/]{0,4}){1,4}", fullmatch=True))
def test_no_document_and_no_pointer_is_more_than_not_found(document: Any, pointer: str) -> None:
    assert pointed(document, pointer) is None or isinstance(pointed(document, pointer), bytes)


def test_unless_it_is_said_changes_of_one_path_are_in_order_and_posts_in_none() -> None:
    plain = Order(None)
    assert plain.key(request("POST"), None) is None
    of_one = {plain.key(request(method, below), None) for method in ("PUT", "PATCH", "DELETE") for below in (b"/x", b"/x/")}
    assert len(of_one) == 1
    assert plain.key(request("PUT", b"/y"), None) not in of_one


def test_the_first_place_that_has_a_key_decides_and_one_without_is_refused() -> None:
    several = order(header="X-Patient", body="/subject", path="/Patient/{key}/**")
    same = [
        several.key(request(headers=[(b"x-patient", b"9000000009")]), {"subject": "other"}),
        several.key(request(), {"subject": "9000000009"}),
        several.key(request(below=b"/Patient/9000000009/notes"), None),
    ]
    assert len(set(same)) == 1
    assert "9000000009" not in str(same)
    for missing in (request(), request(below=b"/Patient"), request(headers=[(b"x-patient", b"")])):
        with pytest.raises(MissingValue, match="X-Patient or body: /subject or path"):
            several.key(missing, {"subject": None})


@given(st.binary(max_size=40), st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=20)), max_size=4))
def test_what_is_kept_of_a_request_comes_back_without_its_credentials(below: bytes, fields: Headers) -> None:
    target = b"/" + below.replace(b"?", b"")
    secret: Headers = [
        (b"authorization", b"Bearer x"),
        (b"apikey", b"x"),
        (b"cookie", b"x"),
        (b"idempotency-key", b"theirs"),
        (b"expect", b"x"),
    ]
    asked = request("PUT", target, [*fields, *secret], Correlation(b"60e0b220-8136-4ca5-ae46-1d97ef59d068", b"conversation"))
    asked.consumer = Consumer(
        "ward", "RXN", "user-restricted", "aal3", frozenset(("a", "b")), subject="someone", issuer="issuer",
        told=[(b"nhsd-identity-uuid", b"someone")], facts={"idp": "cis2"},
    )  # fmt: skip
    kept = envelope.decode(envelope.encode(Envelope.of(asked, b"f")))
    made = kept.interaction("updates", b"/a", target.decode("latin-1") + "?q=1", "key", None, None, 1.0)
    assert (made.method, made.path, made.below, made.query) == ("PUT", b"/a" + target, target, b"q=1")
    assert made.consumer == asked.consumer
    assert (made.correlation.request_id, made.correlation.correlation_id) == (asked.correlation.request_id, b"conversation")
    dropped = {name for name, _ in secret}
    assert made.headers == [*(field for field in fields if field[0] not in dropped), (b"idempotency-key", b"key")]


@pytest.mark.parametrize(
    ("method", "below", "document", "why"),
    [
        ("POST", b"/Patient", {"resourceType": "Patient"}, None),
        ("PUT", b"/Patient/1", {"resourceType": "Patient", "id": "1"}, None),
        ("PUT", b"/Patient/1", {"resourceType": "Patient"}, "id is not"),
        ("PUT", b"/Patient/1", {"resourceType": "Patient", "id": 1}, "id is not"),
        ("POST", b"/Patient/", {"resourceType": "Observation"}, "no Patient"),
        ("POST", b"/Patient", None, "no resource"),
        ("POST", b"/Patient/$match", {"resourceType": "Parameters"}, None),
        ("PATCH", b"/Patient/1", [{"op": "remove"}], None),
        ("POST", b"/Nothing", {}, None),
        ("POST", b"/", {"resourceType": "Bundle"}, None),
    ],
)
def test_a_resource_is_what_its_path_says(method: str, below: bytes, document: Any, why: str | None) -> None:
    found = mismatch(method, below, document)
    assert (found is None) if why is None else (why in str(found))


@given(st.sampled_from(("POST", "PUT", "PATCH", "DELETE")), st.binary(max_size=30), JSON)
def test_no_path_and_no_document_is_more_than_a_mismatch(method: str, below: bytes, document: Any) -> None:
    mismatch(method, b"/" + below, document)
    mismatch(method, b"/Patient/" + below, document)
