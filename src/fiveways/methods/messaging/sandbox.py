"""Test control over HTTP, for a sandbox and nowhere else: it asks nobody for a password.

The paths are those of the public mesh-sandbox, so that a team's test set-up works as it is.
"""

from __future__ import annotations

from fiveways.errors import NotFound
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.mesh import bodies
from fiveways.methods.messaging.service import Messaging
from fiveways.types import Interaction, Outcome


class Sandbox:
    """Handles what testers ask of a sandbox."""

    def __init__(self, messaging: Messaging, directory: Directory, about: dict[str, str]) -> None:
        self._messaging = messaging
        self._directory = directory
        self._about = about

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Answer a request of a tester."""
        segments = interaction.path.decode("latin-1").strip("/").split("/")
        if segments[0] == "messageexchange":
            del segments[0]
        match interaction.method, segments:
            case "GET", ["health" | "healthcheck" | "deepping"]:
                return bodies.json(self._about)
            case "DELETE", ["admin", "reset"]:
                await self._messaging.reset()
                return bodies.json({"message": "all mailboxes reset"})
            case "DELETE", ["admin", "reset", mailbox]:
                if self._directory.mailbox(mailbox.upper()) is None:
                    raise NotFound("There is no such mailbox")
                await self._messaging.reset(mailbox.upper())
                return bodies.json({"message": f"mailbox {mailbox.upper()} reset"})
        raise NotFound("There is nothing at this path")
