"""Whatever is sent: nothing is a 500, and every refusal is JSON whose `detail` mesh-client can read."""

from __future__ import annotations

import string
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import V2, Answer, Wire, token

OUTBOX, INBOX = "/messageexchange/ALICE/outbox", "/messageexchange/BOB/inbox"
MESSAGE = {"mex-to": "BOB", "mex-workflowid": "NOTE"}
MEX = ("to", "workflowid", "chunk-range", "subject", "localid", "partnerid", "filename", "from", "content-encrypted",
       "content-compressed", "content-checksum", "content-type")  # fmt: skip
fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=120)


@pytest.fixture(scope="module")
def wire(sandbox: Sandbox) -> Iterator[Wire]:
    """A connection."""
    opened = Wire(sandbox.url)
    yield opened
    opened.close()


def told(answer: Answer) -> Answer:
    """The answer, which is none of a server in trouble, and readable where it refuses."""
    assert answer.status < 500, answer
    if answer.status >= 400:
        detail = answer.json()["detail"]
        assert isinstance(detail, list)
        assert detail
        assert all(isinstance(each["msg"], str) for each in detail)
    return answer


parts = st.one_of(
    printable, st.sampled_from(["BOB", "bob", "1", "0", "-1", "202601010000", "209913019999", "0" * 64, "f" * 64, ""])
)
built = st.builds(lambda scheme, found: scheme + ":".join(found), st.sampled_from(["NHSMESH ", "nhsmesh  ", "NHSMESH", ""]),
                  st.lists(parts, max_size=7))  # fmt: skip


@fuzzed
@given(st.one_of(printable, built))
def test_authorization(wire: Wire, value: str) -> None:
    answer = told(wire("GET", INBOX, accept=V2, headers={"authorization": value.encode("latin-1")}))
    assert answer.status == 403


@fuzzed
@given(st.integers(0, 200), st.sampled_from(string.printable[:95]))
def test_a_good_token_with_one_character_changed(wire: Wire, place: int, other: str) -> None:
    good = token("BOB")
    at = place % len(good)
    changed = good[:at] + other + good[at + 1 :]
    answer = told(wire("GET", INBOX, accept=V2, headers={"authorization": changed}))
    assert answer.status == (200 if changed.lower() == good.lower() and changed[8:11] == "BOB" and _same(changed, good) else 403)


def _same(changed: str, good: str) -> bool:
    """Whether they differ in the case of the scheme or of the digest only."""
    return changed[8:-64] == good[8:-64]


@fuzzed
@given(st.dictionaries(st.sampled_from(MEX), st.one_of(printable, st.sampled_from(["BOB", "1:1", "1:2", "Y", "x" * 600]))))
def test_fields_of_a_message(wire: Wire, said: dict[str, str]) -> None:
    headers: dict[str, str | bytes] = dict(MESSAGE)
    headers |= {f"mex-{name}": value.encode("latin-1") for name, value in said.items()}
    answer = told(wire("POST", OUTBOX, "ALICE", accept=V2, headers=headers, body=b"x"))
    if answer.status == 202:
        message = answer.json()["message_id"]
        told(wire("GET", f"/messageexchange/ALICE/outbox/tracking?messageID={message}", "ALICE", accept=V2))
        collected = told(wire("GET", f"{INBOX}/{message}", "BOB", accept=V2))
        assert collected.status in (200, 206, 410)
        if collected.status == 200 and said.get("subject", "").strip():
            assert collected.headers["mex-subject"].strip() == said["subject"].strip()


@fuzzed
@given(st.one_of(st.text("0123456789:- +x", max_size=12), st.builds("{}:{}".format, st.integers(-2, 4), st.integers(-2, 4))))
def test_chunk_ranges(wire: Wire, value: str) -> None:
    headers = {**MESSAGE, "mex-chunk-range": value}
    answer = told(wire("POST", OUTBOX, "ALICE", accept=V2, headers=headers, body=b"x"))
    number, _, total = value.partition(":")
    good = not value.strip() or (number.strip() == "1" and total.strip().isdecimal() and int(total) > 0)
    if good or number.strip() != "1":  # a 1 may be written otherwise, such as 01
        assert answer.status == 202 or not good or len(value) > 20
    if answer.status == 202:
        said = {"mex-chunk-range": value}
        told(wire("POST", f"{OUTBOX}/{answer.json()['message_id']}/2", "ALICE", accept=V2, headers=said, body=b"x"))


@fuzzed
@given(st.one_of(st.text(max_size=60), st.text(string.ascii_letters + string.digits + "-_=", min_size=24, max_size=60)))
def test_where_to_continue_from(wire: Wire, value: str) -> None:
    for path in (INBOX, f"{INBOX}/rich", "/messageexchange/BOB/outbox/rich"):
        for name in ("continue_from", "start_time", "max_results", "workflow_filter"):
            told(wire("GET", f"{path}?{name}={quote(value)}", "BOB", accept=V2))


@fuzzed
@given(st.text(max_size=30), st.text(max_size=12))
def test_paths(wire: Wire, message: str, number: str) -> None:
    below = f"{INBOX}/{quote(message, safe='')}"
    for path in (below, f"{below}/{quote(number, safe='')}", f"{below}/status/acknowledged"):
        for method in ("GET", "PUT"):
            answer = wire(method, path, "BOB", accept=V2)
            if answer.headers.get("content-type") == "application/problem+json":  # whose the path is cannot be said, so not MESH's
                assert (answer.status, answer.json()["detail"][:28]) == (400, "The path can be read in more")
            else:
                told(answer)


WORKFLOWS = ("W", "w", "W1", "W12", "XW1", "W*", "!W", "*", "A_B", "A%B", "WW", "W W")


def _meets(workflow: str, wanted: str) -> bool:
    """The filter, read plainly."""
    wanted = wanted.strip()
    if not wanted:
        return True
    if wanted.startswith("!"):
        return not _meets_positive(workflow, wanted[1:])
    return _meets_positive(workflow, wanted)


def _meets_positive(workflow: str, wanted: str) -> bool:
    if wanted.startswith("*"):
        return wanted[1:].removesuffix("*") in workflow
    if wanted.endswith("*"):
        return workflow.startswith(wanted[:-1])
    return workflow == wanted


@pytest.fixture
def kept(wire: Wire) -> dict[str, str]:
    """Messages of several workflows, by id."""
    sent = {}
    for workflow in WORKFLOWS:
        headers = {"mex-to": "BOB", "mex-workflowid": workflow}
        sent[wire("POST", OUTBOX, "ALICE", accept=V2, headers=headers, body=b"x").json()["message_id"]] = workflow
    return sent


@fuzzed
@given(st.text("Ww1*!A_%B X2", min_size=2, max_size=6))
def test_filters_mean_what_they_say(wire: Wire, kept: dict[str, str], wanted: str) -> None:
    answer = told(wire("GET", f"{INBOX}?workflow_filter={quote(wanted)}", "BOB", accept=V2))
    assert answer.json()["messages"] == [id_ for id_, workflow in kept.items() if _meets(workflow, wanted)]
