"""The hospital's web server: gives out the page, and hands the events of the board on to it.

The browser is shown no token: this program has it. Put the log-in that your pages have in front of it, as of any page.
"""

from __future__ import annotations

import asyncio
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from tokens import token  # type: ignore[import-not-found]

PORT = 8074
EVENTS = "http://127.0.0.1:8075/channels/ward:8:board/events"


class Screen(BaseHTTPRequestHandler):
    """`/` is the page, `/events` what it listens to."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(Path("board.html").read_bytes())
        elif self.path == "/events":
            self._hand_on()
        else:
            self.send_error(404)

    def _hand_on(self) -> None:
        """Hand events on until the browser goes away, or they end, as they do with the token at the latest. Then the browser comes
        back by itself, and says which event it had last."""
        last = self.headers.get("Last-Event-ID", "")
        try:
            headers = {"Authorization": f"Bearer {asyncio.run(token('ward-system'))}", "Last-Event-ID": last}
            with httpx.stream("GET", EVENTS, headers=headers, timeout=httpx.Timeout(10, read=60)) as events:
                events.raise_for_status()
                self._begin("text/event-stream")
                for piece in events.iter_raw():
                    self.wfile.write(piece)
        except (httpx.HTTPError, ConnectionError) as error:
            self.log_error("the board: %s", error)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing of what went well."""


ThreadingHTTPServer(("127.0.0.1", PORT), Screen).serve_forever()
