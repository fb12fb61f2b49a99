"""Policies and façades that the rules look into."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx

_seen: Counter[str] = Counter()
_CONSTANT = {"a": 1}
_last = ""


async def plain(interaction: Any, handler: Any) -> Any:
    """Reads a constant, hands on once whichever way it goes."""
    if interaction.method in _CONSTANT:
        return await handler(interaction)
    outcome = await handler(interaction)
    local: dict[str, int] = {}
    local["a"] = 1
    try:
        outcome.headers.append((b"x", b"y"))
    finally:
        local.clear()
    return outcome


async def either(interaction: Any, handler: Any) -> Any:
    """Hands on in one of two branches."""
    if interaction.method == "GET":
        outcome = await handler(interaction)
    else:
        outcome = await handler(interaction)
    return outcome


async def counting(interaction: Any, handler: Any) -> Any:
    """Counts in a global."""
    _seen[interaction.api] += 1
    return await handler(interaction)


async def remembering(interaction: Any, handler: Any) -> Any:
    """Keeps the last in a global."""
    global _last
    _last = interaction.id
    return await handler(interaction)


async def hoarding(interaction: Any, handler: Any, kept: list[Any] = []) -> Any:  # noqa: B006
    """Keeps all in a default."""
    kept.append(interaction)
    return await handler(interaction)


def _made() -> Any:
    kept: set[str] = set()

    async def policy(interaction: Any, handler: Any) -> Any:
        kept.add(interaction.id)
        return await handler(interaction)

    return policy


closed_over = _made()


class _Keeping:
    def __init__(self) -> None:
        self.kept = 0

    async def __call__(self, interaction: Any, handler: Any) -> Any:
        self.kept += 1
        return await handler(interaction)


class _Bare:
    async def __call__(self, interaction: Any, handler: Any) -> Any:
        return await handler(interaction)


keeping, bare = _Keeping(), _Bare()


async def calling(interaction: Any, handler: Any) -> Any:
    """Calls somebody else."""
    async with httpx.AsyncClient() as client:
        await client.get("http://elsewhere.example")
    return await handler(interaction)


async def importing(interaction: Any, handler: Any) -> Any:
    """The same, imported where it is used."""
    from urllib.request import urlopen

    urlopen("http://elsewhere.example")
    return await handler(interaction)


async def editing(interaction: Any, handler: Any) -> Any:
    """Puts another body in the place of one."""
    outcome = await handler(interaction)
    outcome.body = b"{}"
    return outcome


async def retrying(interaction: Any, handler: Any) -> Any:
    """Hands on again."""
    outcome = await handler(interaction)
    if outcome.status == 503:
        return await handler(interaction)
    return outcome


async def looping(interaction: Any, handler: Any) -> Any:
    """Hands on in a loop."""
    for _ in range(3):
        outcome = await handler(interaction)
    return outcome


async def fanning(interaction: Any, handler: Any) -> Any:
    """Hands several on."""
    outcomes = [await handler(each) for each in (interaction, interaction)]
    return outcomes.pop()


class Living:
    """A façade."""

    def __init__(self, place: Any) -> None:
        self.place = place
