"""A conversation, written out: for people, for programs, and for the record (FHIR Communication)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.states import LIFE, State

_PERSON: Final = "person:"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
"""What is in no string of FHIR's (FHIR R4, 2.24.0.1)."""
SYSTEM: Final = "urn:ietf:rfc:3986"
"""Of identifiers that are URNs."""


class _Invited(msgspec.Struct):
    members: list[str] = []


_invited: Final = msgspec.json.Decoder(_Invited).decode


def entries(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Each message with what became of it: its wording now, its former ones, who has it and who has read it."""
    said: dict[int, dict[str, Any]] = {}
    beside: list[dict[str, Any]] = []
    members: dict[str, None] = {}
    for each in messages:
        if each.happening == "say":
            said[each.number] = _entry(each) | {"state": State.SENT.value, "former": [], "delivered": {}, "read": {}}
        elif each.happening in ("deliver", "read"):
            _receipt(said, each)
        elif each.happening in ("correct", "retract") and each.about in said:
            entry = said[each.about]
            if entry["state"] == State.RETRACTED:  # it was corrected and retracted at the same time, by two devices
                continue
            entry["state"] = LIFE.after(State(entry["state"]), each.happening).value
            if each.happening == "correct":
                entry["former"].append(entry["data"])
                entry["data"] = msgspec.Raw(each.data)
            else:
                entry["retracted"] = msgspec.Raw(each.data)
        else:
            beside.append(_entry(each) | {"happening": each.happening})
            if each.happening == "invite":
                members |= dict.fromkeys(_invited(each.data).members)
            elif each.happening == "leave":
                members.pop(each.sender, None)
    for entry in said.values():
        others = members.keys() - {entry["sender"]}
        for happening, key in (("read", "read"), ("deliver", "delivered")):
            if others and entry["state"] == State.SENT and others <= entry[key].keys():
                entry["state"] = LIFE.after(State.SENT, happening).value
    return sorted((*said.values(), *beside), key=lambda entry: entry["offset"])


def _entry(message: Message) -> dict[str, Any]:
    return {
        "offset": message.number, "id": message.id, "at": message.moment, "sender": message.sender,
        "data": msgspec.Raw(message.data),
    }  # fmt: skip


def _receipt(said: Mapping[int, dict[str, Any]], receipt: Message) -> None:
    key = "delivered" if receipt.happening == "deliver" else "read"
    for number, entry in said.items():
        if number <= receipt.about and entry["sender"] != receipt.sender:
            entry[key].setdefault(receipt.sender, receipt.moment)
            if key == "read":
                entry["delivered"].setdefault(receipt.sender, receipt.moment)


def text(messages: Iterable[Message]) -> str:
    """For people: a line for each entry."""
    lines = []
    for entry in entries(messages):
        said = bytes(entry["data"]).decode()
        state = entry.get("state", entry.get("happening", ""))
        lines.append(f"{entry['offset']:>6}  {entry['at']}  {entry['sender']}  [{state}]  {said}")
        lines += [f"        formerly: {bytes(former).decode()}" for former in entry.get("former", [])]
        if "retracted" in entry:
            lines.append(f"        retracted: {bytes(entry['retracted']).decode()}")
        lines += [f"        read by {who} {at}" for who, at in entry.get("read", {}).items()]
    return "\n".join(lines) + "\n"


def bundle(messages: Iterable[Message], participants: Iterable[str]) -> dict[str, Any]:
    """For the record: a FHIR R4 Bundle of Communications, of type collection."""
    there = list(participants)
    found = [entry for entry in entries(messages) if "state" in entry]
    resources = [_communication(entry, there) for entry in found]
    told = [{"fullUrl": each["identifier"][0]["value"], "resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "collection"} | ({"entry": told} if told else {})


def communication(message: Message, participants: Iterable[str]) -> dict[str, Any]:
    """A message as a FHIR R4 Communication, as it was said; a correction or a retraction says what it is about."""
    state = State.RETRACTED if message.happening == "retract" else State.SENT
    found = _communication(_entry(message) | {"state": state}, participants)
    if message.about:
        found["inResponseTo"] = [{"type": "Communication", "display": f"message {message.about} of {message.channel}"}]
    return found


def _communication(entry: Mapping[str, Any], participants: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "Communication", "identifier": [{"system": SYSTEM, "value": f"urn:uuid:{entry['id']}"}],
        "status": "entered-in-error" if entry["state"] == State.RETRACTED else "completed",
        "sent": entry["at"], "sender": _reference(entry["sender"]),
        "recipient": [_reference(each) for each in participants if each != entry["sender"]],
        "payload": [{"contentString": _wording(bytes(entry["data"]))}],
    }  # fmt: skip
    if reads := sorted(entry.get("read", {}).values()):
        found["received"] = reads[0]
    return found


def _reference(member: str) -> dict[str, Any]:
    kind = "Practitioner" if member.startswith(_PERSON) else "Device"
    return {"type": kind, "identifier": {"value": member.partition(":")[2]}}


def _wording(data: bytes) -> str:
    """What is said, where the message is text or has a member `text`; else, or where FHIR has no such string, the JSON itself."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):  # a number that is larger than any
        return data.decode()
    if isinstance(said, dict):
        said = said.get("text")
    return said if isinstance(said, str) and said.strip() and not _CONTROL.search(said) else data.decode()
