"""A message as its recipient has it: what was said of it, and its content in a file that is gone when the message is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from fiveways.client.ledger import Request


@dataclass(slots=True, kw_only=True)
class Message:
    """A message out of a mailbox. `id` is the key under which a handler can tell that it has seen it before.

    `content` is at its beginning; large content is on disk, not in memory. `request` is the request of ours that it answers or,
    if it is a report, is about; None for what came unasked. `fields` are the Mex-… header fields, by name in lower case without
    `mex-`.
    """

    id: str
    recipient: str
    """The mailbox that it came to."""
    content: IO[bytes]
    fields: Mapping[str, str]
    content_type: str = ""
    size: int = 0
    """Of the content, in bytes."""
    attempt: int = 1
    """How often it has been given to a handler, this time included."""
    request: Request | None = field(default=None)

    def _said(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def sender(self) -> str:
        """The mailbox that sent it; '' for a report."""
        return self._said("from")

    @property
    def workflow(self) -> str:
        """What it is for; a report has its subject's."""
        return self._said("workflowid")

    @property
    def local_id(self) -> str:
        """What its sender calls it; a report has the local id of the message that it is about."""
        return self._said("localid")

    @property
    def subject(self) -> str:
        """What its sender says it is about."""
        return self._said("subject")

    @property
    def file_name(self) -> str:
        """What its sender says its file is called: not to be trusted as a path."""
        return self._said("filename")

    @property
    def is_report(self) -> bool:
        """Whether the platform tells of a message of ours that did not get through."""
        return self._said("messagetype").upper() == "REPORT"

    @property
    def linked(self) -> str:
        """The message that a report is about."""
        return self._said("linkedmsgid")

    @property
    def correlation(self) -> str:
        """The conversation that it belongs to, where the platform says so."""
        return self._said("correlationid")

    def about(self) -> dict[str, Any]:
        """All that is known of it but its content, for a file beside it; what nobody said is left out."""
        said: dict[str, Any] = {
            "message_id": self.id, "type": "REPORT" if self.is_report else "DATA", "from": self.sender, "to": self.recipient,
            "workflow": self.workflow, "local_id": self.local_id, "subject": self.subject, "file_name": self.file_name,
            "content_type": self.content_type, "size": self.size, "correlation": self.correlation, "linked_message_id": self.linked,
        }  # fmt: skip
        if self.is_report:
            said |= {"status_code": self._said("statuscode"), "status_description": self._said("statusdescription")}
        if self.request is not None:
            said["answers"] = {
                "local_id": self.request.local_id,
                "message_id": self.request.message_id,
                "label": self.request.label,
            }
        return {name: value for name, value in said.items() if value not in ("", None)}

    def close(self) -> None:
        """Let go of the content."""
        self.content.close()
