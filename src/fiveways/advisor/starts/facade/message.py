"""What is called becomes a message: a FHIR Bundle of type message goes into the mailbox as it is."""

from __future__ import annotations

from fiveways.errors import Fault, MethodNotAllowed
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place


class Message:
    """`POST /$process-message` with a message."""

    def __init__(self, place: Place) -> None:
        pass

    def ask(self, asked: Asked) -> Asked:
        """What is put into the mailbox."""
        if (asked.method, asked.path) != ("POST", "/$process-message"):
            raise MethodNotAllowed("Messages are posted to $process-message", headers={"Allow": "POST"})
        return asked

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """What the caller is answered: that it is there."""
        return answered

    def refuse(self, asked: Asked, fault: Fault) -> None:
        """As the API says its faults: an OperationOutcome."""
