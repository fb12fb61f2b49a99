"""Who may do what in a channel: deny by default, any of the rules of the deployment file suffices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from fiveways.methods.realtime.names import filled
from fiveways.methods.realtime.settings import Who
from fiveways.types import Consumer

Relation = Callable[[str, str, Consumer], Awaitable[bool]]
"""Asks at a URL whether somebody may join a channel."""
Takes = Callable[[], Awaitable[bool]]
"""Whether somebody takes part in the conversation in question."""
PERSON: Final = "person:"
APPLICATION: Final = "application:"


def member_of(consumer: Consumer) -> str:
    """What somebody is called in channels: the person on whose behalf an application acts, or the application."""
    return f"{PERSON}{person_of(consumer)}" if consumer.subject else f"{APPLICATION}{consumer.application}"


def person_of(consumer: Consumer) -> str:
    """The person on whose behalf an application acts: `provider/subject`, as two providers may call two people the same."""
    provider = consumer.facts.get("idp", "")
    return f"{provider}/{consumer.subject}" if provider else consumer.subject


async def allowed(
    rules: Sequence[Who], consumer: Consumer, channel: str, parts: Mapping[str, str], takes_part: Takes, ask: Relation
) -> bool:
    """Whether any of the rules is true of a consumer; what is asked of others is asked last."""
    left = [rule for rule in rules if _true(rule, consumer, parts)]
    for rule in sorted(left, key=lambda rule: (rule.ask is not None, rule.participants)):
        if rule.participants and not await takes_part():
            continue
        if rule.ask is not None and not await ask(rule.ask, channel, consumer):
            continue
        return True
    return False


def _true(rule: Who, consumer: Consumer, parts: Mapping[str, str]) -> bool:
    if rule.application is not None and filled(rule.application, parts) != consumer.application:
        return False
    if rule.organisation is not None:
        wanted = filled(rule.organisation, parts)
        if wanted != consumer.organisation and wanted not in consumer.organisations and wanted not in consumer.roles.values():
            return False
    if rule.person is not None and (not consumer.subject or filled(rule.person, parts) != person_of(consumer)):
        return False
    if rule.role is None:
        return True
    held_at = consumer.roles.get(filled(rule.role, parts))
    return held_at is not None and (rule.organisation is None or held_at == filled(rule.organisation, parts))
