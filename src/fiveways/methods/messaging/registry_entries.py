"""What may be registered while running, and what is made of it: the deployment file's mailboxes and workflows, but for secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import structlog
from pydantic import Field, ValidationError

from fiveways.methods.messaging.directory import Mailbox, MailboxProfile, Workflow, WorkflowSettings
from fiveways.methods.messaging.registry import Entry
from fiveways.methods.messaging.registry_vault import Unopenable, Vault
from fiveways.security.settings import ClientCertificate

log = structlog.get_logger("fiveways.directory")

Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
"""A name: no control characters."""


class RegisteredMailbox(MailboxProfile):
    """A mailbox registered while running. Its password is beside it, sealed."""

    name: Text = ""
    """What people call it."""
    organisation_name: Text = ""
    """What its organisation is called, where the deployment file does not have it."""
    certificates: tuple[ClientCertificate, ...] = Field(default=(), max_length=20)
    """Client certificates of which a request must bear one, besides its token. Several mailboxes may name the same."""


class RegisteredWorkflow(WorkflowSettings):
    """A workflow registered while running."""


class EntryReader:
    """Makes mailboxes and workflows of entries. `organisations`: names by ODS code; without a vault no password can be read."""

    def __init__(self, organisations: Mapping[str, str], vault: Vault | None) -> None:
        self._organisations = organisations
        self._vault = vault

    def mailbox(self, entry: Entry) -> Mailbox | None:
        """The mailbox of an entry; None, and the log says so, where a newer release has written what this one cannot read.

        One whose password cannot be opened is there: it receives, and nobody can use it until its password is set anew.
        """
        try:
            found = RegisteredMailbox.model_validate_json(entry.content or b"")
        except ValidationError:
            log.warning("a registered mailbox cannot be read", mailbox=entry.id, version=entry.version)
            return None
        return Mailbox(
            entry.id,
            found,
            org_name=self._organisations.get(found.organisation) or found.organisation_name,
            password=self._password(entry),
        )

    def workflow(self, entry: Entry) -> Workflow | None:
        """The workflow of an entry; None, and the log says so, where this release cannot read it."""
        try:
            found = RegisteredWorkflow.model_validate_json(entry.content or b"")
        except ValidationError:
            log.warning("a registered workflow cannot be read", workflow=entry.id, version=entry.version)
            return None
        return Workflow(entry.id, found)

    def _password(self, entry: Entry) -> bytes | None:
        if self._vault is None:
            return None
        try:
            return self._vault.open(entry.id, entry.password or b"")
        except Unopenable:
            log.warning("a mailbox's password was sealed with another shared key: set it anew", mailbox=entry.id)
            return None
