"""What stands around this example: an identity provider that behaves as NHS CIS2 does, and the ward that is behind the gateway.

The provider is npm's oidc-provider, fetched once into ~/.cache/fiveways. It believes whoever signs in as `nurse`.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fiveways.demo.nurse import NURSE, cache
from fiveways.demo.signing_in import IdentityProvider, fetch

FIVEWAYS = "http://127.0.0.1:8088"
CIS2_PORT = 8096
WARD_PORT = 8099
HANDOVER = "http://127.0.0.1:8098"


def registered(client: str, redirect_uri: str, **more: str) -> dict[str, Any]:
    """What an engineer registers at CIS2: where people come back to, and the public half of a key."""
    keys = json.loads(Path("keys", f"{client}.jwks.json").read_text())
    proof = {"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
    return {"client_id": client, "redirect_uris": [redirect_uri], **proof, **more}


class Ward(BaseHTTPRequestHandler):
    """Answers every GET with who lies there, and with whom it was asked by."""

    def do_GET(self) -> None:
        """Answer."""
        told = {name: value for name, value in self.headers.items() if name.lower().startswith("nhsd-")}
        body = json.dumps({"patients": ["9990000018", "9990000026"], "asked_by": told}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Run both until Ctrl-C."""
    clients = [
        registered("fiveways", f"{FIVEWAYS}/oauth2/callback", backchannel_logout_uri=f"{FIVEWAYS}/oauth2/backchannel_logout"),
        registered("handover", f"{HANDOVER}/signed-in"),
    ]
    packages, ward = fetch(cache()), ThreadingHTTPServer(("127.0.0.1", WARD_PORT), Ward)
    with IdentityProvider.start(packages, kind="nhs-cis2", accounts={"nurse": NURSE}, clients=clients, port=CIS2_PORT) as cis2:
        print(f"people sign in at {cis2.issuer}, as nurse; the ward is at http://127.0.0.1:{WARD_PORT}", flush=True)  # noqa: T201
        ward.serve_forever()


if __name__ == "__main__":
    main()
