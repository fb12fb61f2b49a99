"""The orchestration façade (S44-S56): one request in, several granular calls, one answer; the business logic is a plan in Python.

The granular APIs stay published beside it (S54): it is a convenience for consumers, never the only way. One budget bounds the
whole; what failed and why is in the answer; a consumer that goes away cancels all of it; writes that were made are compensated for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from fiveways.clock import Clock
from fiveways.errors import Cause, Internal, ProviderTimeout
from fiveways.fhir.outcome import CONTENT_TYPE
from fiveways.methods.synchronous.api import Api
from fiveways.methods.synchronous.plan import Context, Reply
from fiveways.types import Headers, Interaction, Outcome

log = structlog.get_logger("fiveways.orchestration")

_PASSED = frozenset((b"content-type", b"etag", b"last-modified", b"location"))
"""Header fields of a granular answer that a plan passes on as it is."""
Plan = Callable[[Context], Awaitable[Any]]
"""Makes the calls of a request, and returns its answer: an Outcome, a Reply to be passed on, or what is to be JSON."""


class BudgetSpent(ProviderTimeout):
    """The plan has not come to its end within its budget."""


class Orchestration:
    """The handler at the bottom of an orchestration."""

    def __init__(
        self, plan: Plan, apis: Mapping[str, Api], uses: tuple[str, ...], *, within: float, fhir: bool, clock: Clock
    ) -> None:
        """`apis`: all there are, by name; `uses`: those that the plan may call; `within`: seconds for all of it."""
        self._plan = plan
        self._apis = apis
        self._uses = uses
        self._within = within
        self._type = CONTENT_TYPE if fhir else b"application/json"
        self._clock = clock

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Run the plan."""
        context = Context(interaction, self._apis, self._uses, self._clock)
        try:
            try:
                async with asyncio.timeout(self._within) as budget:
                    answer = await self._plan(context)
            except TimeoutError:
                if not budget.expired():
                    raise
                raise self._spent(context) from None
            return self._outcome(answer)
        except BaseException:
            if context.to_undo:
                await self._compensate(context, interaction)
            raise

    def _spent(self, context: Context) -> BudgetSpent:
        fault = BudgetSpent(f"The answer was not complete within {self._within:g} s")
        fault.causes = tuple(Cause(name, None, "GATEWAY_TIMEOUT", "timeout", "no answer yet") for name in sorted(context.pending))
        return fault

    async def _compensate(self, context: Context, interaction: Interaction) -> None:
        """Undo what was written, whoever has gone; each as long as its own bounds let it, and all within the plan's budget."""
        work = asyncio.ensure_future(self._undone(context, interaction))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    async def _undone(self, context: Context, interaction: Interaction) -> None:
        try:
            async with asyncio.timeout(self._within):
                failed = await context.undone()
        except TimeoutError:
            failed = ["(not all was done in time)"]
        if failed:
            interaction.facts["not_compensated"] = failed
            log.error("not compensated", message_id=interaction.id, api=interaction.api, steps=failed)

    def _outcome(self, answer: Any) -> Outcome:
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, Reply):
            kept: Headers = [field for field in answer.headers if field[0] in _PASSED]
            return Outcome(answer.status, [*kept, (b"content-length", b"%d" % len(answer.body))], answer.body, answer.fault)
        try:
            body = msgspec.json.encode(answer)
        except (TypeError, ValueError) as error:
            raise Internal("The plan has returned what cannot be written as JSON") from error
        return Outcome(200, [(b"content-type", self._type), (b"content-length", b"%d" % len(body))], body)
