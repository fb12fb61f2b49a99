"""A conversation written out: what became of each message, for people, for programs and as FHIR."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from fiveways.methods.realtime import transcript
from fiveways.methods.realtime.message import Message

NURSE, DOCTOR, SYSTEM = "person:1", "person:2", "application:ward"
BEGAN = 1_795_000_000_000_000


class Said:
    """A conversation as it goes on."""

    def __init__(self) -> None:
        self.all: list[Message] = []

    def add(self, sender: str, happening: str, data: Any = None, about: int = 0) -> int:
        """The next entry; its number."""
        number = len(self.all) + 1
        at = BEGAN + number * 1_000_000
        encoded = msgspec.json.encode(data)
        self.all.append(Message("talk:1", number, f"id-{number}", at, happening, sender, "", b"", about, "", encoded, "e"))
        return number

    @property
    def entries(self) -> list[dict[str, Any]]:
        """As a program gets it."""
        found: list[dict[str, Any]] = json.loads(msgspec.json.encode(transcript.entries(self.all)))
        return found


def test_a_message_is_sent_then_delivered_then_read_by_each() -> None:
    said = Said()
    first = said.add(NURSE, "say", "is bed 4 free?")
    assert said.entries[0] | {"at": ""} == {
        "offset": 1, "id": "id-1", "at": "", "sender": NURSE, "data": "is bed 4 free?", "state": "sent", "former": [],
        "delivered": {}, "read": {},
    }  # fmt: skip
    said.add(DOCTOR, "deliver", about=first)
    said.add(SYSTEM, "read", about=first)
    (entry,) = said.entries
    assert set(entry["delivered"]) == {DOCTOR, SYSTEM}
    assert entry["delivered"][DOCTOR] < entry["delivered"][SYSTEM] == entry["read"][SYSTEM]
    assert set(entry["read"]) == {SYSTEM}


def test_a_receipt_is_of_all_that_was_said_before_it_by_others_and_the_first_one_counts() -> None:
    said = Said()
    said.add(NURSE, "say", "a")
    said.add(DOCTOR, "say", "b")
    third = said.add(NURSE, "say", "c")
    said.add(DOCTOR, "read", about=third)
    said.add(NURSE, "say", "d")
    said.add(DOCTOR, "read", about=5)
    a, b, c, d = said.entries
    assert b["read"] == {}
    assert a["read"] == c["read"] != d["read"]


def test_former_wordings_and_what_was_retracted_are_kept() -> None:
    said = Said()
    first = said.add(NURSE, "say", {"text": "5 mg"})
    said.add(NURSE, "correct", {"text": "0.5 mg"}, first)
    said.add(NURSE, "correct", {"text": "0.5 mg, once"}, first)
    second = said.add(DOCTOR, "say", "wrong patient")
    said.add(DOCTOR, "retract", {"reason": "a slip"}, second)
    one, two = said.entries
    assert (one["state"], one["data"], one["former"]) == (
        "corrected",
        {"text": "0.5 mg, once"},
        [{"text": "5 mg"}, {"text": "0.5 mg"}],
    )
    assert (two["state"], two["data"], two["retracted"]) == ("retracted", "wrong patient", {"reason": "a slip"})


def test_what_two_devices_do_at_once_leaves_a_conversation_that_can_be_read() -> None:
    said = Said()
    first = said.add(NURSE, "say", "a")
    said.add(NURSE, "retract", {"reason": ""}, first)
    said.add(NURSE, "correct", "b", first)
    said.add(NURSE, "retract", {"reason": "again"}, first)
    (entry,) = said.entries
    assert (entry["state"], entry["data"], entry["former"]) == ("retracted", "a", [])


def test_who_comes_and_goes_is_an_entry_in_its_place() -> None:
    said = Said()
    said.add(SYSTEM, "invite", {"members": [NURSE, DOCTOR]})
    said.add(NURSE, "say", "a")
    said.add(DOCTOR, "leave", {})
    said.add(SYSTEM, "close", {})
    assert [each.get("happening", each.get("state")) for each in said.entries] == ["invite", "sent", "leave", "close"]


def test_what_is_about_something_that_is_not_kept_any_more_is_an_entry_of_its_own() -> None:
    said = Said()
    said.add(NURSE, "say", "a")
    said.add(NURSE, "correct", "b", 1)
    (entry,) = transcript.entries(said.all[1:])
    assert entry["happening"] == "correct"


def test_people_get_a_line_for_each_and_what_became_of_it() -> None:
    said = Said()
    first = said.add(NURSE, "say", "5 mg")
    said.add(NURSE, "correct", "0.5 mg", first)
    said.add(DOCTOR, "read", about=first)
    said.add(NURSE, "retract", {"reason": "a slip"}, first)
    lines = transcript.text(said.all).splitlines()
    assert lines[0].split()[0] == "1"
    assert lines[0].endswith(f'{NURSE}  [retracted]  "0.5 mg"')
    assert [line.strip().split(" ")[0] for line in lines[1:]] == ["formerly:", "retracted:", "read"]


def test_no_message_can_pass_for_another_line() -> None:
    said = Said()
    said.add(NURSE, "say", "yes\n     2  2026-11-22  person:2  [read]  I agree")
    assert len(transcript.text(said.all).splitlines()) == 1


def test_the_record_is_communications() -> None:
    said = Said()
    first = said.add(NURSE, "say", {"id": "m-1", "text": "is bed 4 free?"})
    said.add(DOCTOR, "say", "yes")
    said.add(DOCTOR, "read", about=first)
    third = said.add(SYSTEM, "say", {"beds": [4]})
    said.add(SYSTEM, "retract", {"reason": "a slip"}, third)
    bundle = json.loads(msgspec.json.encode(transcript.bundle(said.all, [NURSE, DOCTOR, SYSTEM])))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    one, two, three = (entry["resource"] for entry in bundle["entry"])
    assert {each["resourceType"] for each in (one, two, three)} == {"Communication"}
    assert one["payload"] == [{"contentString": "is bed 4 free?"}]
    assert two["payload"] == [{"contentString": "yes"}]
    assert three["payload"] == [{"contentString": '{"beds":[4]}'}]
    assert [each["status"] for each in (one, two, three)] == ["completed", "completed", "entered-in-error"]
    assert (one["sender"]["type"], three["sender"]["type"]) == ("Practitioner", "Device")
    assert [each["identifier"]["value"] for each in one["recipient"]] == ["2", "ward"]
    assert "received" in one
    assert "received" not in two
    assert one["identifier"][0]["value"] == "urn:uuid:id-1"
