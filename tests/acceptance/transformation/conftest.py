"""A trust: an old PAS that sends and takes HL7 v2 over MLLP, a FHIR back end, and Fiveways between them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from string import Template
from typing import Any

import pytest
from tests.acceptance.conftest import Answer, Backend, Seen, Serve, Served, hashed, read_body, response

from fiveways.hl7v2 import acknowledgement
from fiveways.hl7v2.acknowledgement import Code
from fiveways.hl7v2.frames import framed
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.mllp import MllpListener, Received

FHIR = ("Content-Type", "application/fhir+json")
DONE = response(200, b'{"resourceType":"Bundle","type":"transaction-response"}', FHIR)
API_KEY = "fwk_api-key-of-the-pas-in-the-tests-00000000"
_ADT = (
    "MSH|^~\\&|PAS|RXN|FIVEWAYS|RXN|20261123101500||$kind|$id|P|2.4$further\r"
    "EVN|A01|20261123101500\r"
    "PID|1||$number^^^RXN^MR~9990000018^^^NHS^NH||$family^Aisha||19800101|F|||1 High Street^^Thornaby^^TS17 6AA\r"
    "PV1|1|I|W1^R2^B3||||C1^House^Gregory||||||||||||V$number^^^RXN\r"
)


def adt(id_: str, *, kind: str = "ADT^A01", family: str = "Khan", number: str = "K100", further: str = "") -> bytes:
    """An ADT message. `further`: what follows MSH-12."""
    return Template(_ADT).substitute(id=id_, kind=kind, family=family, number=number, further=further).encode()


class Sender:
    """The PAS's sending half, on one connection."""

    def __init__(self, port: int, seconds: float = 20) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._held = b""

    def send(self, message: bytes) -> Message:
        """Send a message, and its acknowledgement."""
        self.connection.sendall(framed(message))
        return self.answer()

    def answer(self) -> Message:
        """The next acknowledgement."""
        return Message.parse(self.bytes().decode())

    def bytes(self) -> bytes:
        """The next answer, without its frame; b'' where the connection ends."""
        while b"\x1c\r" not in self._held:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            self._held += piece
        frame, _, self._held = self._held.partition(b"\x1c\r")
        return frame[1:]

    def close(self) -> None:
        """Go."""
        self.connection.close()


@dataclass
class OldSystem:
    """The PAS's receiving half, in a thread of its own. `answers` are the codes of its next answers; then AA."""

    port: int = 0
    answers: list[Code] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    faults: tuple[acknowledgement.Fault, ...] = ()
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _listener: MllpListener | None = None

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.come_back()

    def go(self) -> None:
        """Stop listening."""
        assert self._listener is not None
        asyncio.run_coroutine_threadsafe(self._listener.stop(), self._loop).result(10)

    def come_back(self) -> None:
        """Listen, on the same port."""

        async def listening() -> None:
            self._listener = MllpListener(self._handle, port=self.port)
            await self._listener.start()
            self.port = self._listener.port

        asyncio.run_coroutine_threadsafe(listening(), self._loop).result(10)

    async def _handle(self, received: Received) -> list[bytes]:
        self.got.append(received.content)
        message = Message.parse(received.content.decode())
        code = self.answers.pop(0) if self.answers else Code.ACCEPT
        faults = self.faults if code is not Code.ACCEPT else ()
        codes = [code]
        if message.get("MSH-15") == "AL":
            kept = code not in (Code.COMMIT_ERROR, Code.COMMIT_REJECT)
            codes = ([Code.COMMIT_ACCEPT] if kept else []) + ([code] if not kept or message.get("MSH-16") == "AL" else [])
        now = datetime.now(UTC)
        return [acknowledgement.answer(message, each, now, f"OLD{len(self.got)}{each}", *faults).text.encode() for each in codes]


@dataclass
class Trust:
    """Everything, running. Ports are those of the feeds."""

    served: Served
    backend: Backend
    old: OldSystem
    path: str
    ports: dict[str, int]
    answers: dict[str, Answer]
    """What the back end answers to a message, by its id."""

    def sender(self, feed: str) -> Sender:
        """A connection to a feed."""
        return Sender(self.ports[feed])

    def send(self, feed: str, message: bytes) -> Message:
        """One message on a connection of its own."""
        sender = self.sender(feed)
        try:
            return sender.send(message)
        finally:
            sender.close()

    def requests(self, feed: str, id_: str = "") -> list[Seen]:
        """What reached the back end from a feed, of one message where its id is given."""
        found = [seen for seen in self.backend.seen if seen.target == f"{self.path}/{feed}".encode()]
        return [seen for seen in found if not id_ or f".{id_}." in seen.all(b"nhsd-correlation-id")[0].decode()]

    def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        """Wait until something holds; it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, self.served.log[-2000:]
            time.sleep(0.02)
        return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


DEPLOYMENT = """
listeners:
  main: {http: "127.0.0.1:$main"}
  promised: {mllp: "127.0.0.1:$promised", api: promised, as: pas}
  at-once: {mllp: "127.0.0.1:$at_once", api: at-once, as: pas}
  posted: {mllp: "127.0.0.1:$posted", api: posted, as: pas}
  strict: {mllp: "127.0.0.1:$strict", api: strict, as: pas}
  limited: {mllp: "127.0.0.1:$limited", api: limited, as: slow}
  outside: {mllp: "127.0.0.1:$outside", api: limited, as: pas}
organisations: {RXN: {name: Northshire Hospital}}
applications:
  pas: {organisation: RXN, products: [feeds], api_keys: ["$key"]}
  slow: {organisation: RXN, products: [little]}
products:
  feeds: {apis: [promised, at-once, posted, strict, old-pas, old-pas-promised, old-pas-keeps, old-pas-says-both]}
  little: {apis: [limited], quota: 2/d}
messaging: {shared_key: "env:SHARED_KEY"}
mailboxes:
  RXNOT001: {organisation: RXN, password: "env:PASSWORD"}
  RXNOT002: {organisation: RXN, password: "env:PASSWORD"}
workflows: {ADT_FEED: {from: [RXNOT001], to: [RXNOT002]}}
apis:
  promised:
    pattern: transformation
    at: /promised
    transform: {by: hl7v2-to-fhir, options: {authorities: {RXN: "https://northshire.test/Id/hospital-number"}}}
    target: {url: "$backend/promised"}
    promise: {first_wait: 50ms, longest_wait: 200ms}
    $common
  at-once:
    pattern: transformation
    at: /at-once
    transform: {by: hl7v2-to-fhir, options: {authorities: {RXN: "https://northshire.test/Id/hospital-number"}}}
    target: {url: "$backend/at-once", timeout: {first_byte: 2s}}
    $common
  posted:
    pattern: transformation
    at: /posted
    transform: {by: hl7v2-to-fhir, options: {bundle: message}}
    mailbox: {from: RXNOT001, to: RXNOT002, workflow: ADT_FEED}
    $common
  strict:
    pattern: transformation
    at: /strict
    transform: {by: hl7v2-to-fhir, options: {messages: ["ADT^A01"], refuse: [unmapped, wrong], original: document}}
    target: {url: "$backend/strict"}
    $common
  limited:
    pattern: transformation
    at: /limited
    transform: {by: hl7v2-to-fhir}
    target: {url: "$backend/limited"}
    $common
  old-pas:
    pattern: transformation
    at: /old-pas/FHIR/R4
    transform: {by: fhir-to-hl7v2, options: {receiver: {application: PAS, facility: RXN}}}
    mllp: {address: "127.0.0.1:$old", answer: 3s, connect: 1s}
    model: {fhir: {version: R4}}
    $common
  old-pas-promised:
    pattern: transformation
    at: /old-pas-promised/FHIR/R4
    transform: {by: fhir-to-hl7v2, options: {receiver: {application: PAS, facility: RXN}}}
    mllp: {address: "127.0.0.1:$old", answer: 3s, connect: 1s}
    promise: {first_wait: 50ms, longest_wait: 200ms}
    resilience: {breaker: {failures: 1000}}
    model: {fhir: {version: R4}}
    $common
  old-pas-keeps:
    pattern: transformation
    at: /old-pas-keeps/FHIR/R4
    transform: {by: fhir-to-hl7v2, options: {acknowledgements: commit}}
    mllp: {address: "127.0.0.1:$old", answer: 3s, connect: 1s}
    model: {fhir: {version: R4}}
    $common
  old-pas-says-both:
    pattern: transformation
    at: /old-pas-says-both/FHIR/R4
    transform: {by: fhir-to-hl7v2, options: {acknowledgements: both}}
    mllp: {address: "127.0.0.1:$old", answer: 3s, connect: 1s}
    model: {fhir: {version: R4}}
    $common
"""
COMMON = """security: [signed-jwt, api-key]
    debt: {owner: integration, reason: an old PAS, target: a FHIR feed, retire_by: 2027-12-31}"""
FEEDS = ("promised", "at_once", "posted", "strict", "limited", "outside")


@pytest.fixture(scope="session")
def trust(serve: Serve) -> Iterator[Trust]:
    """The trust, once for all these tests: each has message ids of its own."""
    backend, old = Backend(), OldSystem()
    old.start()
    answers: dict[str, Answer] = {}

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        id_ = seen.all(b"nhsd-correlation-id")[0].split(b".")[1].decode()
        chosen = answers.get(id_, DONE)
        if callable(chosen):
            await chosen(seen, reader, writer)
        else:
            await read_body(seen, reader)
            writer.write(chosen)

    path = backend.at(answer)
    ports = dict(zip(("main", *FEEDS), free_ports(len(FEEDS) + 1), strict=True))
    url = f"{backend.url}{path}"
    text = Template(DEPLOYMENT).substitute(
        {name: str(port) for name, port in ports.items()}, backend=url, old=str(old.port), key=hashed(API_KEY), common=COMMON
    )
    environment = {"SHARED_KEY": "key-of-the-tests", "PASSWORD": "password-of-the-tests"}
    with serve(text, http="", environment=environment) as served:
        named = {name.replace("_", "-"): port for name, port in ports.items()}
        yield Trust(served, backend, old, path, named, answers)
    backend.stop()


def bundle(seen: Seen) -> Any:
    """The Bundle of a request."""
    return json.loads(seen.body)
