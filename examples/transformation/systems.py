"""What stands around: a FHIR server with an old laboratory beside it, and the old patient administration.

python systems.py            the FHIR server on 8090 and the patient administration on 2576, until Ctrl-C
python systems.py FILE       send the messages in FILE to the feed, and show the acknowledgements
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from fiveways.hl7v2 import acknowledgement, batch, charsets
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.mllp import MllpListener, Received
from fiveways.hl7v2.mllp_client import MllpClient

FEED, PAS, FHIR = 2575, 2576, 8090


def say(*words: str) -> None:
    """Show something at once."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Server(BaseHTTPRequestHandler):
    """Takes transactions and shows them; and has two results for everybody."""

    def do_POST(self) -> None:
        """A transaction."""
        bundle = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = [f"{entry['request']['method']} {entry['request']['url']}" for entry in bundle["entry"]]
        say("transaction:", ", ".join(asked))
        entries = [{"response": {"status": "200"}} for _ in asked]
        self.answer({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

    def do_GET(self) -> None:
        """The old laboratory's lines."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"K|4.1\nNA|139\nXX|1\n")

    def answer(self, resource: dict[str, object]) -> None:
        """Answer with a resource."""
        content = json.dumps(resource).encode()
        self.send_response(200)
        self.send_header("content-type", "application/fhir+json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing more."""


async def patient_administration() -> None:
    """Take messages, show them, and say AA."""

    async def handle(received: Received) -> list[bytes]:
        message = Message.parse(charsets.decode(received.content)[0])
        say(message.text.replace("\r", "\n"))
        answer = acknowledgement.answer(message, acknowledgement.Code.ACCEPT, datetime.now(UTC), message.control_id)
        return [answer.text.encode()]

    await MllpListener(handle, port=PAS).start()
    await asyncio.Event().wait()


async def send(content: bytes) -> None:
    """Send the messages of a file."""
    text, codec = charsets.decode(content, "8859/1")
    client = MllpClient("127.0.0.1", FEED)
    for message in batch.parse(text).messages:
        lines = "\r".join(segment.text for segment in message.segments)
        answer = await client.send(f"{lines}\r".encode(codec))
        say(charsets.decode(answer)[0].replace("\r", "\n"))
    await client.aclose()


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(send(Path(sys.argv[1]).read_bytes()))
    else:
        Thread(target=ThreadingHTTPServer(("127.0.0.1", FHIR), Server).serve_forever, daemon=True).start()
        say("ready")
        asyncio.run(patient_administration())
