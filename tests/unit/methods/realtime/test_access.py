"""Who may do what in a channel: nobody, unless a rule of the deployment file is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fiveways.methods.realtime.access import allowed, member_of
from fiveways.methods.realtime.settings import Who
from fiveways.types import Consumer

pytestmark = pytest.mark.anyio

WARD = Consumer("ward-system", "RXN")
NURSE = Consumer("ward-system", "RXN", subject="910000000001", roles={"555": "RXN"}, organisations=("RXN", "QNS"))
AGENCY = Consumer("agency", "Y90001", subject="910000000002", roles={"556": "RXN"})


class Asking:
    """Whoever knows of a relationship, or of participants; what they were asked."""

    def __init__(self, says: bool = True) -> None:
        self.says = says
        self.asked: list[Any] = []

    async def ask(self, url: str, channel: str, consumer: Consumer) -> bool:
        """As `Relation`."""
        self.asked.append((url, channel, consumer.application))
        return self.says

    async def takes_part(self) -> bool:
        """As `Takes`."""
        self.asked.append("participants")
        return self.says


async def may(
    rules: list[dict[str, Any]], consumer: Consumer = WARD, parts: Mapping[str, str] | None = None, asking: Asking | None = None
) -> bool:
    """Whether a consumer may."""
    asking = asking or Asking(False)
    those = [Who.model_validate(rule) for rule in rules]
    return await allowed(those, consumer, "ward:8", parts or {}, asking.takes_part, asking.ask)


async def test_without_a_rule_nobody_may() -> None:
    assert not await may([])
    assert not await may([], NURSE)


@pytest.mark.parametrize(
    ("rule", "consumer", "may_"),
    [
        ({"anyone": True}, WARD, True),
        ({"application": "ward-system"}, WARD, True),
        ({"application": "ward"}, WARD, False),
        ({"application": "ward-system", "organisation": "QNS"}, WARD, False),
        ({"organisation": "RXN"}, WARD, True),
        ({"organisation": "RX"}, WARD, False),
        ({"organisation": "QNS"}, WARD, False),
        ({"organisation": "QNS"}, NURSE, True),
        ({"organisation": "RXN"}, AGENCY, True),
        ({"person": "910000000001"}, NURSE, True),
        ({"person": "910000000001"}, AGENCY, False),
        ({"person": "910000000001"}, WARD, False),
        ({"role": "555"}, NURSE, True),
        ({"role": "555"}, AGENCY, False),
        ({"role": "555"}, WARD, False),
        ({"anyone": True, "role": "555"}, WARD, False),
        ({"anyone": False, "application": "other"}, WARD, False),
        ({"organisation": "RXN", "role": "555", "person": "910000000001", "application": "ward-system"}, NURSE, True),
    ],
    ids=str,
)
async def test_all_of_a_rule_has_to_be_true(rule: dict[str, Any], consumer: Consumer, may_: bool) -> None:
    assert await may([rule], consumer) is may_


async def test_any_of_several_rules_suffices() -> None:
    rules: list[dict[str, Any]] = [{"application": "other"}, {"organisation": "RXN"}]
    assert await may(rules)
    assert not await may(rules[:1])


@pytest.mark.parametrize("key", ["organisation", "application", "person", "role"])
async def test_what_stands_in_braces_is_of_the_channel(key: str) -> None:
    own = {"organisation": "RXN", "application": "ward-system", "person": "910000000001", "role": "555"}[key]
    assert await may([{key: "{who}"}], NURSE, {"who": own})
    assert not await may([{key: "{who}"}], NURSE, {"who": "somebody"})
    assert not await may([{key: "{who}"}], NURSE, {})


async def test_an_application_that_acts_for_nobody_is_no_person_though_the_channel_names_none() -> None:
    assert not await may([{"person": "{who}"}], WARD, {"who": ""})


async def test_participants_and_relations_are_asked_of_those_who_know_and_only_where_all_else_is_true() -> None:
    rules: list[dict[str, Any]] = [
        {"ask": "https://a.test/", "organisation": "QNS"},
        {"ask": "https://b.test/"},
        {"participants": True},
    ]
    asking = Asking()
    assert await may(rules, asking=asking)
    assert asking.asked == ["participants"]  # which costs least
    asking = Asking(False)
    assert not await may(rules, asking=asking)
    assert asking.asked == ["participants", ("https://b.test/", "ward:8", "ward-system")]
    asking = Asking()
    assert await may([{"anyone": True}, *rules], asking=asking)
    assert asking.asked == []


async def test_who_must_take_part_and_be_known_must_be_both() -> None:
    asking = Asking()
    assert await may([{"participants": True, "ask": "https://a.test/"}], asking=asking)
    assert len(asking.asked) == 2


def test_what_somebody_is_called_says_whether_it_is_a_person() -> None:
    assert member_of(WARD) == "application:ward-system"
    assert member_of(NURSE) == "person:910000000001"
    assert member_of(replace(NURSE, facts={"idp": "cis2"})) == "person:cis2/910000000001"


async def test_people_whom_two_providers_call_the_same_are_two() -> None:
    rule, parts = {"person": "{provider}/{who}"}, {"provider": "cis2", "who": "910000000001"}
    assert await may([rule], replace(NURSE, facts={"idp": "cis2"}), parts)
    assert not await may([rule], replace(NURSE, facts={"idp": "other"}), parts)
    assert not await may([{"person": "910000000001"}], replace(NURSE, facts={"idp": "cis2"}))


async def test_a_role_and_an_organisation_belong_together() -> None:
    assert await may([{"role": "555", "organisation": "RXN"}], NURSE)
    assert not await may([{"role": "555", "organisation": "QNS"}], NURSE), "they work there too, in another role"
