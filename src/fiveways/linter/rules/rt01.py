"""RT01: a channel without the three criteria of real time, or one that does not meet them and does not say why (R4)."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.deployment.document import Loc
from fiveways.deployment.settings import Rate, format_duration
from fiveways.linter.rule import Found, Rule
from fiveways.methods.realtime.settings import ChannelSettings, Criteria
from fiveways.platform.model import Deployment, RealtimeThresholds


def find(deployment: Deployment) -> Found:
    """Channels that record no criteria; and those without an exception whose events are fewer, whose latency is longer than the
    programme says, or in which only one side begins."""
    for name, channel in deployment.channels.items():
        where = ("channels", name)
        if channel.criteria is None:
            yield where, "nothing records how many events there are, whether both sides begin, and how fast it has to be"
        elif not channel.exception.strip():
            for criterion, text in _not_met(channel, channel.criteria, deployment.programme.realtime):
                yield (*where, "criteria", *criterion), text


def _not_met(channel: ChannelSettings, recorded: Criteria, asked: RealtimeThresholds) -> Iterator[tuple[Loc, str]]:
    if _fewer(recorded.events, asked.events):
        yield ("events",), f"{recorded.events} is no very high frequency: the programme asks for {asked.events}"
    if not recorded.full_duplex:
        yield ("full_duplex",), "only one side begins communications in it"
    elif not channel.publishing:
        yield ("full_duplex",), "nobody who joins it may publish in it: only one side begins communications"
    if recorded.latency > asked.latency:
        longest = format_duration(asked.latency)
        yield ("latency",), f"{format_duration(recorded.latency)} can be waited for: the programme asks for {longest} at most"


def _fewer(one: Rate, other: Rate) -> bool:
    return one.limit * other.period < other.limit * one.period


rule = Rule(
    id="RT01",
    severity="error",
    anti_pattern="A connection is held open for every user, and runs at all hours, for what a call now and then would tell; nobody "
    "remembers why.",
    best_practice="Record what was reviewed (criteria: {events, full_duplex, latency}); where a criterion is not met, call "
    "synchronously, or say why it is real time all the same (exception:), a one-way feed for a dashboard, say.",
    statements=("R4", "R5", "R6", "R7"),
    find=find,
)
