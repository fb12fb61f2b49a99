"""Every table of the ledger, for what must see them all: migrations and their tests."""

from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.idempotency import duplicates
from fiveways.ledger.outbox import outbox, outbox_consumers
from fiveways.ledger.rates import rates
from fiveways.ledger.replay import replays
from fiveways.store.tables import metadata

__all__ = ["audit_events", "duplicates", "metadata", "outbox", "outbox_consumers", "rates", "replays"]
