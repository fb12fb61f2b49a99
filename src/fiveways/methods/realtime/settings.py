"""What the deployment file says of channels: what they are for, who takes part, what is kept of them, and why they are there."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fiveways.deployment.need import Need
from fiveways.deployment.settings import Duration, HttpUrl, Name, Rate, Reference, Settings, Size
from fiveways.methods.realtime.names import Pattern, holes

Kind = Literal["conversation", "feed", "broadcast", "personal"]
Delivery = Literal["ephemeral", "recent", "durable"]
LARGEST = 512 * 1024
"""Bytes that the largest message may be allowed to have: what goes between nodes is of less than 1 MiB."""
Filled = Annotated[str, Field(min_length=1, max_length=255)]


class Who(Settings):
    """Whom something is open to: whoever all of this is true of. Values may have the names of the channel's pattern in braces."""

    organisation: Filled | None = None
    """The organisation whose application it is (or for which the person acts), by ODS code."""
    application: Filled | None = None
    """The application."""
    person: Filled | None = None
    """The person on whose behalf the application acts: `provider/subject`, the provider's name under `identity:` and what it calls
    them."""
    role: Filled | None = None
    """The id of a role that the person may act in; where there is an organisation too, a role in that."""
    participants: bool = False
    """Who takes part in the conversation, as it was begun or as others have invited."""
    anyone: bool = False
    """Every application that has an access token."""
    ask: HttpUrl | None = None
    """Who knows of a relationship: it is sent a POST of JSON that says who would join what, and answers `{"allowed": true}`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("say whom it is open to: organisation, application, person, role, participants, anyone or ask")
        return self


class Criteria(Settings):
    """What has to be true before real time is diverged to (R4), as the channel was reviewed."""

    events: Rate
    """How many events there are in the channel, when there are most (R5)."""
    full_duplex: bool
    """Whether both parties begin communications (R6)."""
    latency: Duration
    """How long an event may take to whoever it is for (R7)."""


class ChannelLimits(Settings):
    """What one may do in a channel."""

    largest: Annotated[Size, Field(ge=1, le=LARGEST)] = 64 * 1024
    """The largest message, in bytes."""
    rate: Rate = Rate(20, 1)
    """How fast one participant may publish."""
    subscribers: Annotated[int, Field(ge=1)] = 100_000
    """How many subscribers one process takes in one channel."""


class History(Settings):
    """What is kept of a channel."""

    length: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """How many of the newest messages are kept; without it, all are."""
    keep: Duration | None = None
    """How long they are kept; without it, for ever."""


class Reach(Settings):
    """How a participant is told who is not there. One of `mailbox` and `url`."""

    after: Duration = timedelta(minutes=2)
    """How long a message may wait for their device."""
    mailbox: dict[str, str] | None = None
    """Their mailboxes, by participant."""
    sender: str | None = Field(default=None, alias="from")
    """The mailbox that it comes from."""
    workflow: str | None = None
    """The workflow that it is sent with."""
    url: HttpUrl | None = None
    """Where a POST of JSON tells of it, signed as all that Fiveways posts."""
    secrets: tuple[Reference, ...] = ()
    """What that is signed with; the first signs, all are announced while keys change."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.mailbox is None) == (self.url is None):
            raise ValueError("expected one of mailbox and url")
        if self.mailbox is not None and (self.sender is None or self.workflow is None):
            raise ValueError("mailbox needs from: and workflow:")
        if self.url is not None and not self.secrets:
            raise ValueError("url needs secrets:")
        return self


class Record(Settings):
    """How what is said becomes part of the record."""

    fhir: HttpUrl
    """The FHIR server that is given a Communication for each message."""
    secrets: tuple[Reference, ...] = Field(min_length=1)
    """What its POST is signed with."""


class Follow(Settings):
    """What happens elsewhere and is published in the channel."""

    message: str | None = None
    """Messages that arrive in this mailbox."""
    job: Name | None = None
    """Jobs of this exchange that are done."""
    transfer: Name | None = None
    """Files of this feed that are released."""
    metrics: Duration | None = None
    """The platform's own figures, so often: requests, messages, jobs, transfers, channels."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("expected one of message, job, transfer and metrics")
        return self


class ChannelSettings(Settings):
    """Channels of one kind, by the pattern of their names."""

    name: Pattern
    """Their names: `ward:{ward}:board`. What stands in braces is one or more letters, digits, or `. _ ~ -`."""
    kind: Kind
    """Whether people converse there, a feed shows how things are, or news are broadcast; or it is one person's own."""
    delivery: Delivery | None = None
    """How sure a message is: `durable`, on disk before it is acknowledged; `recent`, committed, whoever was away catches up,
    but not waited for until it is on disk; `ephemeral`, to whoever is there. Default: conversations and personal channels are
    durable, the others recent."""
    join: tuple[Who, ...] = ()
    """Whom it is open to: any of these. Default: a conversation to its participants, and nobody else."""
    publish: tuple[Who, ...] = ()
    """Who may publish in it. Default: in a conversation, whoever may join; otherwise nobody."""
    invite: tuple[Who, ...] = ()
    """Who may begin such a conversation and invite to any; participants may invite to theirs."""
    presence: bool | None = None
    """Whether who is in it is told who else is, who comes and who goes. Default: in conversations."""
    merge: bool = False
    """Whether messages are changes of one state: JSON objects whose members replace what is known under their names, null removes
    them. Who joins gets the whole, then changes; who is slow gets the whole again."""
    limits: ChannelLimits = ChannelLimits()
    """What one may do in it."""
    history: History = History()
    """What is kept of it."""
    reach: Reach | None = None
    """How participants of a conversation are told who are not there."""
    record: Record | None = None
    """How what is said becomes part of the record."""
    follow: tuple[Follow, ...] = ()
    """What else is published in it; its name is then without braces."""
    criteria: Criteria | None = None
    """The three criteria of real time, as they were reviewed (R4-R7)."""
    exception: str = ""
    """Why it is real time all the same, where one of them is not met: a one-way feed (T2), say."""
    need: Need | None = None
    """What it is for."""

    @property
    def certainty(self) -> Delivery:
        """How sure a message is."""
        return self.delivery or ("durable" if self.kind in ("conversation", "personal") else "recent")

    @property
    def joining(self) -> tuple[Who, ...]:
        """Whom it is open to."""
        return self.join or ((Who(participants=True),) if self.kind == "conversation" else ())

    @property
    def publishing(self) -> tuple[Who, ...]:
        """Who may publish."""
        return self.publish or (self.joining if self.kind == "conversation" else ())

    @property
    def shown(self) -> bool:
        """Whether who is in it is told who else is."""
        return self.presence if self.presence is not None else self.kind == "conversation"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "conversation" and self.certainty == "ephemeral":
            raise ValueError("a conversation is kept: delivery is recent or durable")
        if self.kind != "conversation" and (self.reach is not None or self.record is not None or self.invite):
            raise ValueError("reach, record and invite are for conversations")
        if self.merge and (self.kind != "feed" or self.certainty == "ephemeral"):
            raise ValueError("merge is for feeds that are kept")
        if not self.joining:
            raise ValueError("join: says whom it is open to")
        said = holes(self.name)
        for who in (*self.join, *self.publish, *self.invite):
            texts = (who.organisation, who.application, who.person, who.role)
            if strange := sorted({hole for text in texts if text is not None for hole in holes(text)} - said):
                raise ValueError(f"{{{strange[0]}}} is not in the channel's name")
        if self.follow and said:
            raise ValueError("follow: needs a name without braces")
        return self


class RealtimeSettings(Settings):
    """Real time as a whole."""

    ping: Duration = timedelta(seconds=25)
    """How often clients are asked whether they are there; who does not answer within `pong` is taken for gone."""
    pong: Duration = timedelta(seconds=8)
    """How long they may take."""
    connections: Annotated[int, Field(ge=1)] = 50_000
    """Connections of one process."""
    channels: Annotated[int, Field(ge=1)] = 256
    """Channels of one connection."""
    unsent: Annotated[Size, Field(ge=16 * 1024)] = 2**20
    """Bytes that wait for one slow reader; past that it is disconnected, and told why."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may connect (https://board.northshire.test); without any, only pages of the listener itself."""
    lost: Duration = timedelta(seconds=8)
    """How long a node may be silent before whoever was connected to it counts as gone."""
    attachment: Annotated[Size, Field(ge=1)] = 25 * 2**20
    """The largest attachment, in bytes."""
