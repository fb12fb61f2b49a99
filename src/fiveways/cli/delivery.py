"""`fiveways delivery`: what could not be delivered, of whichever method, and what a person does about it."""

from __future__ import annotations

from fiveways.cli import deliveries

commands = deliveries.commands(
    "delivery", about="Deliveries that were given up: look at them, mend them, send them again.", end="discard"
)
