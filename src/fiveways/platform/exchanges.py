"""The exchanges of a deployment: for each, what makes jobs of an API's requests, what tells of them, and what works on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fiveways.clock import Clock
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import MANY, Delivery, Queue
from fiveways.ledger.ledger import Ledger
from fiveways.methods.exchange import callback, working
from fiveways.methods.exchange.announcing import Announcement
from fiveways.methods.exchange.answers import Answers
from fiveways.methods.exchange.callback import Caller
from fiveways.methods.exchange.conclusion import Conclusion
from fiveways.methods.exchange.routes import Routes
from fiveways.methods.exchange.service import JOBS, Job, Jobs
from fiveways.methods.exchange.settings import Callback, LongPolling
from fiveways.methods.exchange.submitting import Submitting
from fiveways.methods.exchange.working import Working
from fiveways.methods.synchronous.api import Api
from fiveways.methods.synchronous.compile import Compiled
from fiveways.methods.synchronous.rendering import as_operation_outcome, as_problem
from fiveways.methods.synchronous.services import Exchanged
from fiveways.platform.model import Deployment
from fiveways.types import Interaction, Outcome

LARGEST: Final = 64 * 2**20
"""Bytes of an outcome that is given to who holds a request open; a larger one is collected from the status URL."""


@dataclass(slots=True)
class Exchanges:
    """Those of one reading of the deployment file."""

    exchanged: Mapping[str, Exchanged]
    queues: Sequence[Queue]


class _BackEnd:
    """An API of the gateway, from within."""

    def __init__(self, api: Api, url: str) -> None:
        self._api = api
        self.name = api.name
        self.base = api.base
        self.url = url

    async def ask(self, interaction: Interaction) -> Outcome:
        """What stands behind the API, with its resilience and its audit: its consumer was let in when the job was accepted."""
        route = interaction.route = self._api.route(interaction)
        assert route.inner is not None
        return await route.inner(interaction)


def exchanges(
    deployment: Deployment,
    base: Path,
    jobs: Jobs,
    ledger: Ledger,
    clock: Clock,
    compiled: Callable[[], Compiled],
    outbound: Callable[[], Outbound],
) -> Exchanges:
    """Those of a deployment; `base` is its folder, `compiled` and `outbound` are what runs when they are asked for. KeyError or
    OSError where a secret cannot be read."""
    found: dict[str, Exchanged] = {}
    queues: list[Queue] = []

    async def post(delivery: Delivery, headers: Mapping[str, str], secrets: Sequence[bytes]) -> None:
        await outbound()(delivery, headers, secrets)

    for name, settings in deployment.exchanges.items():
        api = deployment.apis[name]
        url = api.target.url if api.target is not None else ""

        def back_end(name: str = name, url: str = url) -> _BackEnd:
            return _BackEnd(next(api for api in compiled().apis if api.name == name), url)

        if settings.callback is not None:
            caller = Caller(settings.callback, _secrets(settings.callback, base), jobs, post)
            queues.append(callback.queue(name, settings.callback, caller))
        fhir = api.model is not None and api.model.fhir is not None
        monitor = _monitor(deployment, settings.long_poll) if settings.long_poll is not None else None
        answers = Answers(settings.poll, Announcement(settings.transitional, clock), clock, fhir=fhir, monitor=monitor)
        conclude = Conclusion(name, settings, jobs)
        works = Working(settings, jobs, conclude, back_end, as_operation_outcome if fhir else as_problem)
        policy = Submitting(name, api.at, settings, jobs, ledger.pseudonyms, answers)
        found[name] = Exchanged(policy, Routes(name, settings, jobs, answers, conclude, works.withdraw, clock), JOBS)

        def room(target: str = url) -> int:
            breakers = [breaker for breaker in compiled().lasting.breakers.values() if breaker.target == target]
            return min((breaker.room() for breaker in breakers), default=MANY)

        queues.append(working.queue(name, settings, works, url or name, api.longest, room))
    return Exchanges(found, queues)


def holding(deployment: Deployment, base: str) -> float:
    """For how many seconds requests for the jobs of the API at a base path are held; 0 where they are not."""
    for name, settings in deployment.exchanges.items():
        if settings.long_poll is not None and deployment.apis[name].at == base:
            return settings.long_poll.hold.total_seconds()
    return 0.0


def _monitor(deployment: Deployment, said: LongPolling) -> Callable[[Job], str]:
    """Where a job may be waited for, as its consumer reaches it."""
    listener = deployment.listeners[said.listener]
    scheme, port = "http" if listener.http is not None else "https", listener.address[1]

    def where(job: Job) -> str:
        if said.url is not None:
            return f"{said.url.rstrip('/')}{JOBS}/{job.id}"
        known = urlsplit(job.url)
        host = f"[{known.hostname}]" if known.hostname and ":" in known.hostname else known.hostname
        return f"{scheme}://{host}:{port}{known.path}"

    return where


def _secrets(said: Callback, base: Path) -> dict[str, Sequence[bytes]]:
    return {name: [secret.resolve(base) for secret in receiver.secrets] for name, receiver in said.consumers.items()}
