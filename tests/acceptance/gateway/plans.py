"""Plans of the orchestrations that `test_orchestration.py` serves: copied beside its deployment."""

from __future__ import annotations

import asyncio
from typing import Any

from fiveways.errors import Fault, Forbidden
from fiveways.methods.synchronous.plan import Context
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place


async def summary(context: Context) -> Any:
    """A patient, who is needed, and what is known of them, as far as it can be had."""
    where = context.query
    replies = await context.gather(
        required={"patient": context.api("patients").get(where["patient"])},
        optional={
            "allergies": context.api("allergies").get(where["allergies"], {"patient": "1"}),
            "medications": context.api("medications").get(where["medications"], within=float(where.get("within", "30"))),
        },
    )
    return context.bundle(replies)


async def booking(context: Context) -> Any:
    """A slot is taken and a letter ordered; where the letter cannot be, the slot is given back."""
    where = context.query
    slot = await context.api("patients").post(where["slot"], {"resourceType": "Slot"})
    context.compensate("slot", lambda: context.api("patients").delete(where["back"]))
    letter = await context.api("allergies").post(where["letter"], await context.body())
    if not letter.ok:
        raise RuntimeError("no letter")
    return slot


async def undeclared(context: Context) -> Any:
    """Calls what `uses:` does not name."""
    return await context.api("hidden").get("/")


async def unwritable(context: Context) -> Any:
    """Returns what is no JSON."""
    return {"it": object()}


async def forwarded(context: Context) -> Any:
    """Passes a granular answer on."""
    await asyncio.sleep(0)
    return await context.api("patients").get(context.query["where"])


async def mirrored(context: Context) -> Any:
    """One granular call, as the consumer made it: what is left is what the façade itself does."""
    call = context.api("granular").request(
        context.method, context.path, context.query, body=await context.body() or None, headers={"Content-Type": "text/plain"}
    )
    return (await context.gather(required={"granular": call}))["granular"]


async def checked(interaction: Any, document: Any) -> None:
    """A check of what is to be promised."""
    await asyncio.sleep(0)
    if isinstance(document, dict) and document.get("refuse"):
        raise Forbidden("not at this time")


class Through:
    """A middleware façade that adds nothing: what is left is what the gateway itself does."""

    def __init__(self, place: Any) -> None:
        self.place = place

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def __call__(self, interaction: Any, back_end: Any) -> Any:
        """Pass a request on."""
        return await back_end(interaction)

    async def close(self) -> None:
        """Nothing is to be closed."""


class Mirrored:
    """A transformer for formats that are the same."""

    def __init__(self, place: Place) -> None:
        pass

    def ask(self, asked: Asked) -> Asked:
        return Asked(asked.method, asked.path, asked.query, asked.content_type or "application/octet-stream", asked.content)

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        return answered

    def refuse(self, asked: Asked, fault: Fault) -> None:
        return None
