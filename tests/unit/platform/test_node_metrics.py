"""Gateway processes of a node add their counts up; no file that is found there breaks a scrape, and no counter goes backwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from fiveways.clock import ManualClock
from fiveways.correlation import Correlation
from fiveways.methods.synchronous.policies.breaker import Breaker, BreakerSettings
from fiveways.methods.synchronous.policies.metrics import BUCKETS, Figures, GatewayMetrics, Metrics
from fiveways.platform import node_metrics
from fiveways.platform.node_metrics import LIMIT, NodeMetrics, Slot, Snapshot, run_folder
from fiveways.platform.platform import Platform
from fiveways.platform.tallies import Tallied, Tallies
from fiveways.types import Consumer, Interaction, Outcome

pytestmark = pytest.mark.anyio

COUNT = "fiveways_gateway_request_duration_seconds_count"


class Process:
    """A gateway process as far as its metrics go."""

    def __init__(self, slot: Slot, clock: ManualClock) -> None:
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry)
        self.tallies = Tallies(self.registry)
        self.node = NodeMetrics(self.metrics, self.tallies, slot, clock)
        self.clock = clock

    def serve(self, requests: int, api: str = "a", seconds: float = 0.0) -> None:
        """Count requests."""
        observe = Metrics(self.metrics, self.clock, budget=0.5)
        for _ in range(requests):
            observe(self._interaction(api, self.clock.monotonic() - seconds), Outcome(200, []))

    @staticmethod
    def _interaction(api: str, started: float) -> Interaction:
        made = Interaction("1", "GET", b"/", b"", [], {}, None, None, Correlation(None, None), started)
        made.api, made.name, made.consumer = api, "GET", Consumer("ward")
        return made

    async def scrape(self) -> dict[str, float]:
        """What `/metrics` says, by sample."""
        await self.node.gather()
        lines = generate_latest(self.registry).decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    async def counted(self) -> int:
        """Requests to API a, of all processes, as `/metrics` has them."""
        return int((await self.scrape()).get(f'{COUNT}{{api="a",application="ward",interaction="GET",status="2xx"}}', 0))


Start = Callable[[int], "Process"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def start(tmp_path: Path, clock: ManualClock) -> Iterator[Start]:
    """Starts the process of a slot, of three."""
    with ExitStack() as stack:

        def started(number: int) -> Process:
            process = Process(Slot(tmp_path / "run" / "r", number, 3), clock)
            stack.callback(process.node._thread.shutdown)
            return process

        yield started


async def test_whoever_is_asked_shows_the_sum_of_counts_and_durations(start: Start) -> None:
    one, two = start(0), start(1)
    one.serve(3, seconds=0.25)
    two.serve(4, seconds=1.0)
    two.serve(5, api="b")
    await two.node.publish()
    shown = await one.scrape()
    labels = 'api="a",application="ward",interaction="GET"'
    name = COUNT.removesuffix("_count")
    assert shown[f'{COUNT}{{{labels},status="2xx"}}'] == 7
    assert shown[f'{name}_sum{{{labels},status="2xx"}}'] == pytest.approx(4.75)
    assert shown[f'{name}_bucket{{{labels},le="0.25",status="2xx"}}'] == 3
    assert shown[f'{COUNT}{{{labels.replace(chr(34) + "a", chr(34) + "b", 1)},status="2xx"}}'] == 5
    assert shown['fiveways_gateway_over_latency_budget_total{api="a"}'] == 4
    assert shown["fiveways_gateway_processes"] == 2
    assert await two.counted() == 7, "and the one that was scraped has left its own for the others"


async def test_a_breaker_shows_that_is_open_in_any_process_until_its_process_is_silent(start: Start, clock: ManualClock) -> None:
    one, two = start(0), start(1)
    opened = Breaker(BreakerSettings(failures=1), clock, "http://b")
    one.metrics.breakers, two.metrics.breakers = (Breaker(BreakerSettings(), clock, "http://b"),), (opened,)
    gauge = 'fiveways_gateway_breaker_open{target="http://b"}'
    await two.node.publish()
    assert (await one.scrape())[gauge] == 0
    opened._failures = 1
    await two.node.publish()
    assert (await one.scrape())[gauge] == 1
    clock.advance(timedelta(seconds=11))
    assert (await one.scrape())[gauge] == 0


async def test_nothing_that_was_shown_is_lost_when_a_process_is_killed(start: Start) -> None:
    one, two = start(0), start(1)
    one.serve(10)
    assert await one.counted() == 10, "shown only once it is on file"
    one.serve(5)
    assert await two.counted() == 10
    again = start(0)
    await again.node.resume()
    assert await again.counted() == 10
    again.serve(1)
    assert await again.counted() == 11
    assert await two.counted() == 11


async def test_what_is_counted_while_a_scrape_is_under_way_waits_for_the_next(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, write = start(0), NodeMetrics._write
    one.serve(10)

    def slowly(self: NodeMetrics, own: Figures, tallied: Tallied) -> None:
        write(self, own, tallied)
        one.serve(5)

    monkeypatch.setattr(NodeMetrics, "_write", slowly)
    assert await one.counted() == 10, "the five are on no file yet"
    assert await one.counted() == 15


async def test_tallies_of_all_processes_are_added_up_and_how_things_stand_is_told_by_who_looked(
    start: Start, clock: ManualClock
) -> None:
    one, two, worker = start(0), start(1), start(3)
    for process in (one, two):
        process.tallies.collected.observe("BOB", 4.0)
    worker.tallies.delivered("q", "delivered", 0.1)
    worker.tallies.queues = {"q": [7.0, 2.5, 1.0]}
    for process in (two, worker):
        await process.node.publish()
    shown = await one.scrape()
    assert shown['fiveways_messaging_collect_seconds_count{mailbox="BOB"}'] == 2
    assert shown['fiveways_messaging_collect_seconds_bucket{le="5.0",mailbox="BOB"}'] == 2
    assert shown['fiveways_messaging_collect_seconds_sum{mailbox="BOB"}'] == 8
    assert shown['fiveways_delivery_outcomes_total{outcome="delivered",queue="q"}'] == 1
    assert shown['fiveways_delivery_waiting{queue="q"}'] == 7
    assert shown['fiveways_delivery_dead{queue="q"}'] == 1
    assert shown["fiveways_gateway_processes"] == 2, "the worker is none of the gateways"
    clock.advance(timedelta(seconds=11))
    shown = await one.scrape()
    assert 'fiveways_delivery_waiting{queue="q"}' not in shown, "what was seen long ago is not how things stand"
    assert shown['fiveways_delivery_outcomes_total{outcome="delivered",queue="q"}'] == 1


async def test_a_process_in_the_place_of_another_goes_on_from_its_tallies(start: Start) -> None:
    one = start(0)
    one.tallies.collected.observe("BOB", 10**9)
    await one.node.publish()
    again = start(0)
    await again.node.resume()
    again.tallies.collected.observe("BOB", 1)
    shown = await again.scrape()
    assert shown['fiveways_messaging_collect_seconds_bucket{le="+Inf",mailbox="BOB"}'] == 2
    assert shown['fiveways_messaging_collect_seconds_bucket{le="1.0",mailbox="BOB"}'] == 1


async def test_a_process_that_stops_leaves_everything(start: Start) -> None:
    one, two = start(0), start(1)
    one.serve(7)
    await one.node.close()
    assert await two.counted() == 7


async def test_alerts_look_at_what_this_process_counted(start: Start) -> None:
    one, two = start(0), start(1)
    two.serve(9)
    await two.node.publish()
    one.serve(1)
    await one.scrape()
    assert one.metrics.counts()["a"].total == 1


async def test_a_process_that_goes_on_raises_no_alert_for_what_was_before(tmp_path: Path) -> None:
    file, slot = tmp_path / "deployment.yaml", Slot(tmp_path / "data" / "run" / "r", 0, 1)
    file.write_text('apis: {a: {pattern: pass-through, at: /a, target: {url: "http://127.0.0.1:9"}, security: [open]}}\n')
    slot.folder.mkdir(parents=True)
    failed = ["", "a", "GET", 5, [100] * (len(BUCKETS) + 1), 0.5]
    slot.file(0).write_text(json.dumps(GOOD | {"series": [failed]}))
    platform = await Platform.open(file, tmp_path / "data", slot=slot)
    try:
        await platform.running.alerts.evaluate()
        assert platform.running.alerts.standing == {}
        assert b'interaction="GET",status="5xx"} 1500.0' in generate_latest(platform.registry)
    finally:
        await platform.close()


GOOD = {"at": 0.0, "series": [["ward", "a", "GET", 2, [1] * (len(BUCKETS) + 1), 0.5]], "over_budget": {"a": 1}, "breakers": {}}


@pytest.mark.parametrize(
    "left",
    [
        b"", b"{", b"\x00" * 100, b"[]", b"null", b"[" * 100_000,
        json.dumps(GOOD | {"series": [["ward", "a", "GET", 2, [1], 0.5]]}),
        json.dumps(GOOD | {"series": [["ward", "a", "GET", 2, [-1] * (len(BUCKETS) + 1), 0.5]]}),
        json.dumps(GOOD | {"series": [["ward", "a", "GET", 2, [10**30] * (len(BUCKETS) + 1), 0.5]]}),
        json.dumps(GOOD | {"series": [["\ud800", "a", "GET", 2, [1] * (len(BUCKETS) + 1), 0.5]]}),
        json.dumps(GOOD | {"over_budget": {"a": float("nan")}}),
        json.dumps(GOOD | {"more": 1}),
        b" " * (LIMIT + 1),
    ],
    ids=lambda left: repr(left[:40]),
)  # fmt: skip
async def test_a_file_that_no_process_wrote_is_left_out(start: Start, left: bytes | str) -> None:
    one, two = start(0), start(1)
    two.serve(2)
    await two.node.publish()
    (one.node._slot.file(2)).write_bytes(left if isinstance(left, bytes) else left.encode())
    one.serve(1)
    shown = await one.scrape()
    assert shown["fiveways_gateway_processes"] == 2
    assert await one.counted() == 3
    third = start(2)
    await third.node.resume()
    third.serve(4)
    await third.node.publish()
    assert await one.counted() == 7, "its process has replaced it"


@pytest.mark.parametrize("kind", ["a pipe that nobody writes to", "a link", "a folder", "a socket's name"])
async def test_what_is_no_file_is_left_out_and_nobody_waits_for_it(start: Start, tmp_path: Path, kind: str) -> None:
    one = start(0)
    one.serve(1)
    assert await one.counted() == 1
    path = one.node._slot.file(1)
    if kind.startswith("a pipe"):
        os.mkfifo(path)
    elif kind == "a link":
        (tmp_path / "elsewhere").write_text(json.dumps(GOOD))
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    assert await one.counted() == 1


MEMBERS = st.dictionaries(
    st.sampled_from(["at", "series", "over_budget", "breakers"]),
    st.none() | st.floats(allow_nan=False) | st.lists(st.text(max_size=3)),
)


@given(left=st.binary(max_size=200) | st.builds(msgspec.json.encode, MEMBERS))
def test_no_bytes_are_more_than_left_out(tmp_path_factory: pytest.TempPathFactory, left: bytes) -> None:
    file = tmp_path_factory.mktemp("run") / "0.json"
    file.write_bytes(left)
    assert isinstance(node_metrics._read(file), Snapshot | None)


async def test_files_of_slots_that_the_deployment_does_not_have_are_not_looked_at(start: Start) -> None:
    one = start(0)
    one.serve(1)
    await one.node.publish()
    one.node._slot.file(3).write_text(json.dumps(GOOD))
    (one.node._slot.folder.parent / "0.json").write_text(json.dumps(GOOD))
    assert await one.counted() == 1


async def test_more_than_a_file_may_hold_is_shown_by_its_process_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_metrics, "LIMIT", 300)
    one, two = start(0), start(1)
    one.serve(1)
    await one.node.publish()
    for number in range(20):
        one.serve(1, api=f"more-{number}")
    one.serve(1)
    assert await one.counted() == 2
    assert await two.counted() == 1
    with pytest.raises(OSError, match="21 series"):
        await one.node.publish()


async def test_a_folder_that_was_tidied_away_comes_back(start: Start, tmp_path: Path) -> None:
    one = start(0)
    one.serve(1)
    await one.node.publish()
    for path in one.node._slot.folder.iterdir():
        path.unlink()
    one.node._slot.folder.rmdir()
    assert await one.counted() == 1
    assert [path.name for path in one.node._slot.folder.iterdir()] == ["0.json"]


def test_each_supervisor_begins_anew_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run" / "of-one-that-was-killed").mkdir(parents=True)
    (tmp_path / "run" / "of-one-that-was-killed" / "5.json").write_text(json.dumps(GOOD))
    with run_folder(tmp_path) as folder:
        assert list((tmp_path / "run").iterdir()) == [folder]
        assert folder.stat().st_mode & 0o777 == 0o700
        slot = Slot(folder, 1, 4)
        assert Slot.parse(str(slot), tmp_path) == slot
    assert not (tmp_path / "run").exists()
