"""What in a deployment meets a need, and how: its method and patterns, as the advisor calls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fiveways.advisor.profile import measured
from fiveways.advisor.table import Method
from fiveways.deployment.document import Loc
from fiveways.deployment.need import Need
from fiveways.methods.realtime.settings import ChannelSettings
from fiveways.methods.synchronous.settings import ApiSettings
from fiveways.platform.model import Deployment, RealtimeThresholds


@dataclass(slots=True, frozen=True)
class Met:
    """One thing that meets a need. `need` is None where nobody says what it is for; it is complete otherwise: what the deployment
    shows without saying it is answered. `ways`: each method and pattern that it can be called."""

    loc: Loc
    need: Need | None
    ways: tuple[tuple[Method, str], ...]


def met(deployment: Deployment) -> Iterator[Met]:
    """Every API, workflow, feed and channel; no sandbox's workflows, and none whose messages only answer those of another."""
    for name, api in deployment.apis.items():
        yield Met(("apis", name), _complete(_of_api(api), deployment), tuple(_ways(name, api, deployment)))
    answers = {workflow.acknowledged_by for workflow in deployment.workflows.values()}
    for code, workflow in deployment.workflows.items():
        if code not in answers and not deployment.messaging.sandbox:
            need = _assuming(workflow.need, intent="command")
            ways: list[tuple[Method, str]] = [("MESSAGING", way) for way in ("mailbox", "facade", "throttling-queue")]
            yield Met(("workflows", code), _complete(need, deployment), tuple(ways))
    for name, feed in deployment.feeds.items():
        need = _assuming(feed.need, intent="create", payload="bulk", purpose="background")
        yield Met(("feeds", name), _complete(need, deployment), (("BULK", "sftp"),))
    for name, channel in deployment.channels.items():
        need = _complete(_of_channel(channel, deployment.programme.realtime), deployment)
        yield Met(("channels", name), need, (("REALTIME", "websocket" if channel.kind == "conversation" else "sse"),))


def _assuming(need: Need | None, **answers: Any) -> Need | None:
    """A need with answers to what it does not answer."""
    if need is None:
        return None
    return need.model_copy(update={key: value for key, value in answers.items() if need.said(key) is None})


def _complete(need: Need | None, deployment: Deployment) -> Need | None:
    said = deployment.programme
    return measured(need, patience=said.patience, availability=said.availability) if need is not None else None


def _of_api(api: ApiSettings) -> Need | None:
    """What an API is for. What it promises of its provider are figures as well."""
    level = api.service_level
    figures = {"expected_latency": level.latency, "availability": level.availability}
    return _assuming(api.need, **{key: value for key, value in figures.items() if value is not None})


def _of_channel(channel: ChannelSettings, thresholds: RealtimeThresholds) -> Need | None:
    """What a channel is for. Its kind says what is intended, and its criteria are figures (R5-R7)."""
    answers: dict[str, Any] = {"intent": "converse" if channel.kind == "conversation" else "feed"}
    if (said := channel.criteria) is not None:
        asked = thresholds.events
        answers["event_rate_high"] = said.events.limit * asked.period >= asked.limit * said.events.period
        answers["full_duplex"] = said.full_duplex
        answers["near_zero_latency"] = said.latency <= thresholds.latency
    return _assuming(channel.need, **answers)


def _ways(name: str, api: ApiSettings, deployment: Deployment) -> Iterator[tuple[Method, str]]:
    if name in deployment.exchanges:
        yield from (("EXCHANGE", way) for way in ("short-poll", "callback", "long-poll"))
        return
    yield "SYNC", {"middleware": "wrapper"}.get(api.pattern, api.pattern)
    if api.promises:
        yield "SYNC", "promise"
    if api.mailbox is not None:
        yield "MESSAGING", "facade"
    if api.need is not None and api.need.intent == "task":
        yield "SYNC", "task-api"
