"""An API as consumers of the NHS API platform test theirs: from outside, by what the platform's documentation promises."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.acceptance.conftest import STATUS_KEY

if TYPE_CHECKING:
    from tests.acceptance.nhs.conftest import Nhs

SPINE = "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode"
RELEASE = {"version", "revision", "releaseId", "commitId"}


def issue(answer: httpx.Response) -> dict[str, Any]:
    """The one issue of an OperationOutcome."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/fhir+json"
    assert body["resourceType"] == "OperationOutcome"
    (only,) = body["issue"]
    assert only["severity"] == "error"
    found: dict[str, Any] = only
    return found


# --- probes ---------------------------------------------------------------------------------------------------------------

BASES = ["", "/hello-world", "/personal-demographics/FHIR/R4"]


@pytest.mark.parametrize("base", BASES)
def test_ping(nhs: Nhs, base: str) -> None:
    answer = nhs.http.get(f"{base}/_ping")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert set(answer.json()) == RELEASE
    assert answer.json()["version"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("headers", [{}, {"apikey": "invalid"}, {"apikey": ""}])
def test_status_without_its_key(nhs: Nhs, base: str, headers: dict[str, str]) -> None:
    answer = nhs.http.get(f"{base}/_status", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "Access Denied"})


@pytest.mark.parametrize("base", BASES)
def test_status_with_its_key(nhs: Nhs, base: str) -> None:
    answer = nhs.http.get(f"{base}/_status", headers={"apikey": STATUS_KEY})
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == RELEASE | {"status", "checks"}
    assert body["status"] == "pass"
    assert all(check["status"] == "pass" for check in body["checks"].values())


def test_status_tells_of_the_health_check(nhs: Nhs) -> None:
    checks = nhs.http.get("/personal-demographics/FHIR/R4/_status", headers={"apikey": STATUS_KEY}).json()["checks"]
    assert checks["healthcheck"] == {
        "status": "pass",
        "timeout": "false",
        "responseCode": 200,
        "outcome": "pass",
        "links": {"self": f"{nhs.behind.url}{nhs.records}/metadata"},
    }
    assert nhs.seen().target.decode() == f"{nhs.records}/metadata"


# --- open and application-restricted access -------------------------------------------------------------------------------


def test_hello_world_is_open(nhs: Nhs) -> None:
    answer = nhs.http.get("/hello-world/hello/world")
    assert (answer.status_code, answer.json()) == (200, {"message": "Hello World!"})


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer null", "Bearer invalid", "Basic dXNlcjpwYXNz", "invalid", ""])
def test_an_application_restricted_path_without_a_good_token(nhs: Nhs, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = nhs.http.get("/hello-world/hello/application", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "ACCESS_DENIED"


def test_an_application_restricted_path_with_a_token(nhs: Nhs) -> None:
    answer = nhs.http.get("/hello-world/hello/application", headers=nhs.served.bearer("outsider"))
    assert (answer.status_code, answer.json()) == (200, {"message": "Hello World!"})


def test_a_token_changed_in_one_place_is_refused(nhs: Nhs) -> None:
    head, claims, signature = nhs.served.token("ward").split(".")
    for changed in (f"{head}.{claims}.{signature[:-8]}AAAAAAAA", f"{head}.{claims}.", f"{head}.{claims[:-4]}AAAA.{signature}"):
        answer = nhs.http.get("/hello-world/hello/application", headers={"Authorization": f"Bearer {changed}"})
        assert answer.status_code == 401


def test_an_expired_token_is_refused(nhs: Nhs) -> None:
    token = nhs.ask(nhs.form(_access_token_expiry_ms="1000")).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert nhs.http.get("/hello-world/hello/application", headers=headers).status_code == 200
    until = time.monotonic() + 5
    while (answer := nhs.http.get("/hello-world/hello/application", headers=headers)).status_code == 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (answer.status_code, answer.json()["code"]) == (401, "ACCESS_DENIED")
    assert "expired" in answer.json()["detail"]


def test_a_fhir_api_refuses_in_an_operation_outcome(nhs: Nhs) -> None:
    answer = nhs.patient(Authorization="Bearer invalid")
    found = issue(answer)
    assert (answer.status_code, found["code"]) == (401, "forbidden")
    assert found["details"]["coding"][0] == {
        "system": SPINE, "version": "1", "code": "ACCESS_DENIED", "display": "Access Denied - Unauthorised",
    }  # fmt: skip


def test_an_application_without_the_product_is_forbidden(nhs: Nhs) -> None:
    answer = nhs.patient("outsider")
    assert (answer.status_code, issue(answer)["details"]["coding"][0]["code"]) == (403, "ACCESS_DENIED")


# --- request and correlation ids ------------------------------------------------------------------------------------------


def faults(nhs: Nhs) -> dict[str, tuple[str, dict[str, str], int]]:
    """Requests that come to nothing, each in its own way: path, header fields, status."""
    bearer = nhs.served.bearer
    return {
        "fine": ("/hello-world/hello/world", {}, 200),
        "not authorised": ("/hello-world/hello/application", {}, 401),
        "forbidden": ("/personal-demographics/FHIR/R4/Patient/1", bearer("outsider"), 403),
        "no API": ("/nothing/here", {}, 404),
        "no such path": ("/hello-world/../x", {}, 404),
        "ambiguous": ("/hello-world/hello/%2e%2e/x", {}, 400),
        "without ASID": ("/personal-demographics/FHIR/R4/Patient/1", bearer("second"), 400),
        "token": ("/oauth2/token", {}, 405),
        "no such endpoint": ("/oauth2/nothing", {}, 404),
    }


@pytest.mark.parametrize(
    "case",
    ["fine", "not authorised", "forbidden", "no API", "no such path", "ambiguous", "without ASID", "token", "no such endpoint"],
)
def test_ids_are_mirrored_on_faults_too(nhs: Nhs, case: str) -> None:
    path, headers, status = faults(nhs)[case]
    ids = {"X-Request-ID": str(uuid4()), "X-Correlation-ID": f"conversation-{uuid4()}"}
    answer = nhs.http.get(path, headers={**headers, **ids})
    assert answer.status_code == status
    assert answer.headers.get_list("x-request-id") == [ids["X-Request-ID"]]
    assert answer.headers.get_list("x-correlation-id") == [ids["X-Correlation-ID"]]


def test_where_no_id_is_sent_one_is_made(nhs: Nhs) -> None:
    answer = nhs.http.get("/hello-world/hello/world")
    assert UUID(answer.headers["x-request-id"])
    assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "value", ["not-a-guid", "12345678-1234-1234-1234-12345678901", "{60E0B220-8136-4CA5-AE46-1D97EF59D068}", "1"]
)
def test_a_request_id_that_is_no_guid_is_refused(nhs: Nhs, value: str) -> None:
    before = len(nhs.behind.requests(nhs.records))
    answer = nhs.patient(**{"X-Request-ID": value})
    found = issue(answer)
    assert (answer.status_code, found["code"]) == (400, "value")
    assert found["details"]["coding"][0] == {
        "system": SPINE, "version": "1", "code": "INVALID_VALUE", "display": "Provided value is invalid",
    }  # fmt: skip
    assert found["diagnostics"] == f"Invalid value - '{value}' in header 'X-Request-ID'"
    assert answer.headers["x-request-id"] == value
    assert len(nhs.behind.requests(nhs.records)) == before


def test_a_request_id_that_is_required_is_missed(nhs: Nhs) -> None:
    answer = nhs.http.get("/personal-demographics/FHIR/R4/Patient/9000000009", headers=nhs.served.bearer())
    assert (answer.status_code, issue(answer)["details"]["coding"][0]["code"]) == (400, "MISSING_VALUE")


@pytest.mark.parametrize("value", ["60E0B220-8136-4CA5-AE46-1D97EF59D068", "60e0b220-8136-4ca5-ae46-1d97ef59d068"])
def test_a_guid_is_one_in_either_case(nhs: Nhs, value: str) -> None:
    answer = nhs.patient(**{"X-Request-ID": value})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, value)


def test_the_back_end_is_told_ids_of_its_own_names(nhs: Nhs) -> None:
    """NHSD-Correlation-ID is request id, correlation id and message id, with dots; what it is made of does not go on."""
    request_id, correlation_id = str(uuid4()), str(uuid4())
    assert nhs.patient(**{"X-Request-ID": request_id, "X-Correlation-ID": correlation_id}).status_code == 200
    seen = nhs.seen()
    assert seen.all(b"nhsd-request-id") == [request_id.encode()]
    (joined,) = seen.all(b"nhsd-correlation-id")
    first, second, message_id = joined.decode().split(".")
    assert (first, second) == (request_id, correlation_id)
    assert str(UUID(message_id)) == message_id
    assert seen.all(b"x-request-id") == seen.all(b"x-correlation-id") == []


def test_without_a_correlation_id_its_place_stays_empty(nhs: Nhs) -> None:
    request_id = str(uuid4())
    nhs.patient(**{"X-Request-ID": request_id})
    assert nhs.seen().all(b"nhsd-correlation-id")[0].decode().startswith(f"{request_id}..")


def test_a_client_cannot_set_what_the_platform_says(nhs: Nhs) -> None:
    forged = {
        "NHSD-Request-ID": "forged", "NHSD-Correlation-ID": "forged", "NHSD-ASID": "forged", "NHSD-Identity-UUID": "forged",
        "NHSD-Identity-IdP": "forged", "NHSD-NHSLogin-User": "P9:forged", "NHSE-PDS-Custom-Attributes": "forged",
        "NHSE-PDS-Privileged-Access": "forged", "nhsd_asid": "forged",
    }  # fmt: skip
    assert nhs.patient(**forged).status_code == 200
    seen = nhs.seen()
    assert b"forged" not in seen.head
    assert seen.all(b"nhsd-asid") == [b"200000001115"]
    assert seen.all(b"authorization") == []


# --- attributes, quotas ---------------------------------------------------------------------------------------------------


def test_an_application_without_an_asid_is_told_whom_to_ask(nhs: Nhs) -> None:
    answer = nhs.patient("second")
    found = issue(answer)
    assert (answer.status_code, found["code"]) == (400, "required")
    assert found["details"]["coding"][0]["code"] == "MISSING_VALUE"
    assert found["diagnostics"] == "No ASID is associated with your app. Please contact support."


def test_a_quota_that_is_used_up(nhs: Nhs) -> None:
    assert [nhs.patient("trial").status_code for _ in range(2)] == [200, 200]
    answer = nhs.patient("trial")
    found = issue(answer)
    assert (answer.status_code, found["code"]) == (429, "throttled")
    assert found["details"]["coding"][0] == {
        "system": SPINE, "version": "1", "code": "TOO_MANY_REQUESTS", "display": "Too Many Requests",
    }  # fmt: skip
    assert found["details"]["coding"][1]["code"] == "PROXY_TOO_MANY_REQUESTS"
    assert found["diagnostics"] == (
        "Your application, trial, has exceeded its quota of 2 requests every 1 day(s) and is being rate limited."
    )
    assert 0 < int(answer.headers["retry-after"]) <= 86400
    assert nhs.patient("ward").status_code == 200, "another application has a quota of its own"
