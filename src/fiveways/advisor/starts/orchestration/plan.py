"""The plan of an orchestration: a patient, who is needed, and what is known of medications, as far as it can be had."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.plan import Context


async def records(context: Context) -> dict[str, Any]:
    """`GET /records/ID`: a Bundle."""
    patient = context.path.strip("/")
    replies = await context.gather(
        required={"patient": context.api("patients").get(f"/Patient/{patient}")},
        optional={"medications": context.api("medications").get("/MedicationStatement", {"subject": patient}, within=1.0)},
    )
    return context.bundle(replies)
