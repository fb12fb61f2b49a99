"""Faults: whatever goes wrong behind this policy becomes an answer in the words of the API; a defect becomes a plain 500."""

from __future__ import annotations

from typing import Final

import structlog

from fiveways.errors import Fault, Internal, Overloaded, StoreError
from fiveways.methods.synchronous.rendering import Render
from fiveways.methods.synchronous.request import ClientGone
from fiveways.types import Handler, Interaction, Outcome

log: Final = structlog.get_logger("fiveways.gateway")


class Faults:
    """Renders faults by `render`; never lets a stack trace out."""

    def __init__(self, render: Render) -> None:
        self._render = render

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Answer with the fault that the handler raised, if any."""
        try:
            return await handler(interaction)
        except Fault as fault:
            return self._render(fault, interaction.id)
        except ClientGone:
            raise
        except StoreError as error:
            log.error("store failed", message_id=interaction.id, api=interaction.api, name=interaction.name, exc_info=error)
            return self._render(unrecorded(), interaction.id)
        except Exception as error:
            log.error("defect", message_id=interaction.id, api=interaction.api, name=interaction.name, exc_info=error)
            return self._render(Internal(f"Internal error; quote message id {interaction.id}"), interaction.id)


def unrecorded() -> Fault:
    """What a consumer is told where the store cannot keep what must be kept."""
    return Overloaded(
        "The request could not be recorded; resend it with the same X-Request-ID after the time given", headers={"Retry-After": "5"}
    )
