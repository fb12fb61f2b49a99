"""The consumer's half: a mailbox, a listener, and a ledger of open requests. It knows nothing of the server's.

The ledger needs nothing else; whatever talks to a mailbox needs `fiveways[client]`, and is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fiveways.client.errors import ClientError, DeadLetter, Denied, Garbled, Gone, LocalIdReused, Refused, Unavailable
from fiveways.client.ledger import Ledger, Request
from fiveways.client.matching import match
from fiveways.client.message import Message
from fiveways.client.schedule import Retry, Schedule
from fiveways.client.states import State

if TYPE_CHECKING:
    from fiveways.client.blocking import BlockingMailbox
    from fiveways.client.folders import Folders
    from fiveways.client.listener import Listener
    from fiveways.client.mailbox import Mailbox

_LATER = {"BlockingMailbox": "blocking", "Folders": "folders", "Listener": "listener", "Mailbox": "mailbox"}

__all__ = [
    "BlockingMailbox", "ClientError", "DeadLetter", "Denied", "Folders", "Garbled", "Gone", "Ledger", "Listener", "LocalIdReused",
    "Mailbox", "Message", "Refused", "Request", "Retry", "Schedule", "State", "Unavailable", "match",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
