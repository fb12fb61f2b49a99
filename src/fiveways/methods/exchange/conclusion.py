"""The end of a job: its outcome, and the promise to bring it to who wants to be called back, in one transaction."""

from __future__ import annotations

from fiveways.methods.exchange import callback
from fiveways.methods.exchange.service import Job, Jobs
from fiveways.methods.exchange.settings import ExchangeSettings
from fiveways.methods.exchange.states import State
from fiveways.store.payloads import Payload
from fiveways.types import Headers


class Conclusion:
    """Concludes the jobs of one API."""

    def __init__(self, api: str, settings: ExchangeSettings, jobs: Jobs) -> None:
        self._api = api
        self._settings = settings
        self._jobs = jobs

    async def __call__(self, job: Job, status: int, headers: Headers, body: bytes | Payload, by: str = "") -> bool:
        """There is an outcome; False where the job was not waiting for one any more, and then nothing is kept of it. `by`: who says
        so, where that is not this node. StoreError where nothing was kept."""
        if job.state is State.SUBMITTED:
            await self._jobs.begin(job, by)
        steps = await callback.promised(self._api, self._settings.callback, job, self._jobs.deliveries)
        ended = await self._jobs.end(job, status, headers, body, self._settings.keep, by, *steps)
        if ended and steps:
            self._jobs.deliveries.wake(callback.queue_of(self._api))
        return ended
