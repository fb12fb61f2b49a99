"""Delivery over both stores: promises in the caller's commit, order per key, leases, throttle, back-off, expiry, dead letters."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exists, select, text

from fiveways.clock import Clock, ManualClock, SystemClock
from fiveways.delivery import records
from fiveways.delivery.deadletters import DeadLetters, Inspected, NoDeadLetter
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.holding import Holding, LeaseLost
from fiveways.delivery.queue import Capacity, Delivery, GiveUp, Queue, Retry
from fiveways.delivery.states import State
from fiveways.delivery.worker import Worker
from fiveways.deployment.settings import Rate
from fiveways.errors import FivewaysError, StoreError
from fiveways.ledger.rates import Rates
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import IN_ROW, open_payloads

pytestmark = pytest.mark.anyio

QUICK: dict[str, Any] = {"first_wait": timedelta(milliseconds=20), "longest_wait": timedelta(milliseconds=40)}


@pytest.fixture
def deliveries(group: GroupWriter) -> Deliveries:
    return Deliveries(group, open_payloads("memory://"), LocalBus(), SystemClock(), "north")


def elsewhere(deliveries: Deliveries, group: GroupWriter, node: str, clock: Clock | None = None) -> Deliveries:
    """The same store as another node has it."""
    return Deliveries(group, deliveries.payloads, LocalBus(), clock or deliveries.clock, node)


async def promise(deliveries: Deliveries, key: str | None, *bodies: str, queue: str = "q", **more: Any) -> list[str]:
    """Promise deliveries of a key in this order; their ids."""
    ids = []
    for body in bodies:
        made = await deliveries.promise(queue, target="t", key=key, body=body.encode(), **more)
        await deliveries.group.transact(*made.steps)
        ids.append(made.id)
    deliveries.wake(queue)
    return ids


@asynccontextmanager
async def working(deliveries: Deliveries, *queues: Queue, poll: float = 0.05) -> AsyncIterator[Worker]:
    """A node at work."""
    rates = Rates(deliveries.group, deliveries.clock)
    worker = Worker(deliveries, rates, queues, poll=poll)
    worker.start()
    try:
        yield worker
    finally:
        await worker.close()
        await rates.close()


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


async def body(delivery: Delivery) -> str:
    return b"".join([piece async for piece in delivery.content()]).decode()


def desk(deliveries: Deliveries, told: list[Any]) -> DeadLetters:
    """Dead letters, as a person has them; `told` is what the audit would keep."""

    def witness(kind: str, delivery: Inspected, reason: str, details: Any) -> Callable[[bool], None]:
        return lambda kept: told.append((kind, delivery.id, reason, kept))

    return DeadLetters(deliveries, "nurse", witness)


async def life(deliveries: Deliveries, id_: str) -> list[str]:
    return [event.happening for event in (await desk(deliveries, []).inspect(id_)).events]


async def state(deliveries: Deliveries, id_: str) -> State:
    return (await desk(deliveries, []).inspect(id_)).state


async def rows(database: Database, table: Any) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(table))).all())


# --- promises -------------------------------------------------------------------------------------------------------------


async def test_a_promise_is_kept_once_it_is_committed_and_woken(deliveries: Deliveries, database: Database) -> None:
    got: list[Delivery] = []

    async def take(delivery: Delivery) -> None:
        assert await body(delivery) == "hello"
        got.append(delivery)

    async with working(deliveries, Queue(name="q", handler=take), poll=30):
        await asyncio.sleep(0.1)
        (id_,) = await promise(deliveries, "k", "hello", correlation="c")
        await until(lambda: bool(got))
        await until(lambda: _is(deliveries, id_, State.DELIVERED))
    assert (got[0].id, got[0].key, got[0].target, got[0].correlation, got[0].attempt, got[0].size) == (id_, "k", "t", "c", 1, 5)
    assert await life(deliveries, id_) == ["promise", "claim", "deliver"]
    for table in (records.delivery_queue, records.delivery_leases):
        assert await rows(database, table) == 0


async def _is(deliveries: Deliveries, id_: str, expected: State) -> bool:
    return await state(deliveries, id_) is expected


async def test_a_promise_whose_transaction_fails_was_never_made(deliveries: Deliveries, database: Database) -> None:
    made = await deliveries.promise("q", target="t", body=b"x")
    with pytest.raises(StoreError):
        await deliveries.group.transact(*made.steps, (records.bury, {"b_id": made.id, "b_queue": None, "b_at": 0}))
    for table in (records.deliveries, records.delivery_events, records.delivery_queue):
        assert await rows(database, table) == 0


async def test_a_promise_made_again_under_its_id_is_the_same_even_once_it_was_kept(deliveries: Deliveries) -> None:
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        got.append(await body(delivery))

    async with working(deliveries, Queue(name="q", handler=take)):
        await promise(deliveries, "k", "one", id="fixed")
        await promise(deliveries, "k", "one", id="fixed")
        await until(lambda: _is(deliveries, "fixed", State.DELIVERED))
        await promise(deliveries, "k", "one", id="fixed")
        await promise(deliveries, "k", "two")
        await until(lambda: "two" in got)
    assert got == ["one", "two"]


WHERE_BURIED = records.promise_if(exists().where(records.dead_letters.c.delivery == records._text("b_other")))


@pytest.mark.parametrize("there", [True, False])
async def test_the_transaction_may_decide_whether_there_is_anything_to_deliver(
    deliveries: Deliveries, database: Database, there: bool
) -> None:
    bury = (records.bury, {"b_id": "other", "b_queue": "q", "b_at": 0})
    made = await deliveries.promise("q", target="t", body=b"x", condition=WHERE_BURIED, parameters={"b_other": "other"})
    await deliveries.group.transact(*([bury] if there else []), *made.steps)
    for table in (records.deliveries, records.delivery_events, records.delivery_queue):
        assert await rows(database, table) == int(there)


async def test_a_large_body_is_streamed_from_the_payload_store_and_removed_with_its_delivery(deliveries: Deliveries) -> None:
    large = "x" * (IN_ROW + 1)
    dropped = await deliveries.promise("q", target="t", body=large.encode())
    await deliveries.drop(dropped)
    assert [ref async for ref in deliveries.payloads.list()] == []
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        got.append(await body(delivery))

    async with working(deliveries, Queue(name="q", handler=take)):
        (id_,) = await promise(deliveries, "k", large)
        await until(lambda: _is(deliveries, id_, State.DELIVERED))
    (waiting,) = await promise(deliveries, "k", "still to go")
    assert got == [large]
    assert len([ref async for ref in deliveries.payloads.list()]) == 1
    assert await deliveries.purge(deliveries.clock.now() + timedelta(hours=1)) == 1
    assert [ref async for ref in deliveries.payloads.list()] == []
    with pytest.raises(NoDeadLetter):
        await state(deliveries, id_)
    assert await state(deliveries, waiting) is State.WAITING


# --- order ----------------------------------------------------------------------------------------------------------------


async def test_deliveries_of_a_key_go_one_at_a_time_and_in_order_whichever_node_and_whatever_fails(
    deliveries: Deliveries, url: str
) -> None:
    order: dict[str, list[int]] = defaultdict(list)
    under_way: set[str] = set()
    chance = random.Random(7)

    async def take(delivery: Delivery) -> None:
        assert delivery.key not in under_way
        under_way.add(delivery.key)
        try:
            await asyncio.sleep(chance.random() * 0.004)
            if chance.random() < 0.2:
                raise Retry("not now") if chance.random() < 0.5 else OSError
            order[delivery.key].append(int(await body(delivery)))
        finally:
            under_way.discard(delivery.key)

    queue = Queue(name="q", handler=take, concurrency=4, **QUICK)
    keys, count = [f"k{number}" for number in range(6)], 8
    async with AsyncExitStack() as stack:
        for name in ("south", "east"):
            other = Database.open(url)
            stack.push_async_callback(other.close)
            group = GroupWriter(other)
            stack.push_async_callback(group.close)
            await stack.enter_async_context(working(elsewhere(deliveries, group, name), queue))
        await stack.enter_async_context(working(deliveries, queue))
        await asyncio.gather(*(promise(deliveries, key, *map(str, range(count))) for key in keys))
        await until(lambda: sum(map(len, order.values())) >= count * len(keys), 40)
    assert dict(order) == {key: list(range(count)) for key in keys}


async def test_a_delivery_that_fails_holds_up_its_own_key_and_no_other(deliveries: Deliveries) -> None:
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        if delivery.key == "down" and delivery.attempt == 1:
            raise Retry("down", timedelta(seconds=0.4))
        got.append(await body(delivery))

    async with working(deliveries, Queue(name="q", handler=take, **QUICK)):
        await promise(deliveries, "down", "1", "2")
        await until(lambda: _depth(deliveries, 2))
        await promise(deliveries, "down", "3")
        await promise(deliveries, "up", "a", "b")
        await promise(deliveries, None, "alone")
        await until(lambda: len(got) == 6)
    assert set(got[:3]) == {"a", "b", "alone"}
    assert got[3:] == ["1", "2", "3"]


async def _depth(deliveries: Deliveries, waiting: int) -> bool:
    return (await deliveries.depth("q")).waiting == waiting


async def test_looking_for_work_reads_one_row_of_a_key_however_many_wait_behind(deliveries: Deliveries, database: Database) -> None:
    async def down(delivery: Delivery) -> None:
        raise Retry("down", timedelta(hours=1))

    ids = await promise(deliveries, "k", *map(str, range(50)))
    async with working(deliveries, Queue(name="q", handler=down)):
        await until(lambda: _has_failed(deliveries, ids[0]))
        await until(lambda: _let_go(database))
    async with database.read() as connection:
        due = await connection.scalar(text(f"SELECT count(*) FROM delivery_queue WHERE due < {records.NEVER}"))
    assert due == 1


async def _has_failed(deliveries: Deliveries, id_: str) -> bool:
    return "fail" in await life(deliveries, id_)


async def _let_go(database: Database) -> bool:
    return await rows(database, records.delivery_leases) == 0


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # SQLite has one writing transaction at a time
async def test_a_promise_committed_while_its_key_is_let_go_is_not_forgotten(deliveries: Deliveries, url: str) -> None:
    """What a worker cannot see yet when it finds its key empty is due by itself."""
    other = Database.open(url)
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        got.append(await body(delivery))

    made = await deliveries.promise("q", target="t", key="k", body=b"late")
    async with working(deliveries, Queue(name="q", handler=take)):
        async with other.write() as slow:
            for statement, values in made.steps:
                await slow.execute(statement, dict(values))
            await promise(deliveries, "k", "1", "2")
            await until(lambda: got == ["1", "2"])
            await until(lambda: _let_go(deliveries.group.database))
        await until(lambda: got == ["1", "2", "late"])
    await other.close()


# --- leases ---------------------------------------------------------------------------------------------------------------


async def test_a_node_whose_lease_ran_out_has_no_say_in_the_outcome(deliveries: Deliveries, group: GroupWriter) -> None:
    clock = ManualClock()
    north, south = (elsewhere(deliveries, group, name, clock) for name in ("north", "south"))
    (id_,) = await promise(north, "k", "x")
    lease = timedelta(seconds=30)
    old = Holding(group, clock, "q", "k", "north", lease)
    new = Holding(group, clock, "q", "k", "south", lease)
    assert await old.take()
    assert old.first is not None
    await old.begin(old.first)
    assert not await new.take()
    clock.advance(timedelta(seconds=20))
    await old.renew()
    clock.advance(timedelta(seconds=20))
    assert not await new.take()
    clock.advance(timedelta(seconds=10, microseconds=1))
    stale = old.first
    for late in (old.delivered(stale, ""), old.failed(stale, "", 0), old.give_up(stale, "", block=False), old.begin(stale)):
        with pytest.raises(LeaseLost):  # nobody has taken over yet: it has none all the same
            await late
    assert await new.take()
    assert new.first is not None
    assert new.first.state is State.HELD
    await new.begin(new.first)
    with pytest.raises(LeaseLost):
        await old.renew()
    with pytest.raises(LeaseLost):
        await old.delivered(stale, "")
    await old.let_go()  # of a lease that is another's: nothing
    await new.delivered(new.first, "")
    assert await life(south, id_) == ["promise", "claim", "lapse", "claim", "deliver"]


async def test_a_lease_is_renewed_while_the_handler_runs(deliveries: Deliveries, group: GroupWriter) -> None:
    attempts: list[str] = []

    async def slow(delivery: Delivery) -> None:
        attempts.append(delivery.id)
        await asyncio.sleep(1.2)

    queue = Queue(name="q", handler=slow, lease=timedelta(seconds=0.45))
    async with working(deliveries, queue), working(elsewhere(deliveries, group, "south"), queue):
        (id_,) = await promise(deliveries, "k", "x")
        await until(lambda: _is(deliveries, id_, State.DELIVERED))
    assert attempts == [id_]


async def test_an_attempt_whose_lease_is_lost_is_cancelled_and_made_by_another(deliveries: Deliveries, database: Database) -> None:
    begun: list[int] = []
    cancelled: list[bool] = []

    async def take(delivery: Delivery) -> None:
        begun.append(delivery.attempt)
        if delivery.attempt == 1:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    async with working(deliveries, Queue(name="q", handler=take, lease=timedelta(seconds=0.3))) as worker:
        (id_,) = await promise(deliveries, "k", "x")
        await until(lambda: begun == [1])
        async with database.write() as connection:
            await connection.execute(text("UPDATE delivery_leases SET until = 0"))
        await until(lambda: _is(deliveries, id_, State.DELIVERED))
    assert cancelled == [True]
    assert begun == [1, 2]
    assert worker.counts["q", "lost"] == 1


async def test_a_node_that_is_stopped_leaves_what_it_attempted_to_others_at_once(deliveries: Deliveries) -> None:
    begun = asyncio.Event()

    async def hang(delivery: Delivery) -> None:
        begun.set()
        await asyncio.sleep(30)

    async def take(delivery: Delivery) -> None: ...

    async with working(deliveries, Queue(name="q", handler=hang)):
        (id_,) = await promise(deliveries, "k", "x")
        await begun.wait()
    assert await life(deliveries, id_) == ["promise", "claim", "fail"]
    async with working(deliveries, Queue(name="q", handler=take)):
        await until(lambda: _is(deliveries, id_, State.DELIVERED), 2)


PROGRAM = """
import asyncio, json, sys
from datetime import timedelta
from fiveways.clock import SystemClock
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.queue import Queue
from fiveways.delivery.worker import Worker
from fiveways.ledger.rates import Rates
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

async def main():
    url, log, node, pause = sys.argv[1:]
    out = open(log, "a", buffering=1)
    database = Database.open(url)
    group = GroupWriter(database)
    deliveries = Deliveries(group, open_payloads("memory://"), LocalBus(), SystemClock(), node)

    async def take(delivery):
        body = b"".join([piece async for piece in delivery.content()]).decode()
        out.write(json.dumps([delivery.key, int(body), node, "begin"]) + "\\n")
        await asyncio.sleep(float(pause))
        out.write(json.dumps([delivery.key, int(body), node, "end"]) + "\\n")

    queue = Queue(name="q", handler=take, lease=timedelta(seconds=1), concurrency=3)
    worker = Worker(deliveries, Rates(group, SystemClock()), [queue], poll=0.05)
    worker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_when_a_process_is_killed_another_takes_over_and_nothing_is_lost_or_out_of_order(
    deliveries: Deliveries, url: str, tmp_path: Path, child: Callable[..., Awaitable[asyncio.subprocess.Process]]
) -> None:
    log = tmp_path / "log"
    log.touch()

    def lines() -> list[Any]:
        return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    keys, count = [f"k{number}" for number in range(5)], 6
    doomed, steady = await child(PROGRAM, url, str(log), "doomed", "0.1"), await child(PROGRAM, url, str(log), "steady", "0.1")
    for process in (doomed, steady):
        assert process.stdout is not None
        await process.stdout.readline()
    await asyncio.gather(*(promise(deliveries, key, *map(str, range(count))) for key in keys))
    await until(lambda: ["doomed", "end"] in [line[2:] for line in lines()])
    doomed.kill()
    await doomed.wait()
    done = {(key, number) for key in keys for number in range(count)}
    await until(lambda: {(line[0], line[1]) for line in lines() if line[3] == "end"} == done, 30)
    for key in keys:
        begun = [line[1] for line in lines() if line[0] == key and line[3] == "begin"]
        assert begun == sorted(begun), begun  # one may have been begun twice: at least once
        assert len(begun) <= count + 1
    assert {line[2] for line in lines()} == {"doomed", "steady"}
    await until(lambda: _depth(deliveries, 0))


# --- back-off, giving up, expiry ------------------------------------------------------------------------------------------


async def test_after_so_many_attempts_a_delivery_is_a_dead_letter_and_the_next_goes(deliveries: Deliveries) -> None:
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        text_ = await body(delivery)
        if text_ == "bad":
            raise Retry("503")
        if text_ == "worse":
            raise GiveUp("410")
        got.append(text_)

    async with working(deliveries, Queue(name="q", handler=take, attempts=3, **QUICK)) as worker:
        bad, worse, _ = await promise(deliveries, "k", "bad", "worse", "good")
        await until(lambda: got == ["good"])
        await until(lambda: worker.counts["q", "delivered"] == 1)
    assert await life(deliveries, bad) == ["promise", "claim", "fail", "claim", "fail", "claim", "give up"]
    assert await life(deliveries, worse) == ["promise", "claim", "give up"]
    listed = await desk(deliveries, []).list("q")
    assert [(each.id, each.reason) for each in listed] == [(bad, "after 3 attempts: 503"), (worse, "410")]
    assert await desk(deliveries, []).list("another") == []
    assert worker.counts == {("q", "failed"): 2, ("q", "dead"): 2, ("q", "delivered"): 1}
    depth = await deliveries.depth("q")
    assert (depth.waiting, depth.dead) == (0, 2)


async def test_a_delivery_that_kills_every_node_is_given_up_too(deliveries: Deliveries, group: GroupWriter) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    (id_,) = await promise(node, "k", "poison")
    for _ in range(2):
        holding = Holding(group, clock, "q", "k", "north", timedelta(seconds=1))
        assert await holding.take()
        assert holding.first is not None
        await holding.begin(holding.first)
        clock.advance(timedelta(seconds=2))  # the node is gone

    async def never(delivery: Delivery) -> None:
        raise AssertionError

    async with working(node, Queue(name="q", handler=never, attempts=2)):
        await until(lambda: _is(node, id_, State.DEAD))
    assert await life(node, id_) == ["promise", "claim", "lapse", "claim", "give up"]


async def test_a_failed_delivery_waits_as_long_as_its_receiver_asks_within_bounds_and_is_given_up_when_patience_ends(
    deliveries: Deliveries, group: GroupWriter
) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    attempts: list[int] = []

    async def busy(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise Retry("429", timedelta(days=300))

    queue = Queue(name="q", handler=busy, longest_heed=timedelta(hours=2), patience=timedelta(hours=5), **QUICK)
    async with working(node, queue, poll=0.02):
        (id_,) = await promise(node, "k", "x")
        for number in (1, 2):
            await until(lambda number=number: _failures(node, id_, number))  # type: ignore[misc]
            clock.advance(timedelta(hours=1, minutes=59))
            await asyncio.sleep(0.1)
            assert len(attempts) == number
            clock.advance(timedelta(minutes=1))
        await until(lambda: _is(node, id_, State.DEAD))  # the next wait would end after patience
    assert attempts == [1, 2, 3]


async def _failures(deliveries: Deliveries, id_: str, number: int) -> bool:
    return (await life(deliveries, id_)).count("fail") == number


async def test_an_attempt_is_bounded_in_time_and_a_strangers_exception_is_told_by_its_name_alone(deliveries: Deliveries) -> None:
    async def take(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            await asyncio.sleep(30)
        if delivery.attempt == 2:
            raise ValueError("patient 9000000009")

    async with working(deliveries, Queue(name="q", handler=take, time_limit=timedelta(seconds=0.1), **QUICK)):
        (id_,) = await promise(deliveries, "k", "x")
        await until(lambda: _is(deliveries, id_, State.DELIVERED))
    reasons = [event.reason for event in (await desk(deliveries, []).inspect(id_)).events if event.happening == "fail"]
    assert reasons == ["no outcome within 0.1 s", "ValueError"]


async def test_what_nobody_needs_any_more_expires_wherever_it_stands(deliveries: Deliveries, group: GroupWriter) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        if delivery.attempt == 1 and await body(delivery) == "1":
            raise Retry("down", timedelta(hours=1))
        got.append(await body(delivery))

    soon = clock.now() + timedelta(minutes=1)
    async with working(node, Queue(name="q", handler=take, **QUICK), poll=0.02):
        (first,) = await promise(node, "k", "1")
        (second,) = await promise(node, "k", "2", expires_at=soon)
        (third,) = await promise(node, "k", "3")
        (alone,) = await promise(node, None, "later", not_before=soon + timedelta(minutes=1), expires_at=soon)
        await until(lambda: _has_failed(node, first))
        clock.advance(timedelta(minutes=2))
        for id_ in (second, alone):
            await until(lambda id_=id_: _is(node, id_, State.EXPIRED))  # type: ignore[misc]
        assert got == []
        clock.advance(timedelta(hours=1))
        await until(lambda: _is(node, third, State.DELIVERED))
    assert got == ["1", "3"]


async def test_nothing_goes_before_its_time(deliveries: Deliveries, group: GroupWriter) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        got.append(await body(delivery))

    async with working(node, Queue(name="q", handler=take), poll=0.02):
        await promise(node, "k", "1", not_before=clock.now() + timedelta(minutes=1))
        await promise(node, "k", "2")
        await asyncio.sleep(0.15)
        assert got == []
        clock.advance(timedelta(minutes=1))
        await until(lambda: got == ["1", "2"])


# --- throttle -------------------------------------------------------------------------------------------------------------


async def test_a_receiver_gets_no_more_at_once_than_it_takes_over_all_nodes(deliveries: Deliveries, group: GroupWriter) -> None:
    now, most, done = 0, 0, 0

    async def take(delivery: Delivery) -> None:
        nonlocal now, most, done
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        done += 1

    queue = Queue(name="q", handler=take, capacity=lambda delivery: Capacity(delivery.target, concurrency=2))
    async with working(deliveries, queue), working(elsewhere(deliveries, group, "south"), queue):
        await promise(deliveries, None, *map(str, range(12)))
        await until(lambda: done == 12)
        async with asyncio.timeout(5):
            while await rows(group.database, records.delivery_slots):
                await asyncio.sleep(0.01)
    assert most == 2


async def test_the_place_of_a_dead_node_at_a_receiver_is_free_when_its_lease_has_run_out(
    deliveries: Deliveries, group: GroupWriter
) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    taken = {"b_receiver": "t", "b_number": 0, "b_token": "dead", "b_now": 0, "b_until": int(clock.time() * 1e6) + 30_000_000}
    await group.submit(records.take_slot, taken)

    async def take(delivery: Delivery) -> None: ...

    queue = Queue(name="q", handler=take, capacity=lambda delivery: Capacity("t", concurrency=1))
    async with working(node, queue, poll=0.02) as worker:
        (id_,) = await promise(node, "k", "x")
        await until(lambda: worker.counts["q", "throttled"] == 1)
        assert await life(node, id_) == ["promise"]
        clock.advance(timedelta(seconds=31))
        await until(lambda: _is(node, id_, State.DELIVERED))


async def test_a_receiver_gets_no_more_in_a_time_than_it_takes(deliveries: Deliveries) -> None:
    loop, times = asyncio.get_running_loop(), []

    async def take(delivery: Delivery) -> None:
        times.append(loop.time())

    queue = Queue(name="q", handler=take, capacity=lambda delivery: Capacity(delivery.target, rate=Rate(10, 1)))
    async with working(deliveries, queue):
        await promise(deliveries, None, *map(str, range(20)))
        await until(lambda: len(times) == 20)
    for start in times:  # a bucket of ten that fills at ten a second
        assert sum(start <= each < start + 0.5 for each in times) <= 10 + 5 + 1


# --- dead letters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_dead_letter_is_mended_and_sent_again_with_a_reason(deliveries: Deliveries, blocking: bool) -> None:
    got: list[tuple[str, str, int]] = []

    async def take(delivery: Delivery) -> None:
        if delivery.target == "t" and await body(delivery) == "1":
            raise GiveUp("404")
        got.append((delivery.target, await body(delivery), delivery.attempt))

    told: list[Any] = []
    letters = desk(deliveries, told)
    async with working(deliveries, Queue(name="q", handler=take, blocking=blocking)):
        first, second = await promise(deliveries, "k", "1", "2")
        await until(lambda: _is(deliveries, first, State.DEAD))
        if blocking:
            await asyncio.sleep(0.15)
            assert got == []
        else:
            await until(lambda: _is(deliveries, second, State.DELIVERED))
        await letters.mend(first, "moved house", target="elsewhere", body=b"1, mended")
        assert await state(deliveries, first) is State.DEAD
        await letters.resend(first, "INC-1234")
        await until(lambda: _is(deliveries, first, State.DELIVERED))
        await until(lambda: _is(deliveries, second, State.DELIVERED))
    again = ("elsewhere", "1, mended", 1)
    assert got == ([again, ("t", "2", 1)] if blocking else [("t", "2", 1), again])
    assert told == [("delivery.mended", first, "moved house", True), ("delivery.resent", first, "INC-1234", True)]
    events = (await letters.inspect(first)).events
    assert [(event.happening, event.by, event.reason) for event in events][3:5] == [
        ("mend", "nurse", "moved house"),
        ("resend", "nurse", "INC-1234"),
    ]
    assert await letters.list() == []


async def test_what_waits_behind_a_discarded_dead_letter_goes_on(deliveries: Deliveries) -> None:
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        if await body(delivery) == "1":
            raise GiveUp("404")
        got.append(await body(delivery))

    async with working(deliveries, Queue(name="q", handler=take, blocking=True)):
        first, _ = await promise(deliveries, "k", "1", "2")
        await until(lambda: _is(deliveries, first, State.DEAD))
        await promise(deliveries, "k", "3")
        await asyncio.sleep(0.1)
        assert got == []
        await desk(deliveries, []).discard(first, "sent by post")
        await until(lambda: got == ["2", "3"])
    assert await state(deliveries, first) is State.DISCARDED


async def test_a_dead_letter_that_stands_in_the_way_does_not_expire(deliveries: Deliveries, group: GroupWriter) -> None:
    clock = ManualClock()
    node = elsewhere(deliveries, group, "north", clock)
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        if delivery.key == "k":
            raise GiveUp("404")
        got.append(await body(delivery))

    async with working(node, Queue(name="q", handler=take, blocking=True), poll=0.02):
        first, second = await promise(node, "k", "1", "2", expires_at=clock.now() + timedelta(minutes=1))
        await until(lambda: _is(node, first, State.DEAD))
        clock.advance(timedelta(minutes=2))
        await until(lambda: _is(node, second, State.EXPIRED))
        (third,) = await promise(node, "k", "3")
        await promise(node, "other", "later")
        await until(lambda: bool(got))
        await asyncio.sleep(0.1)
    assert (await state(node, first), await state(node, third)) == (State.DEAD, State.WAITING)


async def test_of_two_who_send_a_dead_letter_again_one_does_and_a_reason_is_a_must(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(delivery: Delivery) -> None:
        raise GiveUp("404")

    async with working(deliveries, Queue(name="q", handler=take)):
        (id_,) = await promise(deliveries, "k", "1")
        await until(lambda: _is(deliveries, id_, State.DEAD))
    told: list[Any] = []
    letters = desk(deliveries, told)
    with pytest.raises(FivewaysError, match="reason"):
        await letters.resend(id_, " ")
    with pytest.raises(FivewaysError, match="nothing to mend"):
        await letters.mend(id_, "why")
    before = await letters.inspect(id_)

    async def as_both_saw_it(_: str, *states: State) -> Inspected:
        return before

    with monkeypatch.context() as patched:
        patched.setattr(letters, "_in", as_both_saw_it)
        outcomes = await asyncio.gather(letters.resend(id_, "a"), letters.resend(id_, "b"), return_exceptions=True)
    assert sorted(map(type, outcomes), key=str) == sorted([type(None), NoDeadLetter], key=str)
    assert sorted(kept for *_, kept in told) == [False, True]
    with pytest.raises(NoDeadLetter, match="no dead letter"):
        await letters.resend(id_, "again")
    with pytest.raises(NoDeadLetter, match="there is no delivery"):
        await letters.discard("nothing", "why")


async def test_a_mended_bodys_payloads_are_neither_lost_nor_left(deliveries: Deliveries) -> None:
    async def take(delivery: Delivery) -> None:
        raise GiveUp("404")

    async with working(deliveries, Queue(name="q", handler=take)):
        (id_,) = await promise(deliveries, "k", "x" * (IN_ROW + 1))
        await until(lambda: _is(deliveries, id_, State.DEAD))
    letters = desk(deliveries, [])
    (old,) = [ref async for ref in deliveries.payloads.list()]
    await letters.mend(id_, "why", target="elsewhere")
    assert [ref async for ref in deliveries.payloads.list()] == [old]
    await letters.mend(id_, "why", body=b"y" * (IN_ROW + 2))
    (new,) = [ref async for ref in deliveries.payloads.list()]
    found = await letters.inspect(id_)
    assert (found.payload, found.size, found.body) == (new, IN_ROW + 2, None)
    await letters.mend(id_, "why", body=b"small")
    assert [ref async for ref in deliveries.payloads.list()] == []
    found = await letters.inspect(id_)
    assert (found.payload, found.size, found.body, found.target) == (None, 5, b"small", "elsewhere")


# --- trouble --------------------------------------------------------------------------------------------------------------


async def test_a_worker_outlives_a_store_that_fails_for_a_while(deliveries: Deliveries, database: Database) -> None:
    got: list[str] = []

    async def take(delivery: Delivery) -> None:
        got.append(await body(delivery))

    async with working(deliveries, Queue(name="q", handler=take)):
        async with database.write() as connection:
            await connection.execute(text("ALTER TABLE delivery_leases RENAME TO gone"))
        await promise(deliveries, "k", "x")
        await asyncio.sleep(0.2)
        assert got == []
        async with database.write() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO delivery_leases"))
        await until(lambda: got == ["x"])


async def test_an_observer_is_told_what_happens_and_how_old_it_was(deliveries: Deliveries) -> None:
    told: list[tuple[str, str, float]] = []

    async def take(delivery: Delivery) -> None: ...

    worker = Worker(
        deliveries,
        Rates(deliveries.group, deliveries.clock),
        [Queue(name="q", handler=take)],
        observer=lambda queue, happening, age: told.append((queue, happening, age)),
    )
    worker.start()
    try:
        await promise(deliveries, "k", "x")
        await until(lambda: bool(told))
    finally:
        await worker.close()
    ((queue, happening, age),) = told
    assert (queue, happening) == ("q", "delivered")
    assert 0 < age < 10
