"""The consumer's half: calls and jobs, a mailbox, a listener, and a ledger of open requests. It knows nothing of the server's.

The ledger needs nothing else; whatever talks to somebody is loaded when it is first asked for. Mailboxes need `fiveways[client]`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fiveways.client.errors import (
    ClientError,
    DeadLetter,
    Denied,
    Garbled,
    Gone,
    LocalIdReused,
    Refused,
    StillRunning,
    TooLarge,
    Unavailable,
    Unsent,
    Untrusted,
)
from fiveways.client.ledger import Ledger, Request
from fiveways.client.matching import match
from fiveways.client.message import Message
from fiveways.client.pace import Pace
from fiveways.client.resending import Resend
from fiveways.client.schedule import Retry, Schedule
from fiveways.client.states import State

if TYPE_CHECKING:
    from fiveways.client.access import ApiKey, Certificate, SignedJwt, Token
    from fiveways.client.answer import Answer
    from fiveways.client.blocking import BlockingMailbox
    from fiveways.client.blocking_calls import BlockingFiveways, BlockingJob
    from fiveways.client.callbacks import Receiver, serve_callbacks
    from fiveways.client.channels import Channels, Publication, Published
    from fiveways.client.fiveways import Fiveways
    from fiveways.client.folders import Folders
    from fiveways.client.job import Job
    from fiveways.client.listener import Listener
    from fiveways.client.mailbox import Mailbox
    from fiveways.client.polling import Step

_LATER = {
    "Answer": "answer", "ApiKey": "access", "BlockingFiveways": "blocking_calls", "BlockingJob": "blocking_calls",
    "BlockingMailbox": "blocking", "Certificate": "access", "Channels": "channels", "Fiveways": "fiveways",
    "Folders": "folders", "Job": "job", "Listener": "listener", "Mailbox": "mailbox", "Publication": "channels",
    "Published": "channels", "Receiver": "callbacks", "SignedJwt": "access", "Step": "polling", "Token": "access",
    "serve_callbacks": "callbacks",
}  # fmt: skip

__all__ = [
    "Answer", "ApiKey", "BlockingFiveways", "BlockingJob", "BlockingMailbox", "Certificate", "Channels", "ClientError",
    "DeadLetter", "Denied", "Fiveways", "Folders", "Garbled", "Gone", "Job", "Ledger", "Listener", "LocalIdReused", "Mailbox",
    "Message", "Pace", "Publication", "Published", "Receiver", "Refused", "Request", "Resend", "Retry", "Schedule",
    "SignedJwt", "State", "Step", "StillRunning", "Token", "TooLarge", "Unavailable", "Unsent", "Untrusted", "match",
    "serve_callbacks",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
