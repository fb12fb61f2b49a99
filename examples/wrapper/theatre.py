"""A theatre system of another age: it serves whoever shows it a client certificate of its authority, and nobody else."""

from __future__ import annotations

import argparse
import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Theatre(BaseHTTPRequestHandler):
    """Answers every GET with today's list, and with whom it was asked by."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        subject = dict(pair for group in self.connection.getpeercert()["subject"] for pair in group)
        said = {
            "list": [{"theatre": 2, "procedure": "hip replacement"}],
            "shown_to_me": subject["commonName"],
            "token": self.headers.get("Authorization"),
        }
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--tls", type=Path, default=Path("tls"), help="the folder that `fiveways certs` has made")
    asked = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=asked.tls / "ca.pem")
    context.load_cert_chain(asked.tls / "server.pem", asked.tls / "server.key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", asked.port), Theatre)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"https://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    server.serve_forever()
