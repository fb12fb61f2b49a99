"""What a deployment says of a demographics service that speaks HL7 V3."""

from __future__ import annotations

from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from fiveways.deployment.settings import HttpUrl, Settings
from fiveways.methods.synchronous.transformation.v3.message import ISSUES, Agent, Parties
from fiveways.methods.synchronous.transformation.xml.soap import Version

Asid = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")]


class UserSettings(Settings):
    """The person in whose name it is asked."""

    id: str
    role_profile: str
    job_role: str = ""


class V3Settings(Settings):
    """What both directions say."""

    sender_asid: Asid
    """Of whoever sends what Fiveways makes: the gateway."""
    receiver_asid: Asid
    """Of whom it is sent to; a server answers whoever asked, where that is said."""
    soap: Version = "1.1"
    service: str = "urn:nhs:names:services:pdsquery"
    """What actions begin with."""
    zone: str = "Europe/London"
    """Of times that say none."""
    no_match: str = "1"
    """The detected issue that says that nobody was found."""
    ambiguous: str = "2"
    """The detected issue that says that too many were found. A guess at what a service says: look at yours."""
    issues: str = ISSUES
    """The code system of detected issues, an OID."""

    @model_validator(mode="after")
    def _zone_known(self) -> Self:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"found the zone {self.zone!r}, expected one such as Europe/London") from None
        return self

    @property
    def parties(self) -> Parties:
        """Who sends, and to whom."""
        return Parties(self.sender_asid, self.receiver_asid)


class DemographicsOptions(V3Settings):
    """The options of the transformer `hl7v3-demographics`."""

    path: str = Field(default="", pattern=r"^(/[^\s?#]*)?$")
    """Of the service, below the target's URL."""
    to: str = ""
    """What the service calls its own address; the action's service where there is none."""
    sender: str = ""
    """The address that the gateway gives as its own."""
    user: UserSettings | None = None
    advanced: bool = False
    """Whether the service answers advanced traces, at once."""
    historic: bool = False
    """Whether a retrieval asks for what was before, too."""
    also_no_match: list[str] = Field(default_factory=list)
    """Further issues that mean that nobody was found."""
    also_ambiguous: list[str] = Field(default_factory=list)

    @property
    def agent(self) -> Agent | None:
        """The person who asks."""
        user = self.user
        return Agent(user.id, user.role_profile, user.job_role) if user is not None else None


class ServerOptions(V3Settings):
    """The options of the transformer `hl7v3-demographics-server`."""

    address: HttpUrl
    """Where consumers reach this API: the WSDL says so, and answers give it as where they come from."""
    read_by_number: bool = False
    """A retrieval reads `/Patient/{NHS number}`; else it searches by identifier."""
