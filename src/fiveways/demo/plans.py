"""The plan of the demo's orchestration: a patient, who is needed, and what is known of medications, as far as it can be had."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.plan import Context


async def summary(context: Context) -> dict[str, Any]:
    """`GET /summary/NUMBER`: a Bundle."""
    number = context.path.strip("/")
    replies = await context.gather(
        required={"patient": context.api("patients").get(f"/Patient/{number}")},
        optional={"medications": context.api("medications").get("/MedicationStatement", {"subject": number}, within=2.0)},
    )
    return context.bundle(replies)
