"""Since when figures are counted, and whether the store is replicated: told once, however many processes a node has."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fiveways.platform.tallies import Tallied, Tallies

SINCE, REPLICATED = "fiveways_counting_since_seconds", "fiveways_store_replicated"


def told(registry: CollectorRegistry) -> dict[str, float]:
    """The samples, by name."""
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def test_counting_began_when_the_first_of_them_began() -> None:
    registry = CollectorRegistry()
    tallies, other = Tallies(registry, 200.0), Tallies(CollectorRegistry(), 100.0)
    assert told(registry)[SINCE] == 200.0
    tallies.node = (tallies.figures(), other.figures())
    assert told(registry)[SINCE] == 100.0


def test_who_goes_on_counting_began_when_the_one_before_did() -> None:
    registry = CollectorRegistry()
    tallies = Tallies(registry, 200.0)
    tallies.go_on_from(Tallies(CollectorRegistry(), 100.0).figures())
    assert told(registry)[SINCE] == 100.0
    tallies.go_on_from(Tallies(CollectorRegistry(), 300.0).figures())
    assert told(registry)[SINCE] == 100.0


def test_a_gateway_tells_what_the_worker_saw_of_the_store() -> None:
    registry = CollectorRegistry()
    tallies, worker = Tallies(registry), Tallies(CollectorRegistry())
    assert REPLICATED not in told(registry)
    worker.store = {"": [1.0]}
    tallies.node = (tallies.figures(), worker.figures())
    assert told(registry)[REPLICATED] == 1.0


def test_what_another_release_has_left_is_passed_over() -> None:
    registry = CollectorRegistry()
    tallies = Tallies(registry, 200.0)
    tallies.node = (tallies.figures(), Tallied({"began": {"": []}}, {"store": {"": [1.0, 2.0]}}), Tallied({}, {}))
    assert told(registry)[SINCE] == 200.0
    assert REPLICATED not in told(registry)
