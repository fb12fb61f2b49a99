"""What could slip into a log by way of an exception's text is masked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.platform.logs import redact

JWT = "eyJhbGciOiJSUzUxMiJ9.eyJpc3MiOiJ3YXJkIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Patient/9434765919 not found", "Patient/[nhs number?] not found"),
        ("943 476 5919, 943-476-5919", "[nhs number?], [nhs number?]"),
        ("identifier=https://fhir.nhs.uk/Id/nhs-number|9434765919", "identifier=https://fhir.nhs.uk/Id/nhs-number|[nhs number?]"),
        (f"token {JWT} is wrong", "token [token] is wrong"),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer [token]"),
        ("Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA", "Authorization: Bearer [credentials]"),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "authorization: basic [credentials]"),
        ("apikey: 0123456789abcdef", "apikey [credentials]"),
        ("Authorization: NHSMESH mailbox:nonce:1:202601010000:hash", "Authorization: NHSMESH [credentials]"),
        ("key fwk_abc-DEF_123 unknown", "key [api key] unknown"),
        ("postgresql://fiveways:hunter2@db/x refused", "postgresql://[credentials]@db/x refused"),
        ("http://u:p@h and https://u:p@h", "http://[credentials]@h and https://[credentials]@h"),
    ],
)
def test_what_must_not_be_in_a_log_is_masked(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the breaker of http://127.0.0.1:8090/FHIR/R4 is open",
        "message 0190a0b0-1234-7000-8000-000000000001 took 12345678901 ns",
        "2026-01-01T00:00:00.000000Z",
        "Application ward is not subscribed to a product that contains patients",
        "fields user@example.org",
    ],
)
def test_what_may_be_in_a_log_is_left(text: str) -> None:
    assert redact(text) == text


@given(st.from_regex(r"[0-9]{10}", fullmatch=True), st.sampled_from(["", " ", "/", "=", "|", "'", '"', "(", ":", ",", "_", "%"]))
def test_ten_digits_never_pass(number: str, around: str) -> None:
    assert number not in redact(f"Patient{around} {number}{around}")
    assert number not in redact(f"/Patient/{number}{around}")


@given(st.text(max_size=40))
def test_to_redact_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


SCRIPT = """
import logging, structlog
from fiveways.platform.logs import configure
configure(level="info", json=True)
log = structlog.get_logger("fiveways.test")
log.debug("unheard")
log.info("heard", path="/Patient/9434765919", message_id="0190a0b0")
try:
    raise ValueError("no patient 9434765919, Bearer abcdefghijkl")
except ValueError as error:
    log.error("failed", exc_info=error)
    logging.getLogger("elsewhere").exception("failed for 943 476 5919")
logging.getLogger("elsewhere").warning("postgresql://u:%s@h", "hunter2")
"""


def test_each_line_is_an_object_and_tracebacks_are_redacted_too() -> None:
    """Whoever logs, by structlog or the standard library; in a process of its own, as it is set up once for all."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=30)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "heard", "failed", "failed for [nhs number?]", "postgresql://[credentials]@h",
    ]  # fmt: skip
    assert lines[0]["path"] == "/Patient/[nhs number?]"
    assert "ValueError: no patient [nhs number?], Bearer [credentials]" in lines[1]["exception"]
    assert "9434765919" not in ran.stderr + ran.stdout
    assert "hunter2" not in ran.stderr + ran.stdout
