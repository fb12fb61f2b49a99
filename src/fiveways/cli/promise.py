"""`fiveways promise`: updates that were promised to consumers and not delivered yet, or given up, and what a person does."""

from __future__ import annotations

from fiveways.cli import deliveries

commands = deliveries.commands(
    "promise",
    about="Promised updates (pattern: promise) that wait or were given up: look at them, mend them, send them again.",
    end="give-up",
    prefix="promise.",
)
