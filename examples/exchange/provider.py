"""The scoring engine that the programs beside this one ask, and its mailbox.

python provider.py secrets    passwords, keys and a secret for callbacks, where the deployment file wants them
python provider.py            the engine on 8078, and a listener on the mailbox SCORES, until Ctrl-C
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from fiveways.client import Ledger, Listener, Mailbox, Message, Schedule

URL, PORT, SECONDS = "http://127.0.0.1:8089", 8078, 2.0
SECRETS, BATCH = Path("secrets"), Path("batch")
WORK: dict[str, tuple[float, Any]] = {}
"""What is being scored: when it is done, and what was asked. The key is the Idempotency-Key: a repeat begins nothing."""


def score(asked: Any) -> dict[str, Any]:
    """Everybody has the same risk: it is an example."""
    subject = asked["parameter"][0]["valueReference"]
    return {"resourceType": "RiskAssessment", "status": "final", "subject": subject, "prediction": [{"probabilityDecimal": 0.12}]}


class Engine(BaseHTTPRequestHandler):
    """/quick answers at once, /slow after a while, and what comes to /batch is reported by `reported.py batch`."""

    def do_POST(self) -> None:
        """Somebody is to be scored."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/quick/"):
            self.answer(201, score(asked))
        elif self.path.startswith("/batch/"):
            (BATCH / f"{self.headers['Fiveways-Job']}.json").write_text(json.dumps(asked))
            self.answer(202)
        else:
            key = self.headers["Idempotency-Key"] or self.headers["NHSD-Request-ID"]
            WORK.setdefault(key, (time.monotonic() + SECONDS, asked))
            self.answer(202, None, ("Content-Location", f"/slow/work/{key}"), ("X-Progress", "waiting"))

    def do_GET(self) -> None:
        """How far is it?"""
        if (key := self.path.rpartition("/")[2]) not in WORK:
            self.answer(404)
            return
        done_at, asked = WORK[key]
        if (left := done_at - time.monotonic()) > 0:
            self.answer(202, None, ("Retry-After", "1"), ("X-Progress", f"scoring, {100 * (1 - left / SECONDS):.0f} %"))
        else:
            self.answer(201, score(asked))

    def answer(self, status: int, resource: Any = None, *fields: tuple[str, str]) -> None:
        """Answer."""
        content = json.dumps(resource).encode() if resource is not None else b""
        self.send_response(status)
        for name, value in (*fields, ("Content-Type", "application/fhir+json"), ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


async def listen() -> None:
    """Answer messages: with their local id, by which the ward's ledger knows what is answered."""
    password, shared_key = (SECRETS / "SCORES").read_text(), (SECRETS / "shared-key").read_text()
    with Ledger(Path("scores.sqlite")) as ledger:
        async with Mailbox(URL, "SCORES", password, shared_key, ledger) as mailbox:

            async def handle(message: Message) -> None:
                scored = json.dumps(score(json.load(message.content))).encode()
                await mailbox.send(message.sender, scored, workflow="RISK_SCORE_ACK", local_id=message.local_id)

            often = Schedule(every=timedelta(seconds=1), sandbox=True)  # against MESH itself: Schedule(), every five minutes
            await Listener(mailbox, handle, schedule=often).run()


if __name__ == "__main__":
    for folder in (SECRETS, BATCH):
        folder.mkdir(mode=0o700, exist_ok=True)
    if sys.argv[1:] == ["secrets"]:
        for name in ("shared-key", "WARD", "SCORES", "callback"):
            (SECRETS / name).touch(mode=0o600)
            (SECRETS / name).write_text(secrets.token_urlsafe(18))
    else:
        Thread(target=ThreadingHTTPServer(("127.0.0.1", PORT), Engine).serve_forever, daemon=True).start()
        asyncio.run(listen())
