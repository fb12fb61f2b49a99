"""SY02: a provider below the programme's service level, called synchronously (S12, S21)."""

from __future__ import annotations

from fiveways.deployment.settings import format_percent
from fiveways.linter.observed import ENOUGH, Observed
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs whose `need:` or `service_level:` declares an availability below `programme.availability`, or says that it is.

    A provider that is away now and then is no finding where delivery to it is guaranteed: behind a promise, or a mailbox.
    """
    asked = deployment.programme.availability
    for name, api in deployment.apis.items():
        need = api.need if not api.promises and api.mailbox is None else None
        if need is not None and not need.provider_available:
            yield ("apis", name, "need", "provider_available"), "the provider is not as available as the programme asks"
        for group, said in (
            ("need", need.availability if need is not None else None),
            ("service_level", api.service_level.availability),
        ):
            if said is not None and said < asked:
                message = f"{format_percent(said)} is below the programme's {format_percent(asked)}"
                yield ("apis", name, group, "availability"), message


def observe(deployment: Deployment, observed: Observed) -> Found:
    """APIs of whose requests too many were answered with a fault of the platform's or the provider's (5xx)."""
    for name, api in deployment.apis.items():
        count, faults = observed.requests(name), observed.faults(name)
        if count < ENOUGH or not faults:
            continue
        asked, promised = deployment.programme.availability, api.service_level.availability
        seen = f"observed: {faults:,} of {count:,} requests had a fault of the platform's or the provider's"
        if count - faults < asked * count:
            yield ("apis", name), f"{seen}; the programme asks for {format_percent(asked)} without"
        if promised is not None and count - faults < promised * count:
            yield ("apis", name, "service_level", "availability"), f"{seen}; {format_percent(promised)} without are promised"


rule = Rule(
    id="SY02",
    severity="warning",
    anti_pattern="Every consumer has to cope with a provider that is not there, each in a way of its own.",
    best_practice="Invest in the provider's availability; or put a façade with guaranteed delivery before it.",
    statements=("S12", "S21"),
    find=find,
    observe=observe,
)
