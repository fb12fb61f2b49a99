"""Who has a mailbox, and who may send what to whom (A39): as the deployment file declares it, and as was registered since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from fiveways.deployment.need import Need
from fiveways.deployment.settings import Duration, OdsCode, Reference, Settings, Size
from fiveways.methods.messaging.capacity import Takes
from fiveways.methods.messaging.routing.settings import RoutingSettings
from fiveways.methods.messaging.webhook import Webhook, WebhookSettings
from fiveways.security.certificates import CertificateIdentity, ClientCertificates
from fiveways.security.settings import ClientCertificate

MailboxId = Annotated[str, Field(pattern=r"^[A-Z0-9_-]{1,100}$")]
WorkflowId = Annotated[str, Field(pattern=r"^[!-~]{1,300}$")]

Entered = TypeVar("Entered")


class MailboxProfile(Settings):
    """A mailbox: whose it is, and how it may be used."""

    organisation: OdsCode
    """The organisation whose mailbox it is."""
    name: str = ""
    """What people call it."""
    active: bool = True
    """Whether it may be used at all."""
    certificates: tuple[ClientCertificate, ...] = ()
    """Client certificates of which a request must bear one, besides its token. Several mailboxes may name the same."""
    deduplicate: Duration | None = None
    """For how long a message that it sends again, under the same local id, is answered as the one that it sent before (A31)."""
    takes: Takes | None = None
    """How much its receiver can take; the rest waits in the mailbox (A24). Default: everything."""
    collects_every: Duration | None = None
    """How often its receiver looks for messages, as agreed: what a need for haste is compared with (A44)."""


class MailboxSettings(MailboxProfile):
    """A mailbox: whose it is, and how its owner proves to be that."""

    password: Reference
    """Its password, from the environment or a file: `env:NAME`, `file:path`."""
    webhook: WebhookSettings | None = None
    """Whom to tell when a message arrives. Only for mailboxes of this file."""


class FailureHandling(Settings):
    """Who deals with messages that could not be delivered (A45). Their senders are told in any case."""

    told: tuple[MailboxId, ...] = Field(default=(), max_length=20)
    """Mailboxes that find a REPORT too, besides the sender's."""
    worked_by: str = Field(default="", pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)
    """Who works what failed, and how they are reached: "Integration desk, 020 7946 0000"."""


class WorkflowSettings(Settings):
    """A workflow: what is sent, by whom and to whom. One that names nobody is open to all."""

    senders: tuple[MailboxId, ...] = Field(default=(), alias="from")
    """The mailboxes that may send it."""
    receivers: tuple[MailboxId, ...] = Field(default=(), alias="to")
    """The mailboxes that it may be sent to, and that lookups by ODS code and workflow find."""
    payload: Literal["fhir-message"] | None = None
    """What its messages must be: `fhir-message`, a FHIR Bundle of type message that begins with a MessageHeader."""
    acknowledged_by: WorkflowId | None = None
    """The workflow in which its receivers answer what came of it: `X_ACK`, as a rule (A3)."""
    correlated_by: Literal["local-id", "message-header", "correlation-id"] | None = None
    """What an answer repeats of the request, so that its sender finds the one to the other (A4)."""
    undelivered_after: Duration | None = None
    """How long a message waits to be collected before its sender is told that it was not. Default: `messaging.collect_within`."""
    failures: FailureHandling | None = None
    """Who deals with messages that fail (A45)."""
    need: Need | None = None
    """What it is for, which the linter looks at."""


class MessagingSettings(Settings):
    """Messaging as a whole."""

    shared_key: Reference | None = None
    """The key that tokens of all mailboxes are made with, beside each mailbox's password; needed where there are mailboxes."""
    collect_within: Duration = timedelta(days=5)
    """How long a message waits to be collected before its sender is told that it was not."""
    keep: Duration = timedelta(days=30)
    """How long a message and what is known of it is kept."""
    client_certificates: Literal["required", "optional"] = "optional"
    """Whether a request for any mailbox must bear a client certificate that the mailbox names, or for those that name some."""
    open_workflows: bool = False
    """Whether a workflow that is not declared may be sent by everybody to everybody."""
    sandbox: bool = False
    """Test control over HTTP that asks for no password (reset, reports): for a sandbox, never where messages matter."""
    largest_request: int = Field(default=100 * 1024 * 1024, ge=1024)
    """Bytes of one request: a message, or one of its chunks."""
    largest_message: int = Field(default=20 * 10**9, ge=1024)
    """Bytes of one message, all its chunks together."""
    largest_fhir_message: Size = Field(default=64 * 1024 * 1024, ge=1024)
    """Bytes, decompressed, of a message that must be a FHIR message: it is looked at whole."""
    routing: RoutingSettings | None = None
    """How the practice is found for a message that is addressed to a patient's (`GPPROVIDER_…`)."""


class Mailbox:
    """A mailbox as it runs. One whose password is not known (None) receives, and nobody can use it."""

    __slots__ = (
        "_certificates", "active", "certificates", "collects_every", "deduplicate", "id", "name", "ods_code", "org_name",
        "password", "takes", "webhook",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002
        profile: MailboxProfile | None,
        *,
        org_name: str = "",
        password: bytes | None = None,
        webhook: Webhook | None = None,
    ) -> None:
        """`profile`: what is declared of it; None for one that is not known any more."""
        self.id = id
        self.ods_code = profile.organisation if profile is not None else ""
        self.name = profile.name if profile is not None else ""
        self.org_name = org_name
        self.password = password
        self.webhook = webhook
        self.active = profile is not None and profile.active
        self.deduplicate = profile.deduplicate if profile is not None else None
        self.takes = profile.takes if profile is not None else None
        self.collects_every = profile.collects_every if profile is not None else None
        self.certificates = profile.certificates if profile is not None else ()
        self._certificates = ClientCertificates((certificate, id) for certificate in self.certificates)

    def names(self, identity: CertificateIdentity | None) -> bool:
        """Whether a client's certificate (None: it has shown none) is one of those that this mailbox names."""
        return identity is not None and self._certificates.find(identity) is not None


_NOBODY = FailureHandling()


class Workflow:
    """A workflow as it runs; empty sets mean everybody."""

    __slots__ = ("id", "receivers", "senders", "settings")

    def __init__(self, id: str, settings: WorkflowSettings) -> None:  # noqa: A002
        self.id = id
        self.settings = settings
        self.senders = frozenset(settings.senders)
        self.receivers = frozenset(settings.receivers)

    def mailboxes(self) -> frozenset[str]:
        """Every mailbox that it names."""
        told = self.settings.failures.told if self.settings.failures is not None else ()
        return self.senders | self.receivers | frozenset(told)


class Directory:
    """Mailboxes and workflows, looked up. `open_workflows`: a workflow that is not declared is everybody's.

    What is declared is there for good; what is registered while running comes and goes beside it, and never in its place.
    """

    def __init__(self, mailboxes: Iterable[Mailbox], workflows: Iterable[Workflow], *, open_workflows: bool = False) -> None:
        self._mailboxes = {mailbox.id: mailbox for mailbox in mailboxes}
        self._workflows = {workflow.id: workflow for workflow in workflows}
        self._declared = frozenset(self._mailboxes), frozenset(self._workflows)
        self._open = open_workflows

    @property
    def mailboxes(self) -> Mapping[str, Mailbox]:
        """Every mailbox by id, in use or not."""
        return self._mailboxes

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """Every workflow by id."""
        return self._workflows

    def declares_mailbox(self, id: str) -> bool:  # noqa: A002
        """Whether the deployment file has a mailbox of this id."""
        return id in self._declared[0]

    def declares_workflow(self, id: str) -> bool:  # noqa: A002
        """Whether the deployment file has a workflow of this id."""
        return id in self._declared[1]

    def enter_mailbox(self, id: str, mailbox: Mailbox | None) -> None:  # noqa: A002
        """Have a mailbox here from now on, or no longer; one that is declared stays as it is."""
        if id not in self._declared[0]:
            _enter(self._mailboxes, id, mailbox)

    def enter_workflow(self, id: str, workflow: Workflow | None) -> None:  # noqa: A002
        """Have a workflow here from now on, or no longer; one that is declared stays as it is."""
        if id not in self._declared[1]:
            _enter(self._workflows, id, workflow)

    def mailbox(self, id: str) -> Mailbox | None:  # noqa: A002
        """The mailbox of this id (upper case), if there is one in use."""
        found = self._mailboxes.get(id)
        return found if found is not None and found.active else None

    def webhook(self, id: str) -> Webhook | None:  # noqa: A002
        """The webhook of a mailbox, in use or not."""
        found = self._mailboxes.get(id)
        return found.webhook if found is not None else None

    def named(self, id: str) -> Mailbox:  # noqa: A002
        """The mailbox of this id, in use or not; one without a name where it is not known any more."""
        return self._mailboxes.get(id) or Mailbox(id, None)

    def may(self, workflow: str, sender: str, recipient: str) -> bool:
        """Whether `sender` may send `workflow` to `recipient`."""
        known = self._workflows.get(workflow)
        if known is None:
            return self._open
        return (not known.senders or sender in known.senders) and (not known.receivers or recipient in known.receivers)

    def undelivered_after(self, workflow: str) -> timedelta | None:
        """How long messages of a workflow wait; None where it has no time of its own."""
        known = self._workflows.get(workflow)
        return known.settings.undelivered_after if known is not None else None

    def failures(self, workflow: str) -> FailureHandling:
        """Who deals with messages of a workflow that fail."""
        known = self._workflows.get(workflow)
        return (known.settings.failures if known is not None else None) or _NOBODY

    def receivers(self, workflow: str, ods_code: str | None = None) -> list[Mailbox]:
        """The mailboxes that are named as receivers of a workflow, of one organisation or of all."""
        known = self._workflows.get(workflow)
        found = (self.mailbox(id_) for id_ in sorted(known.receivers)) if known is not None else ()
        return [mailbox for mailbox in found if mailbox is not None and ods_code in (None, mailbox.ods_code)]


def _enter(known: dict[str, Entered], id: str, entered: Entered | None) -> None:  # noqa: A002
    if entered is None:
        known.pop(id, None)
    else:
        known[id] = entered
