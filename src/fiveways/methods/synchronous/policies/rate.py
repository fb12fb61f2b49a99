"""Rate: a quota per application and API, and spike arrest; past either, 429 says when to come back (A25, RFC 6585 §4).

The RateLimit fields (draft-ietf-httpapi-ratelimit-headers-11) tell a consumer where it stands before it is refused. Permits are
shared by every process and node (`ledger/rates.py`), and taking one normally costs no more than a counter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from fiveways.deployment.settings import Rate as RateValue
from fiveways.errors import TooManyRequests
from fiveways.ledger.rates import Rates, Verdict
from fiveways.types import Handler, Interaction, Outcome

_UNITS: Final = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


@dataclass(slots=True, frozen=True)
class Allowance:
    """What one application may take from one API: a quota over a period, and how fast at most."""

    quota: RateValue | None = None
    burst: RateValue | None = None


class _Limits:
    """An allowance with everything that does not change from request to request worked out."""

    __slots__ = ("limits", "policy_field")

    def __init__(self, application: str, api: str, allowance: Allowance) -> None:
        self.limits: list[tuple[str, str, RateValue]] = []
        if allowance.burst is not None:
            self.limits.append(("burst", f"burst:{application}:{api}", allowance.burst))
        if allowance.quota is not None:
            self.limits.append(("quota", f"quota:{application}:{api}", allowance.quota))
        self.policy_field = ", ".join(f'"{name}";q={rate.limit};w={rate.period}' for name, _, rate in self.limits).encode()


class Rate:
    """Holds every application to its allowance for one API."""

    def __init__(self, api: str, allowances: Mapping[str, Allowance], rates: Rates) -> None:
        self._rates = rates
        self._limits = {application: _Limits(application, api, allowance) for application, allowance in allowances.items()}

    def __call__(self, interaction: Interaction, handler: Handler) -> Awaitable[Outcome]:
        """Take a permit, or refuse with Retry-After."""
        limits = self._limits.get(interaction.consumer.application)
        if limits is None or not limits.limits:
            return handler(interaction)
        verdicts: list[tuple[str, Verdict]] = []
        for name, key, rate in limits.limits:
            verdict = self._rates.take_now(key, rate)
            if verdict is None:
                return self._leasing(interaction, handler, limits, verdicts)
            _judge(interaction, limits, name, rate, verdict)
            verdicts.append((name, verdict))
        self._tell(interaction, limits, verdicts)
        return handler(interaction)

    async def _leasing(
        self, interaction: Interaction, handler: Handler, limits: _Limits, verdicts: list[tuple[str, Verdict]]
    ) -> Outcome:
        """The same, where permits must first be leased from the store."""
        for name, key, rate in limits.limits[len(verdicts) :]:
            verdict = await self._rates.take(key, rate)
            _judge(interaction, limits, name, rate, verdict)
            verdicts.append((name, verdict))
        self._tell(interaction, limits, verdicts)
        return await handler(interaction)

    @staticmethod
    def _tell(interaction: Interaction, limits: _Limits, verdicts: list[tuple[str, Verdict]]) -> None:
        """The RateLimit fields: the policy, and the tightest of its limits as it stands."""
        name, verdict = verdicts[0]
        for other_name, other in verdicts[1:]:
            if other.remaining < verdict.remaining:
                name, verdict = other_name, other
        interaction.telling.append((b"ratelimit-policy", limits.policy_field))
        interaction.telling.append((b"ratelimit", f'"{name}";r={verdict.remaining};t={verdict.reset}'.encode()))


def _judge(interaction: Interaction, limits: _Limits, name: str, rate: RateValue, verdict: Verdict) -> None:
    if not verdict.allowed:
        raise _refusal(interaction.consumer.application, name, rate, verdict, limits.policy_field)


def _refusal(application: str, name: str, rate: RateValue, verdict: Verdict, policy_field: bytes) -> TooManyRequests:
    if name == "quota":
        unit = _UNITS[rate.period]
        sentence = f"has exceeded its quota of {rate.limit} requests every 1 {unit}(s) and is being rate limited."
    else:
        sentence = f"is sending requests faster than {rate} and is being rate limited."
    headers = {
        "Retry-After": str(verdict.retry_after),
        "RateLimit-Policy": policy_field.decode(),
        "RateLimit": f'"{name}";r=0;t={verdict.retry_after}',
    }
    return TooManyRequests(f"Your application, {application}, {sentence}", headers=headers)
