"""The deployment file, whole: who may exchange what with whom, and how. Each part's model stands beside the part's code."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fiveways.delivery.settings import OutboundSettings
from fiveways.deployment import document
from fiveways.deployment.document import Document
from fiveways.deployment.linting import Linting
from fiveways.deployment.settings import Duration, HttpUrl, Name, OdsCode, Percent, Rate, Settings
from fiveways.ledger.audit.settings import AuditSettings
from fiveways.methods.bulk.errands.settings import Errand
from fiveways.methods.bulk.settings import BulkSettings, FeedSettings, PartnerSettings
from fiveways.methods.exchange.settings import ExchangeSettings
from fiveways.methods.messaging.directory import MailboxId, MailboxSettings, MessagingSettings, WorkflowId, WorkflowSettings
from fiveways.methods.realtime.settings import ChannelSettings, RealtimeSettings
from fiveways.methods.synchronous.alerting import AlertSettings
from fiveways.methods.synchronous.settings import ApiSettings
from fiveways.platform.listeners import Listener
from fiveways.platform.misfits import misfits
from fiveways.security.settings import ApiKeyHash, Credentials, Tokens
from fiveways.security.users.providers import Provider
from fiveways.store.settings import Store

AttributeValue = Annotated[str, Field(pattern=r"^[ -~]*$")]
"""What goes into a header field: printable ASCII."""


class RealtimeThresholds(Settings):
    """What the programme counts as cause for real time (R5, R7)."""

    events: Rate = Rate(10, 60)
    """From how many events on their frequency is very high, counted when there are most."""
    latency: Duration = timedelta(milliseconds=500)
    """Up to how long a latency is next to none."""


class Programme(Settings):
    """The programme: its thresholds hold for everything in the file (S12)."""

    name: str = "Fiveways"
    """What it is called."""
    patience: Duration = timedelta(seconds=3)
    """How long a user or a system may be kept waiting for an answer."""
    availability: Percent = 0.999
    """The availability it asks of providers."""
    realtime: RealtimeThresholds = RealtimeThresholds()
    """From where on events are frequent, and a latency is low: channels are measured by it."""
    alerts: AlertSettings = AlertSettings()
    """When somebody is told."""


class Organisation(Settings):
    """A health organisation, by its ODS code."""

    name: str = Field(min_length=1)
    """What it is called."""


class Application(Credentials):
    """A consumer application: whose it is, how it proves who it is, and what it is subscribed to."""

    organisation: OdsCode
    """The organisation that runs it."""
    title: str = ""
    """What people call it."""
    products: tuple[Name, ...] = ()
    """The products it is subscribed to."""
    attributes: dict[str, AttributeValue] = Field(default_factory=dict)
    """What back ends are told of it: an ASID, a software version."""
    approved: bool = True
    """Whether it may call at all; false suspends it."""


class Product(Settings):
    """What applications subscribe to: APIs, and how much of them one application may take."""

    apis: tuple[Name, ...] = Field(min_length=1)
    """The APIs it contains."""
    quota: Rate | None = None
    """Requests of one application to one of these APIs, per period."""
    burst: Rate | None = None
    """How fast at most (spike arrest)."""


class Identity(Settings):
    """Tokens, and who vouches for people."""

    tokens: Tokens = Tokens()
    """The access tokens that this platform issues."""
    providers: dict[Name, Provider] = Field(default_factory=dict)
    """OpenID Connect providers of people's identities."""


class StatusProbe(Settings):
    """Who may ask `_status`."""

    keys: tuple[ApiKeyHash, ...] = ()
    """Hashes of the keys that may, as `fiveways key new` prints them."""


class AdministrationSettings(Settings):
    """Who may change mailboxes and workflows while Fiveways runs, under `/_admin/`; nobody, where no key is declared."""

    keys: tuple[ApiKeyHash, ...] = ()
    """Hashes of the keys that may, as `fiveways key new` prints them."""


class Telemetry(Settings):
    """OpenTelemetry traces (needs the `otel` extra)."""

    otlp: HttpUrl
    """The OTLP/HTTP endpoint traces are sent to: http://collector:4318/v1/traces."""
    sample: Percent = 1.0
    """The share of traces begun here that is kept; a consumer's own decision is followed."""


class Deployment(Settings):
    """A Fiveways deployment."""

    linting: Linting = Linting()
    """What `fiveways check` is told."""

    programme: Programme = Programme()
    """The programme and its thresholds."""
    listeners: dict[Name, Listener] = Field(default={"main": Listener(http="127.0.0.1:8080")}, min_length=1)
    """Where Fiveways listens."""
    store: Store = Store()
    """Where rows and payloads are kept."""
    audit: AuditSettings = AuditSettings()
    """How the audit is sealed and kept."""
    identity: Identity = Identity()
    """Tokens and identity providers."""
    status: StatusProbe = StatusProbe()
    """Who may ask `_status`."""
    administration: AdministrationSettings = AdministrationSettings()
    """Who may change mailboxes and workflows while Fiveways runs."""
    telemetry: Telemetry | None = None
    """Where traces go."""
    organisations: dict[OdsCode, Organisation] = Field(default_factory=dict)
    """The organisations, by ODS code."""
    applications: dict[Name, Application] = Field(default_factory=dict)
    """The consumer applications."""
    products: dict[Name, Product] = Field(default_factory=dict)
    """What applications subscribe to."""
    apis: dict[Name, ApiSettings] = Field(default_factory=dict)
    """The APIs published through the gateway."""
    exchanges: dict[Name, ExchangeSettings] = Field(default_factory=dict)
    """Which of them answer in two stages for now, by name: 202 first, the outcome later."""
    messaging: MessagingSettings = MessagingSettings()
    """Messaging as a whole."""
    mailboxes: dict[MailboxId, MailboxSettings] = Field(default_factory=dict)
    """The mailboxes, by id."""
    workflows: dict[WorkflowId, WorkflowSettings] = Field(default_factory=dict)
    """What is sent between mailboxes, by workflow id."""
    bulk: BulkSettings = BulkSettings()
    """Bulk transfer as a whole."""
    partners: dict[Name, PartnerSettings] = Field(default_factory=dict)
    """Who brings and takes files, by name, which is that of the account of the SFTP server too."""
    feeds: dict[Name, FeedSettings] = Field(default_factory=dict)
    """Files that partners send again and again, and what is agreed of them."""
    errands: dict[Name, Errand] = Field(default_factory=dict)
    """Files that are brought to partners' own SFTP servers, or fetched there."""
    realtime: RealtimeSettings = RealtimeSettings()
    """Real time as a whole."""
    channels: dict[Name, ChannelSettings] = Field(default_factory=dict)
    """The kinds of channels over which people and systems are in conversation, or see how things are, by name."""
    outbound: OutboundSettings = OutboundSettings()
    """Where Fiveways may be had to call: webhooks."""


def load(file: Path) -> tuple[Deployment, Document]:
    """The deployment in a file; DeploymentError with every mistake, each with its line, where it is wrong."""
    read = document.read(file)
    return validate(read), read


def validate(read: Document) -> Deployment:
    """A document as a deployment whose parts fit together."""
    deployment = document.validate(read, Deployment)
    mistakes = list(misfits(deployment))
    if mistakes:
        raise read.refuse(mistakes)
    return deployment
