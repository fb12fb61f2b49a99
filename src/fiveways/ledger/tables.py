"""Every table of the ledger, for what must see them all: migrations and their tests."""

from fiveways.ledger.audit.tables import audit_events
from fiveways.store.tables import metadata

__all__ = ["audit_events", "metadata"]
