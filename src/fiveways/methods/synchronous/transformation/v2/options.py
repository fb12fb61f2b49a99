"""What a deployment says of the systems that speak HL7 v2, under `transform.options`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from fiveways.deployment.settings import Settings
from fiveways.hl7v2 import charsets
from fiveways.hl7v2.errors import UnknownCharacterSet
from fiveways.methods.synchronous.transformation.v2.tables.table import Context


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("expected a time zone such as Europe/London") from None
    return name


def _charset(name: str) -> str:
    try:
        charsets.codec(name)
    except UnknownCharacterSet as error:
        raise ValueError(str(error)) from None
    return name


class Party(Settings):
    """Who sends, or is to receive, as a message names them."""

    application: Annotated[str, Field(max_length=180)] = ""
    """MSH-3, or MSH-5."""
    facility: Annotated[str, Field(max_length=180)] = ""
    """MSH-4, or MSH-6."""


class V2Options(Settings):
    """How messages are read and written."""

    zone: Annotated[str, AfterValidator(_zone)] = "Europe/London"
    """The time zone of times that say none (the sender's own)."""
    charset: Annotated[str, AfterValidator(_charset)] = ""
    """The character set of messages that name none in MSH-18, as HL7 table 0211 names it: 8859/1. Default: UTF-8."""
    authorities: dict[str, str] = Field(default_factory=dict)
    """Identifiers' systems by the names that the sender gives assigning authorities (CX.4): RXN: https://…"""
    systems: dict[str, str] = Field(default_factory=dict)
    """Code systems by the names that the sender gives them (CWE.3): LOCAL: https://…"""
    profiles: Literal["uk-core", "none"] = "uk-core"
    """The profiles that resources say they conform to."""

    def context(self) -> Context:
        """What tables are read with."""
        return Context(
            ZoneInfo(self.zone), self.authorities, self.systems, profiles="" if self.profiles == "none" else self.profiles
        )


class FeedOptions(V2Options):
    """How messages become FHIR."""

    messages: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}\^[A-Z0-9]{3}$")], ...] = ()
    """The types that are taken: ADT^A01. Default: all that are known."""
    bundle: Literal["transaction", "message"] = "transaction"
    """What a message becomes: a transaction, for a FHIR API; or a message, with a MessageHeader, for a mailbox."""
    original: Literal["none", "document", "binary"] = "none"
    """Whether the message is kept as it came: in a DocumentReference, or in a Binary that a DocumentReference leads to."""
    refuse: tuple[Literal["unmapped", "wrong"], ...] = ()
    """Messages that are refused (AE): those with a field that nothing maps, or with a value that cannot be said in FHIR. Default:
    such fields are reported, and the rest is taken."""

    def context(self) -> Context:
        """What tables are read with."""
        return replace(super().context(), original="" if self.original == "none" else self.original)


class OutgoingOptions(V2Options):
    """How FHIR becomes messages."""

    sender: Party = Party(application="FIVEWAYS")
    """MSH-3 and MSH-4."""
    receiver: Party = Party()
    """MSH-5 and MSH-6."""
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"] = "2.5.1"
    """MSH-12."""
    acknowledgements: Literal["original", "commit", "application", "both"] = "original"
    """What the old system is asked for: its original acknowledgement, or, in the enhanced mode (MSH-15 and MSH-16), that it keeps
    the message, that it has processed it, or first the one and then, on the same connection, the other. The last is the answer."""
    events: dict[
        Annotated[str, Field(pattern=r"^(POST|PUT) [A-Z][A-Za-z]+$")], Annotated[str, Field(pattern=r"^[A-Z]{3}\^[A-Z0-9]{3}$")]
    ] = Field(default_factory=dict)
    """The type of message for a write of a resource, where it is not the usual: PUT Patient: ADT^A08."""
