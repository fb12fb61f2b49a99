"""MS03: messages that are accepted before they are durable: a store in memory (A10)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Payloads or a database in memory, where mailboxes can be used; not in a sandbox."""
    if deployment.messaging.shared_key is None or deployment.messaging.sandbox:
        return
    if deployment.store.payloads == "memory://":
        yield ("store", "payloads"), "large messages are answered with 202 and are gone when the process ends"
    if deployment.store.url is not None and (":memory:" in deployment.store.url or "mode=memory" in deployment.store.url):
        yield ("store", "url"), "messages are answered with 202 and are gone when the process ends"


rule = Rule(
    id="MS03",
    severity="error",
    anti_pattern="The sender takes 202 for a promise and forgets the message, and the first restart breaks it.",
    best_practice="Keep rows and payloads on disk: leave store: out, or name a PostgreSQL database and s3://bucket or file:///folder.",
    statements=("A10", "A30"),
    find=find,
)
