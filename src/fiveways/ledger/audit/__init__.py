"""The audit: what happened, append-only, in a hash chain per node whose signed heads are kept outside the database."""

from fiveways.ledger.audit.event import AuditEvent
from fiveways.ledger.audit.log import AuditLog
from fiveways.ledger.audit.settings import AuditSettings

__all__ = ["AuditEvent", "AuditLog", "AuditSettings"]
