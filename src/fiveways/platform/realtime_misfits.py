"""What of the channels of a deployment does not fit the rest of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fiveways.delivery.guard import Refused
from fiveways.deployment.document import Loc, Mistake
from fiveways.methods.realtime.access import APPLICATION, PERSON
from fiveways.methods.realtime.names import Names, holes
from fiveways.methods.realtime.settings import ChannelSettings, Reach

if TYPE_CHECKING:
    from fiveways.platform.model import Deployment

_LEAST: Final = timedelta(seconds=3)
"""How long a node may be silent at least before it counts as gone."""


def misfits(deployment: Deployment) -> Iterator[Mistake]:
    """Channels that nobody could connect to, or that are another kind's already; people, mailboxes and news from nowhere."""
    listening = [name for name, listener in deployment.listeners.items() if listener.realtime is not None]
    if deployment.channels and not listening:
        yield Mistake(("channels",), "no listener has people connect to them: listeners: {…: {realtime: HOST:PORT}}")
    if deployment.realtime.lost < _LEAST:
        yield Mistake(("realtime", "lost"), "a node says each second that it is there: expected three seconds or more")
    if not deployment.channels:
        for name in listening:
            yield Mistake(("listeners", name, "realtime"), "there is nothing to connect to: channels: are not said")
    yield from _hidden(deployment)
    for name, channel in deployment.channels.items():
        where = ("channels", name)
        yield from _strangers(deployment, where, channel)
        if channel.reach is not None:
            yield from _reached(deployment, (*where, "reach"), channel.reach)
            if channel.reach.url is not None:
                yield from _called(deployment, (*where, "reach", "url"), channel.reach.url)
        if channel.record is not None:
            yield from _called(deployment, (*where, "record", "fhir"), f"{channel.record.fhir.rstrip('/')}/Communication")
        yield from _followed(deployment, where, channel)


def _hidden(deployment: Deployment) -> Iterator[Mistake]:
    """Kinds of which there can be no channel: each name that one might have is of a kind that comes before."""
    before: list[tuple[str, str]] = []
    shapes: dict[str, str] = {}
    for name, channel in deployment.channels.items():
        shape = re.sub(r"\{\w+\}", "{}", channel.name)
        found = None if holes(channel.name) else Names(before).find(channel.name)
        if (first := shapes.get(shape) or (found and found.kind)) is not None:
            yield Mistake(("channels", name, "name"), f"found {channel.name!r}: every such channel is of {first}, said before it")
        before.append((name, channel.name))
        shapes.setdefault(shape, name)


def _strangers(deployment: Deployment, where: Loc, channel: ChannelSettings) -> Iterator[Mistake]:
    for field, rules in (("join", channel.join), ("publish", channel.publish), ("invite", channel.invite)):
        for index, who in enumerate(rules):
            at = (*where, field, index)
            if who.organisation is not None and not holes(who.organisation) and who.organisation not in deployment.organisations:
                yield Mistake((*at, "organisation"), f"found {who.organisation!r}, expected one of organisations:")
            if who.application is not None and not holes(who.application) and who.application not in deployment.applications:
                yield Mistake((*at, "application"), f"found {who.application!r}, expected one of applications:")


def _reached(deployment: Deployment, where: Loc, reach: Reach) -> Iterator[Mistake]:
    if reach.mailbox is None or reach.sender is None or reach.workflow is None:
        return
    workflow = deployment.workflows.get(reach.workflow)
    if workflow is None and not deployment.messaging.open_workflows:
        yield Mistake((*where, "workflow"), f"found {reach.workflow!r}, expected one of workflows:")
    if reach.sender not in deployment.mailboxes:
        yield Mistake((*where, "from"), f"found {reach.sender!r}, expected one of mailboxes:")
    elif workflow is not None and workflow.senders and reach.sender not in workflow.senders:
        yield Mistake((*where, "from"), f"{reach.sender} does not send {reach.workflow}")
    for participant, mailbox in reach.mailbox.items():
        at = (*where, "mailbox", participant)
        application = participant.removeprefix(APPLICATION)
        if not participant.startswith((PERSON, APPLICATION)):
            yield Mistake(at, f"found {participant!r}, expected {PERSON}… or {APPLICATION}…")
        elif participant.startswith(APPLICATION) and application not in deployment.applications:
            yield Mistake(at, f"found {application!r}, expected one of applications:")
        if mailbox not in deployment.mailboxes:
            yield Mistake(at, f"found {mailbox!r}, expected one of mailboxes:")
        elif workflow is not None and workflow.receivers and mailbox not in workflow.receivers:
            yield Mistake(at, f"{mailbox} does not receive {reach.workflow}")


def _called(deployment: Deployment, where: Loc, url: str) -> Iterator[Mistake]:
    try:
        deployment.outbound.guard().judge(url)
    except Refused as refused:
        yield Mistake(where, f"{refused} (outbound: says what may be called)")


def _followed(deployment: Deployment, where: Loc, channel: ChannelSettings) -> Iterator[Mistake]:
    for index, follow in enumerate(channel.follow):
        at = (*where, "follow", index)
        if follow.message is not None and follow.message not in deployment.mailboxes:
            yield Mistake((*at, "message"), f"found {follow.message!r}, expected one of mailboxes:")
        if follow.job is not None and follow.job not in deployment.exchanges:
            yield Mistake((*at, "job"), f"found {follow.job!r}, expected one of exchanges:")
        if follow.transfer is not None and follow.transfer not in deployment.feeds:
            yield Mistake((*at, "transfer"), f"found {follow.transfer!r}, expected one of feeds:")
