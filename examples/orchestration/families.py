"""A plan: a patient, who is needed, and those of the same family name, as far as they can be had."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.plan import Context


async def family(context: Context) -> dict[str, Any]:
    """`GET /family/Patient/NUMBER`: a Bundle."""
    patients, register = context.api("patients"), context.api("register")
    found = await context.gather(required={"patient": patients.get(context.path)})
    name = found["patient"].json()["name"][0]["family"]
    found |= await context.gather(optional={"family": register.get("/Patient", {"family": name}, within=1.0)})
    return context.bundle(found)
