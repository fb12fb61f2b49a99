"""How often jobs are asked after and requests sent again, and what answers about a job mean."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client import Answer, ClientError, Pace, Resend
from fiveways.client.answer import Fields
from fiveways.client.resending import IDEMPOTENT, may_repeat
from fiveways.client.verdict import Verdict, of_outcome, of_status

PACE = Pace(timedelta(seconds=2), timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1))
chances = st.floats(0, 1)


@given(st.floats(0, 10**6), chances)
def test_a_job_is_asked_after_within_the_limits(last: float, chance: float) -> None:
    assert 2 <= PACE.after(last, random=lambda: chance) <= 30
    assert 300 <= PACE.after(last, slow=True, random=lambda: chance) <= 600


@given(st.floats(0, 10**6), st.timedeltas(timedelta(0), timedelta(days=10_000)), st.booleans(), chances)
def test_nobody_is_asked_sooner_than_he_says_and_nobody_is_believed_for_ever(
    last: float, asked: timedelta, slow: bool, chance: float
) -> None:
    wait = PACE.after(last, asked, slow=slow, random=lambda: chance)
    assert min(asked, PACE.trusted).total_seconds() <= wait <= 1.1 * 3600
    assert wait >= 2


def test_the_longer_it_takes_the_further_apart() -> None:
    waits, wait = [], 0.0
    for _ in range(4):
        wait = PACE.after(wait, random=lambda: 1.0)
        waits.append(wait)
    assert waits == [6, 18, 30, 30]


@pytest.mark.parametrize(
    "said",
    [
        {"least": timedelta(0)},
        {"least": timedelta(hours=2)},
        {"slow": timedelta(0)},
        {"at_once": 0},
        {"look": timedelta(0)},
        {"monitors": -1},
    ],
)
def test_a_pace_makes_sense(said: dict[str, object]) -> None:
    with pytest.raises(ClientError):
        Pace(**said)  # type: ignore[arg-type]


@given(st.integers(1, 10**6), st.none() | st.timedeltas(timedelta(0), timedelta(days=1)), chances)
def test_a_request_is_sent_again_no_sooner_than_asked_and_otherwise_within_the_limits(
    failures: int, asked: timedelta | None, chance: float
) -> None:
    resend = Resend(4, timedelta(milliseconds=250), timedelta(seconds=5))
    wait = resend.after(failures, asked, lambda: chance)
    assert (asked or timedelta(0)) <= wait <= max(asked or timedelta(0), timedelta(seconds=5))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"])
@pytest.mark.parametrize("status", [200, 400, 404, 408, 425, 429, 500, 501, 502, 503, 504])
def test_only_what_is_safe_is_repeated(method: str, status: int) -> None:
    passing = status in (408, 425, 429, 502, 503, 504)
    assert may_repeat(method, status, None) == (passing and method in IDEMPOTENT)
    assert may_repeat(method, status, timedelta(0)) == (status in (429, 503) or (passing and method in IDEMPOTENT))


@given(
    st.integers(100, 999),
    st.binary(max_size=300) | st.recursive(st.text() | st.none(), st.lists).map(lambda x: json.dumps(x).encode()),
)
def test_whatever_is_answered_there_is_a_verdict(status: int, content: bytes) -> None:
    answer = Answer(status, Fields(), content, "", "")
    assert isinstance(of_status(answer), Verdict)
    assert of_outcome(answer) not in (Verdict.ELSEWHERE, Verdict.GONE)


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"resourceType":"OperationOutcome","issue":' + b"[" * 100_000, b'{"issue":[{"code":"transient"}]}', b"\xff"],
)
def test_what_is_no_operation_outcome_says_nothing_of_passing(content: bytes) -> None:
    assert of_status(Answer(500, Fields(), content, "", "")) is Verdict.OUTCOME
