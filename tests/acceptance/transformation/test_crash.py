"""SIGKILL at any moment: what was acknowledged is not lost, and what is sent again is not processed again."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from string import Template

import pytest
from tests.acceptance.conftest import Backend, Serve, Served, response
from tests.acceptance.transformation.conftest import COMMON, DONE, Sender, adt, free_ports

from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.frames import framed

DEPLOYMENT = """
listeners:
  main: {http: "127.0.0.1:$main"}
  adt: {mllp: "127.0.0.1:$feed", api: adt, as: pas}
organisations: {RXN: {name: Northshire Hospital}}
applications: {pas: {organisation: RXN, products: [feeds]}}
products: {feeds: {apis: [adt]}}
apis:
  adt:
    pattern: transformation
    at: /adt
    transform: {by: hl7v2-to-fhir}
    target: {url: "$url"}
    $promise
    $common
"""
MESSAGES, KILLS = 150, 5
AT_ONCE = 16
"""Deliveries that may be under way when it dies: `promise.keys_at_once`."""


def deployment(url: str, ports: list[int], promise: str) -> str:
    """One feed, whose messages go to `url`."""
    main, feed = ports
    return Template(DEPLOYMENT).substitute(
        main=str(main), feed=str(feed), url=url, promise=promise, common=COMMON.replace("[signed-jwt, api-key]", "[signed-jwt]")
    )


class Insisting:
    """A sender that sends each message until it is acknowledged, whatever happens to its connection."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self.acknowledged: list[str] = []
        self.sent: Counter[str] = Counter()
        self.done = threading.Event()

    def run(self) -> None:
        """Send them all, in order."""
        sender: Sender | None = None
        for number in range(self._count):
            id_ = f"C{number:05}"
            while True:
                try:
                    sender = sender or Sender(self._port, 30)
                    self.sent[id_] += 1
                    if sender.send(adt(id_, number=f"K{number}")).get("MSA-1") == "AA":
                        break
                except (OSError, MalformedMessage):
                    pass  # nobody there, or half an answer, which is none
                if sender is not None:
                    sender.close()
                sender = None
                time.sleep(0.05)
            self.acknowledged.append(id_)
        self.done.set()


def keys(backend: Backend) -> dict[bytes, set[bytes]]:
    """The bodies that came under each Idempotency-Key."""
    found: dict[bytes, set[bytes]] = {}
    for seen in tuple(backend.seen):
        if seen.whole:
            found.setdefault(seen.all(b"idempotency-key")[0], set()).add(seen.body)
    return found


@pytest.mark.parametrize("promise", ["promise: {first_wait: 20ms, longest_wait: 100ms}", ""], ids=["promised", "at once"])
def test_nothing_is_lost_and_nothing_done_twice(serve: Serve, promise: str) -> None:
    backend, ports, chance = Backend(), free_ports(2), random.Random(6)
    url = backend.url + backend.at(DONE)
    with serve(deployment(url, ports, promise), http="") as served:
        sender = Insisting(ports[1], MESSAGES)
        threading.Thread(target=sender.run, daemon=True).start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.4))
            if sender.done.is_set():
                break
            served.stop(signal.SIGKILL)
            served.start()
        assert sender.done.wait(60), served.log[-1000:]
        _until(lambda: len(keys(backend)) >= MESSAGES, served)
        time.sleep(0.5)
        found = keys(backend)
        assert len(found) == MESSAGES, "each message is known by one key, however often it was sent"
        assert all(len(bodies) == 1 for bodies in found.values()), "and says the same each time"
        assert sender.acknowledged == [f"C{number:05}" for number in range(MESSAGES)]
        assert len(backend.seen) <= MESSAGES + AT_ONCE * KILLS, "only what was under way when it died came again"
    backend.stop()


def test_a_message_whose_acknowledgement_was_lost(serve: Serve) -> None:
    """The process dies after the promise is on disk, and before anybody has read the acknowledgement."""
    backend, ports = Backend(), free_ports(2)
    url = backend.url + backend.at(response(503, b"{}"))  # it is tried again, for as long as this test looks
    with serve(deployment(url, ports, "promise: {first_wait: 50ms, longest_wait: 100ms}"), http="") as served:
        message = adt("LOST1")
        sender = Sender(ports[1])
        sender.connection.sendall(framed(message))
        _until(lambda: backend.seen, served)  # so it was promised
        served.stop(signal.SIGKILL)
        sender.close()
        served.start()
        again = Sender(ports[1])
        assert again.send(message).get("MSA-1") == "AA"
        again.close()
        time.sleep(0.5)
        assert len(keys(backend)) == 1
        promised = [event for event in served.events(api="adt") if (event.get("details") or {}).get("duplicate")]
        assert len(promised) == 1, "the second time it was known"
    backend.stop()


def _until(condition: object, served: Served) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, served.log[-1000:]
        time.sleep(0.02)
