"""What stands around a back end and in front of a consumer, each policy by itself, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fiveways.clock import ManualClock, SystemClock
from fiveways.deployment.settings import Rate as RateValue
from fiveways.errors import Fault, MissingValue, ProviderUnavailable, TooManyRequests
from fiveways.ledger.rates import Rates
from fiveways.methods.synchronous import probes
from fiveways.methods.synchronous.alerting import Alert, Alerts, AlertSettings
from fiveways.methods.synchronous.policies.breaker import Breaker, BreakerSettings
from fiveways.methods.synchronous.policies.concurrency import Concurrency
from fiveways.methods.synchronous.policies.guard import Guarded
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics, Metrics
from fiveways.methods.synchronous.policies.rate import Allowance, Rate
from fiveways.methods.synchronous.policies.retry import Retry, RetrySettings
from fiveways.methods.synchronous.request import ClientGone, RequestBody, read
from fiveways.methods.synchronous.upstream.faults import UpstreamBusy, UpstreamFaulty, UpstreamTimeout, UpstreamUnreachable
from fiveways.security.expiry import Expiry
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.migrate import migrate
from fiveways.types import Consumer, Handler, Interaction, Outcome

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


async def no_body() -> dict[str, Any]:
    return {"type": "http.request"}


def interaction(method: str = "GET", *, body: bool = False, application: str = "") -> Interaction:
    scope = {
        "method": method, "raw_path": b"/a", "query_string": b"", "headers": [(b"host", b"a")], "http_version": "1.1",
    }  # fmt: skip
    made, fault = read(scope, no_body, ManualClock())
    assert fault is None
    made.api, made.name = "a", method
    made.consumer = Consumer(application)
    made.body = RequestBody(no_body, length=1) if body else None
    return made


def answering(*outcomes: int | BaseException) -> tuple[Handler, Callable[[], int]]:
    """A handler that does each of these in turn, the last for ever; and how often it was called."""
    calls = 0

    async def handler(_: Interaction) -> Outcome:
        nonlocal calls
        calls += 1
        what = outcomes[min(calls, len(outcomes)) - 1]
        if isinstance(what, BaseException):
            raise what
        return Outcome(what, [], b"")

    return handler, lambda: calls


def broken() -> UpstreamFaulty:
    return UpstreamFaulty("broke off", phase="first_byte", reached=True)


# --- breaker --------------------------------------------------------------------------------------------------------------


def breaker(clock: ManualClock) -> Breaker:
    return Breaker(BreakerSettings(failures=3, rest=timedelta(seconds=30)), clock, "http://back.end")


def state(watched: Breaker) -> str:
    return watched.state


async def attempt(guarded: Guarded, what: int | BaseException) -> int:
    """The status of one request whose back end does `what`; of the fault, where there is one."""
    handler, _ = answering(what)
    try:
        return (await guarded(interaction(), handler)).status
    except Fault as fault:
        return fault.status


@pytest.mark.parametrize(
    "failure",
    [
        broken(),
        UpstreamTimeout("slow", phase="first_byte", reached=True),
        UpstreamUnreachable("no", phase="connect", reached=False),
        503,
    ],
)
async def test_failures_in_a_row_open_the_breaker_and_one_success_closes_it(failure: int | Fault) -> None:
    """closed → open → half-open → closed (S21)."""
    clock = ManualClock()
    watched = breaker(clock)
    guarded = Guarded([watched])
    for _ in range(2):
        await attempt(guarded, failure)
    assert state(watched) == "closed"
    await attempt(guarded, failure)
    assert state(watched) == "open"
    handler, calls = answering(200)
    with pytest.raises(ProviderUnavailable) as refused:
        await guarded(interaction(), handler)
    assert (calls(), refused.value.headers["Retry-After"]) == (0, "30")
    clock.advance(29.5 * SECOND)
    with pytest.raises(ProviderUnavailable) as refused:
        await guarded(interaction(), handler)
    assert refused.value.headers["Retry-After"] == "1"
    clock.advance(0.5 * SECOND)
    assert state(watched) == "half-open"
    assert (await guarded(interaction(), handler)).status == 200
    assert state(watched) == "closed"


async def test_a_probe_that_fails_opens_it_for_as_long_again() -> None:
    clock = ManualClock()
    watched = breaker(clock)
    guarded = Guarded([watched])
    for _ in range(3):
        await attempt(guarded, broken())
    clock.advance(30 * SECOND)
    assert await attempt(guarded, broken()) == 502
    assert state(watched) == "open"
    clock.advance(29 * SECOND)
    assert await attempt(guarded, 200) == 503


async def test_a_success_between_failures_starts_the_count_anew() -> None:
    watched = breaker(ManualClock())
    guarded = Guarded([watched])
    for what in (502, 504, 200, 502, 504, 500, 404, 502):
        await attempt(guarded, what)
    assert state(watched) == "closed"


@pytest.mark.parametrize("nobodys", [ClientGone(), asyncio.CancelledError(), MissingValue("No ASID"), ZeroDivisionError()])
async def test_what_is_not_the_back_end_s_fault_does_not_count(nobodys: BaseException) -> None:
    watched = breaker(ManualClock())
    for _ in range(5):
        handler, _ = answering(nobodys)
        with pytest.raises(type(nobodys)):
            await Guarded([watched])(interaction(), handler)
    assert state(watched) == "closed"


async def test_half_open_lets_one_request_through_at_a_time() -> None:
    clock = ManualClock()
    watched = breaker(clock)
    guarded = Guarded([watched])
    for _ in range(3):
        await attempt(guarded, broken())
    clock.advance(30 * SECOND)
    release = asyncio.Event()

    async def slow(_: Interaction) -> Outcome:
        await release.wait()
        return Outcome(200, [])

    probe = asyncio.ensure_future(guarded(interaction(), slow))
    await asyncio.sleep(0)
    assert await attempt(guarded, 200) == 503
    release.set()
    assert (await probe).status == 200
    assert await attempt(guarded, 200) == 200


async def test_a_probe_whose_client_goes_away_leaves_the_next_one_to_probe() -> None:
    clock = ManualClock()
    watched = breaker(clock)
    guarded = Guarded([watched])
    for _ in range(3):
        await attempt(guarded, broken())
    clock.advance(30 * SECOND)
    handler, _ = answering(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await guarded(interaction(), handler)
    assert state(watched) == "half-open"
    assert await attempt(guarded, 200) == 200
    assert state(watched) == "closed"


async def test_a_success_that_comes_late_does_not_close_what_was_opened_meanwhile() -> None:
    clock = ManualClock()
    watched = breaker(clock)
    guarded = Guarded([watched])
    release = asyncio.Event()

    async def slow(_: Interaction) -> Outcome:
        await release.wait()
        return Outcome(200, [])

    late = asyncio.ensure_future(guarded(interaction(), slow))
    await asyncio.sleep(0)
    for _ in range(3):
        await attempt(guarded, broken())
    release.set()
    assert (await late).status == 200
    assert state(watched) == "open"


async def test_that_our_own_connections_are_in_use_is_not_the_back_end_s_failure() -> None:
    watched = breaker(ManualClock())
    for _ in range(5):
        await attempt(Guarded([watched]), UpstreamBusy("all in use", phase="pool", reached=False))
    assert state(watched) == "closed"


async def test_of_two_breakers_of_a_target_the_worst_is_the_platform_s_status() -> None:
    clock = ManualClock()
    strict, lenient = (Breaker(BreakerSettings(failures=failures), clock, "http://b") for failures in (1, 9))
    check = probes.breaker(strict, lenient)
    assert (await check())["status"] == "pass"
    await attempt(Guarded([strict]), broken())
    assert (await check())["status"] == "fail"
    clock.advance(30 * SECOND)
    assert (await check())["status"] == "warn"


# --- concurrency ----------------------------------------------------------------------------------------------------------


class Arriving(AsyncIterator[bytes]):
    """A body of two pieces."""

    def __init__(self) -> None:
        self._left = [b"b", b"a"]

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        self._left = []


@pytest.mark.parametrize("read_to_the_end", [True, False])
async def test_an_answer_counts_until_it_has_gone_by(read_to_the_end: bool) -> None:
    limit = Concurrency(1)

    async def streaming(_: Interaction) -> Outcome:
        return Outcome(200, [], Arriving())

    outcome = await Guarded([limit])(interaction(), streaming)
    assert limit.active == 1
    with pytest.raises(ProviderUnavailable) as refused:
        await Guarded([limit])(interaction(), streaming)
    assert refused.value.headers["Retry-After"] == "1"
    body: Any = outcome.body
    if read_to_the_end:
        assert [piece async for piece in body] == [b"a", b"b"]
    await body.aclose()
    assert limit.active == 0


async def test_whatever_becomes_of_a_request_its_place_is_free_again() -> None:
    clock, limit = ManualClock(), Concurrency(1)
    guarded = Guarded([limit, breaker(clock)])
    for what in (200, 503, broken(), broken(), broken(), 200, MissingValue("x")):
        await attempt(guarded, what)
        assert limit.active == 0
    handler, _ = answering(asyncio.CancelledError())
    clock.advance(30 * SECOND)
    with pytest.raises(asyncio.CancelledError):
        await guarded(interaction(), handler)
    assert limit.active == 0


# --- retry ----------------------------------------------------------------------------------------------------------------

REACHED = UpstreamTimeout("slow", phase="first_byte", reached=True)
UNREACHED = UpstreamUnreachable("refused", phase="connect", reached=False)
THRICE = RetrySettings(attempts=3, wait=timedelta(0))


@pytest.mark.parametrize(
    ("method", "declared", "body", "failure", "calls"),
    [
        ("GET", None, False, REACHED, 3),
        ("GET", None, False, UNREACHED, 3),
        ("GET", None, False, 503, 3),
        ("HEAD", None, False, 502, 3),
        ("OPTIONS", None, False, 504, 3),
        ("PUT", None, False, REACHED, 3),
        ("DELETE", None, False, REACHED, 3),
        ("POST", None, False, REACHED, 1),
        ("PATCH", None, False, REACHED, 1),
        ("POST", None, False, 503, 1),
        ("POST", None, False, UNREACHED, 3),
        ("POST", True, False, REACHED, 3),
        ("POST", True, False, 503, 3),
        ("GET", False, False, REACHED, 1),
        ("GET", False, False, 503, 1),
        ("GET", False, False, UNREACHED, 3),
        ("PUT", None, True, REACHED, 1),
        ("POST", None, True, UNREACHED, 1),
        ("GET", None, False, 500, 1),
        ("GET", None, False, 429, 1),
        ("GET", None, False, 200, 1),
        ("GET", None, False, ProviderUnavailable("breaker open"), 1),
        ("GET", None, False, MissingValue("No ASID"), 1),
    ],
)
async def test_what_is_tried_again(method: str, declared: bool | None, body: bool, failure: int | Fault, calls: int) -> None:
    """An idempotent method, or one declared so, without a body that is gone; and whatever never reached the provider (S22)."""
    handler, called = answering(failure)
    retry = Retry(THRICE, idempotent=declared)
    if isinstance(failure, Fault):
        with pytest.raises(type(failure)):
            await retry(interaction(method, body=body), handler)
    else:
        assert (await retry(interaction(method, body=body), handler)).status == failure
    assert called() == calls


async def test_a_retry_that_succeeds_is_the_answer() -> None:
    handler, called = answering(503, REACHED, 200)
    assert (await Retry(THRICE)(interaction(), handler)).status == 200
    assert called() == 3


async def test_an_answer_that_is_tried_again_is_closed() -> None:
    bodies = [Arriving(), Arriving()]

    async def handler(_: Interaction) -> Outcome:
        return Outcome(503, [], bodies[0] if bodies[0]._left else bodies[1])

    outcome = await Retry(THRICE.model_copy(update={"attempts": 2}))(interaction(), handler)
    assert bodies[0]._left == []
    assert outcome.body is bodies[1]


async def test_retries_stay_within_their_budget() -> None:
    """Three to begin with, and a fifth of the requests: then each failure is passed on, and retries are no load."""
    handler, called = answering(503)
    retry = Retry(RetrySettings(attempts=2, budget=0.2, wait=timedelta(0)))
    for _ in range(100):
        await retry(interaction(), handler)
    assert 100 + 20 <= called() <= 100 + 20 + 3


async def test_a_budget_does_not_grow_without_end() -> None:
    fine, _ = answering(200)
    retry = Retry(RetrySettings(attempts=2, budget=0.2, wait=timedelta(0)))
    for _ in range(1000):
        await retry(interaction(), fine)
    failing, called = answering(503)
    for _ in range(40):
        await retry(interaction(), failing)
    assert called() <= 40 + 23 + 8


# --- metrics --------------------------------------------------------------------------------------------------------------


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Everything exposed, read back by Prometheus' own parser; a series that stands twice fails."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def observed(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return samples(registry)[name, tuple(sorted(labels.items()))]


async def test_durations_are_exposed_as_a_cumulative_histogram() -> None:
    clock, registry = ManualClock(), CollectorRegistry()
    observe = Metrics(GatewayMetrics(registry), clock, budget=0.1)
    for milliseconds, status in ((0, 200), (1, 201), (30, 200), (100, 200), (101, 204), (60_000, 200), (5, 404)):
        asked = interaction(application="ward")
        asked.started = clock.monotonic()
        clock.advance(timedelta(milliseconds=milliseconds))
        observe(asked, Outcome(status, []))
    name = "fiveways_gateway_request_duration_seconds"
    labels = {"application": "ward", "api": "a", "interaction": "GET", "status": "2xx"}
    assert observed(registry, f"{name}_count", **labels) == 6
    assert observed(registry, f"{name}_sum", **labels) == pytest.approx(60.232)
    for bound, count in (("0.001", 2), ("0.025", 2), ("0.05", 3), ("0.1", 4), ("0.25", 5), ("30.0", 5), ("+Inf", 6)):
        assert observed(registry, f"{name}_bucket", **labels, le=bound) == count, bound
    assert observed(registry, f"{name}_count", **labels | {"status": "4xx"}) == 1
    assert observed(registry, "fiveways_gateway_over_latency_budget_total", api="a") == 2


async def test_nobody_and_nothing_is_a_hyphen() -> None:
    registry = CollectorRegistry()
    asked = interaction()
    asked.api = asked.name = ""
    Metrics(GatewayMetrics(registry), ManualClock(), None)(asked, Outcome(404, []))
    labels = {"application": "-", "api": "-", "interaction": "-", "status": "4xx"}
    assert observed(registry, "fiveways_gateway_request_duration_seconds_count", **labels) == 1


async def test_a_breaker_that_is_not_closed_shows_and_a_target_only_once() -> None:
    """Two APIs may leave one target alone by different rules: two breakers, one series."""
    clock, registry = ManualClock(), CollectorRegistry()
    metrics = GatewayMetrics(registry)
    strict, lenient = (
        Breaker(BreakerSettings(failures=1), clock, "http://b"),
        Breaker(BreakerSettings(failures=9), clock, "http://b"),
    )
    metrics.breakers = (strict, lenient, Breaker(BreakerSettings(), clock, "http://c"))
    assert observed(registry, "fiveways_gateway_breaker_open", target="http://b") == 0
    await attempt(Guarded([strict]), broken())
    assert observed(registry, "fiveways_gateway_breaker_open", target="http://b") == 1
    assert observed(registry, "fiveways_gateway_breaker_open", target="http://c") == 0
    clock.advance(30 * SECOND)
    assert observed(registry, "fiveways_gateway_breaker_open", target="http://b") == 1, "half-open is not closed"


# --- alerting -------------------------------------------------------------------------------------------------------------

ALERTS = AlertSettings(error_rate=0.5, slow_rate=0.5, window=timedelta(seconds=12), at_least=4)


class Desk:
    """Alerts over one API and one breaker, and who is told of them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.metrics = GatewayMetrics(CollectorRegistry())
        self.api = Metrics(self.metrics, self.clock, 1.0)
        self.breaker = Breaker(BreakerSettings(failures=1), self.clock, "http://b")
        self.told: list[Alert] = []
        self.alerts = self.opened()

    def opened(self, settings: AlertSettings = ALERTS, budget: float | None = 1.0) -> Alerts:
        return Alerts(settings, self.clock, self.tell, {"a": budget}, self.metrics, (self.breaker,), Expiry({}, timedelta()))

    async def tell(self, alert: Alert) -> None:
        self.told.append(alert)

    def reload(self, **change: Any) -> None:
        previous, self.alerts = self.alerts, self.opened(**change)
        self.alerts.go_on_from(previous)

    def count(self, status: int, times: int, seconds: float = 0) -> None:
        for _ in range(times):
            asked = interaction()
            asked.api = "a"
            asked.started = self.clock.monotonic() - seconds
            self.api(asked, Outcome(status, []))

    async def news(self) -> list[tuple[str, str, bool]]:
        """What was told since it was last asked, after looking again."""
        await self.alerts.evaluate()
        told, self.told = self.told, []
        return [(alert.rule, alert.subject, alert.raised) for alert in told]


async def test_an_error_rate_is_told_when_it_begins_and_when_it_ends() -> None:
    desk = Desk()
    desk.count(200, 2)
    desk.count(500, 2)
    assert await desk.news() == [("error-rate", "a", True)]
    assert await desk.news() == [], "once, not each time"
    desk.count(200, 1)
    assert await desk.news() == [("error-rate", "a", False)]


async def test_few_requests_raise_nothing_and_the_consumer_s_errors_never_do() -> None:
    desk = Desk()
    desk.count(500, 3)
    assert await desk.news() == []
    desk = Desk()
    desk.count(429, 50)
    assert await desk.news() == []


async def test_the_window_moves_on() -> None:
    desk = Desk()
    desk.count(500, 4)
    assert await desk.news() == [("error-rate", "a", True)]
    desk.clock.advance(11 * SECOND)
    assert await desk.news() == []
    desk.clock.advance(2 * SECOND)
    assert await desk.news() == [("error-rate", "a", False)]
    desk.clock.advance(120 * SECOND)
    desk.count(500, 3)
    assert await desk.news() == [], "what came before the window does not count"
    desk.count(500, 1)
    assert await desk.news() == [("error-rate", "a", True)]


async def test_what_came_before_anybody_looked_is_no_news() -> None:
    desk = Desk()
    desk.count(500, 50)
    desk.alerts = desk.opened()
    assert await desk.news() == []


async def test_slow_answers_are_told_of_against_the_budget() -> None:
    desk = Desk()
    desk.count(200, 2, seconds=1.0)
    desk.count(200, 2, seconds=1.1)
    assert await desk.news() == [("latency", "a", True)]


async def test_an_open_breaker_is_told_of_until_it_is_closed() -> None:
    desk = Desk()
    await attempt(Guarded([desk.breaker]), broken())
    assert await desk.news() == [("breaker", "http://b", True)]
    desk.clock.advance(30 * SECOND)
    assert await desk.news() == []
    await attempt(Guarded([desk.breaker]), 200)
    assert await desk.news() == [("breaker", "http://b", False)]


async def test_of_two_breakers_of_a_target_either_is_told_of() -> None:
    desk = Desk()
    desk.alerts.breakers = (desk.breaker, Breaker(BreakerSettings(), desk.clock, "http://b"))
    await attempt(Guarded([desk.breaker]), broken())
    assert await desk.news() == [("breaker", "http://b", True)]


async def test_what_stands_is_not_told_again_after_a_reload_and_its_end_is() -> None:
    desk = Desk()
    desk.count(500, 4)
    assert await desk.news() == [("error-rate", "a", True)]
    desk.reload()
    assert await desk.news() == []
    desk.count(200, 10)
    assert await desk.news() == [("error-rate", "a", False)]


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        ({}, True),
        ({"settings": ALERTS.model_copy(update={"at_least": 3})}, True),
        ({"budget": 2.0}, False),
        ({"budget": None}, False),
        ({"settings": ALERTS.model_copy(update={"window": timedelta(seconds=13)})}, False),
    ],
)
async def test_a_window_goes_on_over_a_reload_where_it_means_the_same(change: dict[str, Any], goes_on: bool) -> None:
    desk = Desk()
    desk.count(500, 4)
    desk.reload(**change)
    assert await desk.news() == ([("error-rate", "a", True)] if goes_on else [])


# --- rate -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def rates(tmp_path: Path) -> AsyncIterator[tuple[Rates, ManualClock]]:
    """Real permits, in SQLite, on a clock that stands still at the beginning of a minute."""
    database = Database.open(f"sqlite:///{tmp_path}/rates.db", SystemClock())
    await migrate(database)
    group, clock = GroupWriter(database), ManualClock()
    made = Rates(group, clock)
    yield made, clock
    await made.close()
    await group.close()
    await database.close()


def told(asked: Interaction) -> dict[bytes, bytes]:
    return dict(asked.telling)


async def test_a_consumer_is_told_where_it_stands_and_when_to_come_back(rates: tuple[Rates, ManualClock]) -> None:
    permits, clock = rates
    rate = Rate("a", {"ward": Allowance(quota=RateValue(3, 60))}, permits)
    handler, called = answering(200)
    clock.advance(15 * SECOND)
    for remaining in (2, 1, 0):
        asked = interaction(application="ward")
        assert (await rate(asked, handler)).status == 200
        assert told(asked) == {
            b"ratelimit-policy": b'"quota";q=3;w=60',
            b"ratelimit": f'"quota";r={remaining};t=45'.encode(),
        }
    with pytest.raises(TooManyRequests) as refused:
        await rate(interaction(application="ward"), handler)
    assert str(refused.value) == (
        "Your application, ward, has exceeded its quota of 3 requests every 1 minute(s) and is being rate limited."
    )
    assert refused.value.headers == {
        "Retry-After": "45", "RateLimit-Policy": '"quota";q=3;w=60', "RateLimit": '"quota";r=0;t=45',
    }  # fmt: skip
    assert called() == 3
    clock.advance(45 * SECOND)
    assert (await rate(interaction(application="ward"), handler)).status == 200


async def test_the_tightest_limit_is_the_one_told_of(rates: tuple[Rates, ManualClock]) -> None:
    permits, _ = rates
    rate = Rate("a", {"ward": Allowance(quota=RateValue(100, 86400), burst=RateValue(2, 1))}, permits)
    handler, _ = answering(200)
    asked = interaction(application="ward")
    await rate(asked, handler)
    assert told(asked)[b"ratelimit-policy"] == b'"burst";q=2;w=1, "quota";q=100;w=86400'
    assert told(asked)[b"ratelimit"] == b'"burst";r=1;t=1'
    await rate(interaction(application="ward"), handler)
    with pytest.raises(TooManyRequests, match=r"sending requests faster than 2/s and is being rate limited\.") as refused:
        await rate(interaction(application="ward"), handler)
    assert refused.value.headers["Retry-After"] == "1"
    assert refused.value.headers["RateLimit"] == '"burst";r=0;t=1'


async def test_applications_and_apis_have_quotas_of_their_own(rates: tuple[Rates, ManualClock]) -> None:
    permits, _ = rates
    one = {"ward": Allowance(quota=RateValue(1, 60)), "theatre": Allowance(quota=RateValue(1, 60))}
    handler, called = answering(200)
    for api in ("a", "b"):
        for application in ("ward", "theatre"):
            await Rate(api, one, permits)(interaction(application=application), handler)
    assert called() == 4


async def test_without_a_limit_nothing_is_told(rates: tuple[Rates, ManualClock]) -> None:
    rate = Rate("a", {"ward": Allowance()}, rates[0])
    handler, _ = answering(200)
    for application in ("ward", ""):
        asked = interaction(application=application)
        await rate(asked, handler)
        assert asked.telling == []
