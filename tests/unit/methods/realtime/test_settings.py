"""What the real-time part of a deployment file may say, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fiveways.methods.realtime.settings import LARGEST, ChannelSettings, Criteria, Follow, Reach, RealtimeSettings, Record, Who

ANYONE = [{"anyone": True}]
FEED = {"kind": "feed", "join": ANYONE}
REACH = {"url": "https://a.test/b", "secrets": ["env:S"]}
BOXES = {"mailbox": {"person:1": "IN"}, "from": "OUT", "workflow": "W"}
RECORD = {"fhir": "https://a.test/r4", "secrets": ["env:S"]}


def channel(**said: Any) -> ChannelSettings:
    """A channel; a conversation, where nothing else is said."""
    return ChannelSettings.model_validate({"name": "talk:{id}", "kind": "conversation", **said})


def test_what_is_not_said_of_a_conversation_is_safe() -> None:
    made = channel()
    assert (made.certainty, made.shown, made.merge) == ("durable", True, False)
    assert made.joining == made.publishing == (Who(participants=True),)
    assert made.invite == ()
    assert (made.history.length, made.history.keep) == (None, None)
    assert (made.limits.largest, str(made.limits.rate)) == (64 * 1024, "20/s")


def test_what_is_not_said_of_a_feed_is_safe() -> None:
    made = channel(**FEED)
    assert (made.certainty, made.shown) == ("recent", False)
    assert made.publishing == ()


@pytest.mark.parametrize(("kind", "sure"), [("personal", "durable"), ("broadcast", "recent"), ("feed", "recent")])
def test_how_sure_a_message_is_goes_by_its_kind_unless_it_is_said(kind: str, sure: str) -> None:
    assert channel(kind=kind, join=ANYONE).certainty == sure
    assert channel(kind=kind, join=ANYONE, delivery="ephemeral").certainty == "ephemeral"


def test_who_may_join_a_conversation_may_publish_in_it_unless_others_are_named() -> None:
    some = [{"organisation": "RXN"}]
    assert channel(join=some).publishing == (Who(organisation="RXN"),)
    assert channel(join=some, publish=[{"application": "a"}]).publishing == (Who(application="a"),)
    assert channel(presence=False).shown is False
    assert channel(**FEED, presence=True).shown is True


@pytest.mark.parametrize(
    "said",
    [
        {"delivery": "ephemeral"},
        {"kind": "chat"},
        {"kind": "feed"},
        {"kind": "broadcast"},
        {"kind": "personal"},
        {"merge": True},
        {**FEED, "merge": True, "delivery": "ephemeral"},
        {"kind": "broadcast", "join": ANYONE, "merge": True},
        {**FEED, "reach": REACH},
        {**FEED, "record": RECORD},
        {**FEED, "invite": ANYONE},
        {"join": [{}]},
        {"join": [{"organisation": ""}]},
        {"join": [{"organisation": "{ward}"}]},
        {"publish": [{"application": "a-{ward}"}]},
        {"invite": [{"person": "{person}"}]},
        {"join": [{"role": "{role}"}]},
        {"join": [{"ask": "ftp://a"}]},
        {**FEED, "follow": [{"metrics": "10s"}]},
        {"name": "a", **FEED, "follow": [{}]},
        {"name": "a", **FEED, "follow": [{"message": "A", "job": "b"}]},
        {"limits": {"largest": LARGEST + 1}},
        {"limits": {"largest": 0}},
        {"limits": {"rate": "0/s"}},
        {"limits": {"subscribers": 0}},
        {"history": {"length": -1}},
        {"criteria": {"events": "1/s", "latency": "1s"}},
        {"criteria": {"events": "1/s", "full_duplex": True}},
        {"criteria": {"full_duplex": True, "latency": "1s"}},
        {"reach": {}},
        {"reach": {**REACH, **BOXES}},
        {"reach": {"url": "https://a.test/b"}},
        {"reach": {"mailbox": {"person:1": "IN"}, "from": "OUT"}},
        {"reach": {"mailbox": {"person:1": "IN"}, "workflow": "W"}},
        {"record": {"fhir": "https://a.test/r4"}},
        {"record": {"fhir": "https://a.test/r4", "secrets": []}},
        {"name": "{a}{b}"},
        {"unheard": "of"},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        channel(**said)


@pytest.mark.parametrize(
    "said",
    [
        {"join": [{"organisation": "{id}", "role": "nurse"}]},
        {"delivery": "recent"},
        {"invite": ANYONE, "reach": REACH, "record": RECORD},
        {"reach": {**BOXES, "after": "10m"}},
        {**FEED, "merge": True, "delivery": "durable"},
        {"name": "a", **FEED, "follow": [{"message": "A"}, {"job": "b"}, {"transfer": "c"}, {"metrics": "10s"}]},
        {"limits": {"largest": LARGEST}},
        {
            "criteria": {"events": "1/s", "full_duplex": True, "latency": "100ms"},
            "exception": "why",
            "need": {"intent": "converse"},
        },
    ],
    ids=str,
)
def test_what_can_be_meant_is_taken(said: dict[str, Any]) -> None:
    channel(**said)


def test_a_reason_is_said_in_words() -> None:
    with pytest.raises(ValidationError, match=r"\{ward\} is not in the channel's name"):
        channel(join=[{"organisation": "{ward}"}])
    with pytest.raises(ValidationError, match="join: says whom it is open to"):
        channel(kind="feed")
    with pytest.raises(ValidationError, match="a conversation is kept"):
        channel(delivery="ephemeral")


def test_each_part_is_made_by_itself() -> None:
    assert Criteria.model_validate({"events": "5/s", "full_duplex": False, "latency": "250ms"}).latency == timedelta(
        milliseconds=250
    )
    assert Reach.model_validate(BOXES).sender == "OUT"
    assert Reach.model_validate(REACH).after == timedelta(minutes=2)
    assert Follow.model_validate({"metrics": "5s"}).metrics == timedelta(seconds=5)
    assert Record.model_validate(RECORD).fhir == "https://a.test/r4"


def test_real_time_as_a_whole_has_bounds() -> None:
    made = RealtimeSettings()
    assert made.ping > made.pong
    assert (made.connections, made.channels, made.unsent, made.origins) == (50_000, 256, 2**20, ())
    for wrong in ({"unsent": 1024}, {"connections": 0}, {"channels": 0}, {"ping": "-1s"}):
        with pytest.raises(ValidationError):
            RealtimeSettings.model_validate(wrong)
