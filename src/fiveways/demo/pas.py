"""The old patient administration of the demo: it sends what happens as HL7 v2 over MLLP, and takes such messages itself."""

from __future__ import annotations

from datetime import UTC, datetime

from fiveways.hl7v2 import acknowledgement, charsets
from fiveways.hl7v2.acknowledgement import Code, Fault
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.mllp import MllpListener, Received
from fiveways.hl7v2.mllp_client import MllpClient


class PatientAdministration:
    """Its two halves. `taken` are the messages that it has taken; whom it does not know, by `numbers`, it refuses."""

    def __init__(self, numbers: set[str]) -> None:
        self.taken: list[Message] = []
        self._numbers = numbers
        self._listener: MllpListener | None = None

    async def listen(self, port: int) -> None:
        """Begin to take messages."""
        self._listener = MllpListener(self._handle, port=port)
        await self._listener.start()

    async def stop(self) -> None:
        """Take no more."""
        if self._listener is not None:
            await self._listener.stop()

    async def send(self, port: int, *messages: str) -> list[Message]:
        """Send messages over one connection; their acknowledgements."""
        client = MllpClient("127.0.0.1", port)
        try:
            sent = [message.encode(charsets.codec(Message.parse(message).get("MSH-18"))) for message in messages]
            return [Message.parse(charsets.decode(await client.send(each))[0]) for each in sent]
        finally:
            await client.aclose()

    async def _handle(self, received: Received) -> list[bytes]:
        message = Message.parse(received.content.decode())
        numbers = {message.get("PID-3.1"), message.get("PID-3[2].1")}
        code, faults = Code.ACCEPT, []
        if numbers & self._numbers:
            self.taken.append(message)
        else:
            code, faults = Code.ERROR, [Fault(acknowledgement.UNKNOWN_KEY, "No such patient", "PID-3")]
        answer = acknowledgement.answer(message, code, datetime.now(UTC), f"PAS{message.control_id}"[:20], *faults)
        return [answer.text.encode()]


def admission(control_id: str, number: str, hospital: str, family: str) -> str:
    """An ADT^A01: somebody is admitted, and a field of the hospital's own says what no standard does."""
    return (
        f"MSH|^~\\&|PAS|RXN|FIVEWAYS|RXN|20261123101500||ADT^A01|{control_id}|P|2.4||||||8859/1\r"
        "EVN|A01|20261123101500\r"
        f"PID|1||{hospital}^^^RXN^MR~{number}^^^NHS^NH||{family}^Zoë^Maria^^Ms||19620714|F|||4 Abbey Walk^^Whitby^^YO21 3BQ||"
        "01947 600100^PRN^PH\r"
        f"PV1|1|I|W4^R2^B3||||||||||||||||V{hospital}^^^RXN|||||||||||||||||||||||||20261123101000\r"
        "ZPI|1|Prefers the bed by the window\r"
    )
